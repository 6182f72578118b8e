"""The reaction widget on a page of somebody else's site."""

import uuid
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.pages import ORIGIN, running_browser

pytestmark = pytest.mark.browser

SCRIPT = Path(__file__).resolve().parents[2] / "static/js/widget/reactions.js"
ANSWER = "chatcmpl-" + "0" * 32
SITE = "http://127.0.0.1:8124/"
PAGE = f"""<!doctype html><title>Elsewhere</title>
<script src="{ORIGIN}/static/js/widget/reactions.js" data-key="pk-public" defer></script>
<p>An answer.</p><span data-preferendum="{ANSWER}"></span>"""


class Site:
    """A page elsewhere, and our door that it calls."""

    def __init__(self, page):
        self.page = page
        self.told: list[tuple[dict, dict]] = []
        self.away = False
        self.status = 201
        page.route(f"{SITE}**", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.route(f"{ORIGIN}/**", self._ours)
        page.goto(SITE)

    def _ours(self, route) -> None:
        headers = {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Headers": "*, Authorization",
        }
        if route.request.url.endswith("reactions.js"):
            route.fulfill(body=SCRIPT.read_text(), content_type="text/javascript")
        elif route.request.method == "OPTIONS":
            route.fulfill(status=204, headers=headers)
        elif self.away:
            route.abort()
        else:
            self.told.append((route.request.headers, route.request.post_data_json))
            route.fulfill(status=self.status, json={}, headers=headers)


@pytest.fixture
def site():
    with running_browser() as browser:
        context = browser.new_context()
        yield Site(context.new_page())
        context.close()


def test_a_press_tells_the_reaction_with_the_key_and_a_second_takes_it_back(site):
    good = site.page.get_by_role("button", name="Good answer")
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    headers, body = site.told[0]
    assert headers["authorization"] == "Bearer pk-public"
    assert "cookie" not in headers
    assert (body["completion_id"], body["reaction"]) == (ANSWER, "like")
    assert uuid.UUID(body["id"])
    good.click()
    expect(good).to_have_attribute("aria-pressed", "false")
    assert site.told[1][1]["value"] == 0


def test_answers_that_come_later_get_their_buttons_too(site):
    expect(site.page.get_by_role("button", name="Bad answer")).to_have_count(1)
    site.page.evaluate(
        "document.body.append(Object.assign(document.createElement('span'),"
        " {id: 'later'})); document.querySelector('#later').dataset.preferendum = 'chatcmpl-2';"
        " document.body.append(document.createElement('hr'))"
    )
    expect(site.page.locator("#later button")).to_have_count(2)


def test_what_cannot_be_told_now_is_told_at_the_next_visit(site):
    site.away = True
    bad = site.page.get_by_role("button", name="Bad answer")
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "true")
    assert site.told == []
    site.away = False
    with site.page.expect_response(f"{ORIGIN}/v1/feedback"):
        site.page.reload()
    assert [body["reaction"] for _, body in site.told] == ["dislike"]
    assert site.page.evaluate("localStorage.getItem('preferendum:unsent')") == "[]"


def test_a_reaction_is_kept_until_the_server_has_answered_for_it(site):
    kept = "JSON.parse(localStorage.getItem('preferendum:unsent')).map((one) => one.reaction)"
    for status in (429, 408, 503):
        site.status = status
        with site.page.expect_response(f"{ORIGIN}/v1/feedback"):
            site.page.get_by_role("button", name="Bad answer").click()
            site.page.get_by_role("button", name="Good answer").click()
        expect(site.page.get_by_role("button", name="Good answer")).to_have_attribute(
            "aria-pressed", "true"
        )
        assert site.page.evaluate(kept) == ["like"]  # the newest word alone
        site.page.get_by_role("button", name="Good answer").click()
    site.status = 404
    with site.page.expect_response(f"{ORIGIN}/v1/feedback"):
        site.page.get_by_role("button", name="Bad answer").click()
    site.page.wait_for_function("localStorage.getItem('preferendum:unsent') === '[]'")
    expect(site.page.get_by_role("button", name="Bad answer")).to_have_attribute(
        "aria-pressed", "false"
    )


def test_it_works_where_the_browser_has_no_randomuuid(site):
    site.page.add_init_script("delete Crypto.prototype.randomUUID")
    site.page.reload()
    assert site.page.evaluate("typeof crypto.randomUUID") == "undefined"
    with site.page.expect_response(f"{ORIGIN}/v1/feedback"):
        site.page.get_by_role("button", name="Good answer").click()
    assert uuid.UUID(site.told[-1][1]["id"]).version == 4
