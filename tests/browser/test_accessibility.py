"""axe-core on the pages that people work with: no serious or critical violation.

The rules are those of WCAG 2.0 to 2.2, A and AA, and axe's best practices.
"""

from pathlib import Path

import axe_playwright_python
import pytest
from django.contrib.auth.forms import AuthenticationForm
from django.test import Client
from playwright.sync_api import Page, Route

from alignment.services import rounds, runs, snapshots
from annotation.services.projects import create_project
from annotation.services.tasks import create_tasks
from inference.services import deployments, registry
from tests.alignment.judging import judged_task
from tests.browser.desk import Staged
from tests.browser.pages import ORIGIN, running_browser, stage, static
from tests.browser.test_annotate import PHONE
from tests.browser.test_chat_page import Chat, message
from tests.feedback.talks import react, talk

pytestmark = pytest.mark.browser

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
DESKS = [
    ("pairwise", ["rating"], {"dimensions": ["style"]}),
    ("listwise", [], {}),
    ("span", ["principle"], {}),
    ("critique", [], {}),
    ("safety", [], {}),
    ("step", [], {}),
    ("triplet", [], {}),
]
SCREENS = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark phone": PHONE | {"color_scheme": "dark"},
}


@pytest.fixture(scope="module", params=SCREENS)
def screen(request):
    """A browser context, once light and wide, once dark and as narrow as a phone."""
    with running_browser() as browser:
        # axe is put into the page from outside, which the page's own policy forbids.
        context = browser.new_context(bypass_csp=True, **SCREENS[request.param])
        yield context
        context.close()


@pytest.fixture
def page(screen):
    opened = screen.new_page()
    yield opened
    opened.close()


def violations(page: Page) -> list[str]:
    page.add_script_tag(content=AXE)
    found = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
    return [
        f"{item['id']} ({item['impact']}): {item['nodes'][0]['html'][:160]}"
        for item in found["violations"]
        if item["impact"] in ("serious", "critical")
    ]


@pytest.fixture
def rooms(db, settings, tmp_path, monkeypatch, signed_in, adam) -> dict[str, str]:
    """Pages of review, administration and research by address, with something on each.

    They are made by the real views before a browser runs: Django refuses its database in the
    thread where Playwright's event loop does.
    """
    settings.ARTEFACTS_DIR, settings.RUNS_DIR = tmp_path / "artefacts", tmp_path / "runs"
    monkeypatch.setattr(deployments, "_prepare_engine", lambda version: None)
    folder = tmp_path / "starter"
    folder.mkdir()
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    weights = len(header).to_bytes(8, "little") + header + b"\0\0\0\0"
    (folder / "model.safetensors").write_bytes(weights)
    first = registry.register(name="first", kind="policy", location=folder)
    project = create_project(slug="demo", kinds=["pairwise", "rating"], name="Taste", by=adam)
    served = deployments.deploy(project="demo", model_version=first, reason="first policy")
    judged = [judged_task(n, by=f"p-{n % 3}") for n in range(60)]
    for n, task in enumerate(judged[:12]):  # twelve of them by two people who disagree
        task.judgments.append(judged_task(n, by="p-other", best=(n + 1) % 2).judgments[0])
    create_tasks(project=project, tasks=judged)
    snaps = [snapshots.take(project=project, by=adam, query=q) for q in ({}, {"eval_share": 0.3})]
    made = [runs.create(snapshot=snaps[0], recipe="dpo", seed=n, send=False) for n in (0, 1)]
    rounds.start(project=project, send=False)
    said = talk(served, ["My mail is anna@x.example. Tea?"], ["Boil water.", "No."])
    react(said, "dislike")
    task = project.tasks.order_by("pk").first().pk
    both = "&".join(f"run={run.pk}" for run in made)
    before, after = (one.pk for one in snaps)
    addresses = [
        "/annotate/me/", "/my-work/", "/account/", "/arena/", "/arena/leaderboard/",
        "/review/", "/review/reports/", "/review/demo/quality/", f"/review/demo/tasks/{task}/",
        "/manage/", "/manage/new/", "/manage/accounts/", f"/manage/accounts/{adam.pk}/",
        f"/manage/accounts/{adam.pk}/erase/",
        *(f"/manage/projects/demo/{name}" for name in (
            "", "settings/", "principles/", "people/", "data/", "tasks/", f"tasks/{task}/",
            "preview/",
        )),
        *(f"/console/demo/{name}" for name in (
            "", "rounds/1/", "models/", "models/first/", "compare-models/", "compose/?recipe=grpo",
            "experiments/", "runs/", f"runs/{made[0].pk}/", f"runs/compare/?{both}", "rule/",
            "data/",
            f"data/{before}/", f"data/compare/?before={before}&after={after}", "board/", "trust/",
            "conversations/", f"conversations/{said.pk}/", "conversations/rules/",
            "conversations/looks/",
        )),
    ]  # fmt: skip
    client = signed_in(adam)
    return {path: page_of(client, path) for path in addresses}


def page_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status_code}"
    return answer.content.decode()


def answer_from(route: Route, html: str) -> None:
    """A made page, its files, and no more: nothing here asks the server for anything else."""
    path = route.request.url.removeprefix(ORIGIN).partition("?")[0]
    if path.startswith("/static/"):
        static(route, path)
    elif route.request.is_navigation_request():
        route.fulfill(body=html, content_type="text/html; charset=utf-8")
    else:
        route.abort()


def test_the_other_rooms_have_no_serious_violation_and_fit_a_phone(rooms):
    in_the_dark = {"/review/demo/quality/", "/console/demo/"}
    wrong = {}
    with running_browser() as browser:
        context = browser.new_context(bypass_csp=True, **SCREENS["light"])
        page = context.new_page()
        shown = {"html": ""}
        page.route(f"{ORIGIN}/**", lambda route: answer_from(route, shown["html"]))
        page.route_web_socket(f"{ORIGIN.replace('http', 'ws')}/**", lambda socket: None)
        for path, html in rooms.items():
            shown["html"] = html
            page.goto(f"{ORIGIN}{path}")
            found = violations(page)
            if path in in_the_dark:
                page.emulate_media(color_scheme="dark")
                found += [f"dark: {one}" for one in violations(page)]
                page.emulate_media(color_scheme="light")
            page.set_viewport_size({"width": 390, "height": 844})
            over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            page.set_viewport_size(SCREENS["light"]["viewport"])
            if over > 0:
                found.append(f"{over} pixels wider than a phone")
            if found:
                wrong[path] = found
        context.close()
    assert wrong == {}


@pytest.mark.parametrize(("kind", "also", "project"), DESKS, ids=[desk[0] for desk in DESKS])
def test_a_desk_has_no_serious_violation(page, kind, also, project):
    desk = Staged(page, kind, also, project).open()
    assert violations(page) == []
    desk.press("1")
    assert violations(page) == []


def test_the_guidelines_have_no_serious_violation(page):
    desk = Staged(page, "pairwise").open()
    page.locator("#show-guidelines").click()
    assert violations(page) == []
    assert desk.steps == []


def test_the_list_of_projects_has_no_serious_violation(page):
    stage(page, "annotation/projects.html", {"listed": []}, lambda route: route.abort())
    page.goto(f"{ORIGIN}/annotate/")
    assert violations(page) == []


def test_the_log_in_page_has_no_serious_violation(page):
    stage(page, "login.html", {"form": AuthenticationForm()}, lambda route: route.abort())
    page.goto(f"{ORIGIN}/login/")
    assert violations(page) == []


def test_the_chat_has_no_serious_violation(page):
    question = "00000000-0000-0000-0000-00000000000b"
    answer = "00000000-0000-0000-0000-00000000000c"
    Chat(page, [
        message(question, "user", "How do I boil an egg? مرحبا"),
        message(answer, "assistant", "Eight **minutes**.\n\n```py\nx = 1\n```", question),
    ])  # fmt: skip
    assert violations(page) == []
