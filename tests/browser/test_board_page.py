"""The live board in a browser: put in place as it changes, and honest when the line is down."""

import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from feedback.board import drawn
from feedback.services.board import DOORS, WINDOWS, Line, Numbers, Window
from feedback.services.rollups import MEASURES, Counts
from tests.browser.pages import ORIGIN, Socket, clean_page, running_browser, stage

pytestmark = pytest.mark.browser

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
FIRST = {"median": 180.0, "p95": 420.0}
WHOLE = {"median": 1900.0, "p95": 5200.0}


def counts(answers: int, **given) -> Counts:
    sums = dict.fromkeys(MEASURES, 0) | {
        "answers": answers, "timed": answers, "first_ms": 200 * answers,
        "completion_tokens": 40 * answers, "writing_ms": 1500 * answers,
    }  # fmt: skip
    return Counts((), None, sums | given)


def panels(love: int = 30) -> dict[str, str]:
    """A board of two arms over six hours."""
    lines = [
        Line("everyday-policy-7", "live", counts(300, love=love, complained=21, regenerated=18,
             wins=12, losses=7), 41, FIRST, WHOLE),
        Line("everyday-policy-8", "canary", counts(31, love=5, complained=1, regenerated=1,
             wins=7, losses=12), 6, FIRST, WHOLE),
    ]  # fmt: skip
    step = timedelta(minutes=15)
    parts = [
        (START + n * step, counts(0 if n in (5, 6) else 10 + n, love=n // 3, complained=n % 2))
        for n in range(24)
    ]
    total = Line("", "", counts(331, love=love + 5, complained=22, regenerated=19, wins=19,
                 losses=19), 44, FIRST, WHOLE)  # fmt: skip
    return drawn(Numbers(Window("6h"), START, START + 24 * step, step, total, lines, parts))


def context() -> dict:
    return {
        "project": SimpleNamespace(slug="demo", name="Everyday questions"),
        "tab": "board", "window": Window("6h"), "windows": WINDOWS, "doors": DOORS,
        "language": "en", "panels": panels(), "now": datetime(2026, 3, 1, 12, tzinfo=UTC),
    }  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    with running_browser() as found:
        yield found


def opened(page):
    stage(page, "feedback/board.html", context(), lambda route: route.fulfill(json={}))
    socket = Socket(page)
    socket.on_open = lambda: socket.say(
        type="snapshot", stream="s", seq=4, stale=False, panels=panels(), **{"from": None}
    )
    page.goto(f"{ORIGIN}/console/demo/board/?window=6h")
    return socket


def shot(page, name: str) -> None:
    """Keep a picture where one is asked for."""
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_changes_are_put_in_place_and_what_was_missed_is_asked_for(browser):
    with clean_page(browser, viewport={"width": 1280, "height": 900}) as page:
        socket = opened(page)
        line, love = page.locator("[data-line]"), page.locator("[data-panel=love]")
        expect(line).to_have_text("Live")
        expect(love).to_contain_text("10.6")
        shot(page, "board-light")
        love.locator("summary").click()
        page.locator("h1").click()
        changed = {"love": panels(love=90)["love"]}
        socket.say(type="change", stream="s", seq=5, stale=False, panels=changed, **{"from": 4})
        expect(love).to_contain_text("28.7")
        expect(love.locator("table").first).to_be_visible()
        missed = {"love": panels(love=60)["love"]}
        socket.say(type="change", stream="s", seq=9, stale=False, panels=missed, **{"from": 8})
        page.evaluate("new Promise((done) => setTimeout(done, 100))")
        assert socket.of_type("resume")
        expect(love).to_contain_text("28.7")  # until the snapshot it asked for has come
        socket.say(
            type="snapshot", stream="s", seq=9, stale=False, panels=panels(love=60),
            **{"from": None},
        )  # fmt: skip
        expect(love).to_contain_text("19.6")
        socket.say(type="change", stream="s", seq=10, stale=True, panels={}, **{"from": 9})
        expect(line).to_have_text("The numbers cannot be read at the moment")


def test_a_line_that_breaks_is_said_and_comes_back_with_everything(browser):
    with clean_page(browser) as page:
        socket = opened(page)
        line = page.locator("[data-line]")
        expect(line).to_have_text("Live")
        socket.cut()
        expect(line).not_to_have_text("Live")
        expect(line).to_have_text("Live", timeout=10_000)
        assert socket.openings == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_board_fits_a_phone(browser, scheme):
    size = {"width": 360, "height": 740}
    with clean_page(browser, viewport=size, color_scheme=scheme, has_touch=True) as page:
        opened(page)
        expect(page.locator("[data-line]")).to_have_text("Live")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        shot(page, f"board-phone-{scheme}")
