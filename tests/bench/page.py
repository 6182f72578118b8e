"""The labelling page in a real browser: its weight, when it can be used, how fast tasks follow.

    python -m tests.bench page --visits 5 --labels 20

`usable_ms`: from the start of the navigation, with an empty cache, until the choices are on
screen and one of them takes a click. `submit_to_next_ms`: from the press of Send until the next
task's text is on screen, as a person sees it. Bytes are what crossed the wire.
"""

import asyncio
import json
import os
import shutil
import statistics
import time
from collections import Counter

from tests.bench.annotation import Meter, new_project, people, researcher, task_lines
from tests.bench.instance import Served, serving

FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
).split()
TEXT = ".asked__text"
SEND = "#send"
CHOICE = ".scale label"


def run(arguments) -> dict:
    """The part `page`."""
    from playwright.sync_api import sync_playwright

    with serving() as served:
        [person] = people(served, 1, login="session")
        new_project("page", [person])
        asyncio.run(_fill(served))
        visits = []
        with sync_playwright() as playwright:
            for number in range(arguments.visits):
                labels = arguments.labels if number == arguments.visits - 1 else 0
                visits.append(_visit(playwright, served, person, labels))
                print(json.dumps(visits[-1]), flush=True)
        middle = statistics.median(visit["usable_ms"] for visit in visits)
        return {**visits[-1], "usable_ms": middle, "visits": visits}


async def _fill(served: Served) -> None:
    root = researcher(served)
    await root.raw(
        "POST", "/api/projects/page/tasks/", task_lines(300), kind="application/x-ndjson"
    )
    await root.close()


def _visit(playwright, served: Served, person, labels: int) -> dict:
    """One visit with an empty cache."""
    browser = playwright.chromium.launch(
        executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"), args=FLAGS
    )
    context = browser.new_context(viewport={"width": 1366, "height": 850})
    base = f"http://127.0.0.1:{served.port}"
    context.add_cookies(
        [{"name": k, "value": v, "url": base} for k, v in person.client.cookies.items()]
    )
    page = context.new_page()
    wire, files, kinds = Counter(), Counter(), {}
    calls: list[str] = []
    protocol = context.new_cdp_session(page)
    protocol.send("Network.enable")
    protocol.on(
        "Network.responseReceived", lambda e: kinds.update({e["requestId"]: e.get("type", "Other")})
    )

    def finished(event: dict) -> None:
        kind = kinds.get(event["requestId"], "Other")
        wire[kind] += event["encodedDataLength"]
        files[kind] += 1

    protocol.on("Network.loadingFinished", finished)
    page.on(
        "request",
        lambda r: calls.append(f"{r.method} {r.url}") if r.resource_type == "fetch" else None,
    )
    with Meter(served) as meter:
        begun = time.perf_counter()
        page.goto(f"{base}/annotate/page/", wait_until="commit")
        page.locator(SEND).wait_for(state="visible")
        page.locator(CHOICE).first.click(trial=True)
        usable = time.perf_counter() - begun
        page.wait_for_load_state("networkidle")
    painted = page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
    )
    figures = {
        "usable_ms": round(1000 * usable),
        "first_paint_ms": painted and round(painted),
        "script_and_style_kb": round((wire["Script"] + wire["Stylesheet"]) / 1024, 1),
        "files": dict(files),
        "calls_to_open": len(calls),
        "server_cpu_ms": round(1000 * (meter.web + meter.database)),
        "others_cores": round(meter.others, 2),
    }
    if labels:
        calls.clear()
        gaps = [_label(page, number) for number in range(labels)]
        page.wait_for_load_state("networkidle")
        figures["submit_to_next_ms"] = {
            "median": round(statistics.median(gaps)),
            "max": round(max(gaps)),
        }
        figures["requests_per_label"] = round(len(calls) / labels, 2)
    browser.close()
    return figures


def _label(page, number: int) -> float:
    """Choose, let the draft be kept as a person would, press Send: milliseconds to the next."""
    before = page.locator(TEXT).first.inner_text()
    page.locator(CHOICE).nth(number % 7).click()
    page.wait_for_timeout(400)
    send = page.locator(SEND)
    begun = time.perf_counter()
    send.click()
    page.wait_for_function(
        "([where, before]) => ![before, '', undefined].includes("
        "document.querySelector(where)?.innerText)",
        arg=[TEXT, before],
        polling=20,
    )
    return 1000 * (time.perf_counter() - begun)
