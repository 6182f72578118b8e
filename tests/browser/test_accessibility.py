"""axe-core on the pages that people work with: no serious or critical violation.

The rules are those of WCAG 2.0 to 2.2, A and AA, and axe's best practices.
"""

from pathlib import Path

import axe_playwright_python
import pytest
from django.contrib.auth.forms import AuthenticationForm
from playwright.sync_api import Page

from tests.browser.desk import Staged
from tests.browser.pages import ORIGIN, running_browser, stage
from tests.browser.test_annotate import PHONE
from tests.browser.test_chat_page import Chat, message

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
