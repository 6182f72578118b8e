"""The desk in a real browser: every kind by keys alone and by touch, and what is sent for it."""

import re
from uuid import UUID

import pytest
from playwright.sync_api import expect

from annotation.views import MODULES
from tests.browser.desk import ANSWERS, MIXED, Staged
from tests.browser.pages import ROOT, clean_page, running_browser

pytestmark = pytest.mark.browser

A, B, C, D = 10, 11, 12, 13  # candidates of the first task, as shown
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def chromium():
    with running_browser() as browser:
        yield browser


@pytest.fixture
def page(chromium):
    with clean_page(chromium) as opened:
        yield opened


@pytest.fixture
def phone(chromium):
    with clean_page(chromium, **PHONE) as opened:
        yield opened


def rated(values: list[int], *candidates: int) -> dict:
    """Ratings of truth and tone, in the order of the rows."""
    names = [(c, name) for c in candidates for name in ("truth", "tone")]
    return {
        "ratings": [
            {"candidate": c, "attribute": name, "value": value}
            for (c, name), value in zip(names, values, strict=True)
        ]
    }


def step(candidate: int | None, n: int, value: int, comment: str = "") -> dict:
    return {"candidate": candidate, "step": n, "value": value, "comment": comment}


BY_KEYS = {
    "pairwise": ("pairwise", [], {}, "2", {"outcome": "preferred", "preferred": A, "strength": 2}),
    "tie": ("pairwise", [], {}, "t", {"outcome": "tie"}),
    "both bad": ("pairwise", [], {}, "b", {"outcome": "both_bad"}),
    "by arrows": (
        "pairwise", [], {}, "ArrowRight ArrowRight Enter",
        {"outcome": "preferred", "preferred": B, "strength": 2},
    ),
    "dimensions": (
        "pairwise", [], {"dimensions": ["style"]}, "3 7",
        {"outcome": "preferred", "preferred": B, "strength": 3,
         "dimensions": [{"dimension": "style", "outcome": "preferred", "preferred": B}]},
    ),
    "listwise": (
        "listwise", [], {}, "2 1 = x Enter",
        {"ranking": [[B, C], [A]], "unusable": [D]},
    ),
    "moved": (
        "listwise", [], {}, "1 2 3 4 [ Enter",
        {"ranking": [[A], [B], [C, D]], "unusable": []},
    ),
    "rating": ("rating", [], {}, "0 1 3 4", rated([0, 1, 3, 4], A, B)),
    "principle": (
        "principle", [], {}, "ArrowRight Shift+ArrowRight n a",
        {"verdicts": [
            {"candidate": A, "principle": 5, "verdict": "no", "evidence": {"start": 0, "end": 8}},
            {"candidate": A, "principle": 6, "verdict": "na"},
        ]},
    ),
    "critique": (
        "critique", [], {}, "c N o Escape e T w o Control+Enter",
        {"candidate": A, "critique": "No", "corrected": "Two"},
    ),
    "safety": (
        "safety", [], {}, "1 t 0 3",
        {"helpful": {"outcome": "preferred", "preferred": A}, "safer": {"outcome": "tie"},
         "harm": [{"candidate": A, "level": 0}, {"candidate": B, "level": 3}]},
    ),
    "step": (
        "step", [], {}, "1 2 3 k c w h y Enter Enter",
        {"steps": [step(None, 1, 1), step(A, 0, 0), step(A, 1, -1, "why")]},
    ),
    "triplet": ("triplet", [], {}, "3", {"anchor": A, "closer": C}),
    "equally close": ("triplet", [], {}, "2", {"anchor": A, "closer": None}),
    "combined": (
        "pairwise", ["rating", "critique"], {}, "4 3 2 1 t c N o Escape Enter",
        {"outcome": "tie", "also": {
            "rating": rated([4, 3, 2, 1], A, B),
            "critique": {"candidate": A, "critique": "No", "corrected": ""}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_KEYS)
def test_a_kind_is_judged_by_keys_alone(page, name):
    kind, also, project, keys, expected = BY_KEYS[name]
    desk = Staged(page, kind, also, project).open()
    desk.press(keys)
    body = desk.sent()
    assert {key: body[key] for key in expected} == expected
    assert body.get("also", {}) == expected.get("also", {})
    assert body["seconds"] >= 0


BY_TOUCH = {
    "pairwise": ("pairwise", {}, ["tie"], {"outcome": "tie"}),
    "safety": (
        "safety", {}, ["helpful=10", "safer=11", "harm-10=0", "harm-11=2"],
        {"safer": {"outcome": "preferred", "preferred": B}},
    ),
    "triplet": ("triplet", {}, ["closer=neither"], {"anchor": A, "closer": None}),
    "listwise": (
        "listwise", {"answers": 8}, [f"place-{A + n}={8 - n}" for n in range(8)],
        {"ranking": [[A + 7 - n] for n in range(8)]},
    ),
    "rating": (
        "rating", {}, ["rate-0-10=4", "rate-1-10=3", "rate-0-11=1", "rate-1-11=0"],
        rated([4, 3, 1, 0], A, B),
    ),
    "principle": ("principle", {}, ["verdict-5-10=yes", "verdict-6-10=no"], {}),
    "step": ("step", {}, ["step-turn-1=1", "step-10-0=-1"], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_TOUCH)
def test_a_kind_is_judged_by_touch_on_a_phone(phone, name):
    kind, project, taps, expected = BY_TOUCH[name]
    desk = Staged(phone, kind, project=project).open()
    for tap in taps:
        field, _, value = tap.rpartition("=")
        field = field or "choice"
        choice = phone.locator(f'label:has(input[name="{field}"][value="{value}"])')
        choice.scroll_into_view_if_needed()
        assert choice.bounding_box()["height"] >= 44 or kind == "listwise"
        choice.tap()
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    phone.locator("#send").tap()
    body = desk.sent()
    assert {key: body[key] for key in expected} == expected


def test_what_is_saved_is_what_the_board_shows(page):
    desk = Staged(page, "listwise").open()
    desk.press("1 2 3 x")
    chip = page.locator('[data-chip="13"]')
    first = page.locator('.board__places [data-place="1"]').bounding_box()
    held = chip.bounding_box()
    page.mouse.move(held["x"] + 9, held["y"] + 9)
    page.mouse.down()
    # On the edge of a full place: before what lies there, and the others make room.
    page.mouse.move(first["x"] + 4, first["y"] + 30, steps=4)
    page.mouse.up()
    places = page.locator(".board__places > [data-place]")
    seen = [slot.locator("[data-chip]").all_text_contents() for slot in places.all()]
    assert seen == [["D"], ["A"], ["B"], ["C"], []]
    # Onto a place: a tie.
    target = page.locator('.board__places [data-place="3"]').bounding_box()
    held = chip.bounding_box()
    page.mouse.move(held["x"] + 9, held["y"] + 9)
    page.mouse.down()
    page.mouse.move(target["x"] + target["width"] - 9, target["y"] + 30, steps=4)
    page.mouse.up()
    letters = "ABCD"
    seen = [
        [A + letters.index(letter) for letter in slot.locator("[data-chip]").all_text_contents()]
        for slot in places.all()
    ]
    desk.press("Enter")
    body = desk.sent()
    assert body["ranking"] == [group for group in seen[:-1] if group]
    assert sorted(map(sorted, body["ranking"])) == [[A], [B, D], [C]]
    assert body["unusable"] == seen[-1] == []


def select(page, text: str) -> None:
    """Select some words of the answer as a mouse would."""
    page.evaluate(
        """text => {
          const raw = document.querySelector("[data-raw]");
          const walker = document.createTreeWalker(raw, NodeFilter.SHOW_TEXT);
          while (walker.nextNode()) {
            const at = walker.currentNode.data.indexOf(text);
            if (at < 0) continue;
            getSelection().setBaseAndExtent(walker.currentNode, at, walker.currentNode,
              at + text.length);
          }
        }""",
        text,
    )


def test_marks_hold_the_code_points_of_the_raw_text(page):
    desk = Staged(page, "span").open()
    words = ["👩‍👩‍👧 says cafe\u0301", "بالعالم 🎉", "says", "$O(n^2)$"]
    for n, text in enumerate(words):
        select(page, text)
        desk.press(str(n % 3 + 1))
    desk.press("v m Enter")
    page.keyboard.type("sources")
    desk.press("Enter Enter")
    body = desk.sent()
    assert [span["quote"] for span in body["spans"]] == words
    for span in body["spans"]:
        assert MIXED[span["start"] : span["end"]] == span["quote"]
    assert [span["severity"] for span in body["spans"]] == [1, 1, 1, 2]
    assert body["missing"] == [{"candidate": A, "category": "missing point", "comment": "sources"}]


def test_overlapping_marks_lie_in_lanes_of_their_own(page):
    desk = Staged(page, "span").open()
    for key, text in (("1", "family 👩‍👩‍👧"), ("2", "👩‍👩‍👧")):
        select(page, text)
        desk.press(key)
    pieces = page.locator("mark.span")
    both = page.locator('mark.span[data-over="0 1"]')
    expect(pieces).to_have_count(2)
    expect(both).to_have_text("👩‍👩‍👧")
    lanes = both.evaluate("node => node.style.backgroundPosition.split(',').length")
    assert lanes == 2
    both.click()  # the upper mark, then the one below
    expect(page.locator(".marks__mark[data-current]")).to_contain_text("wrong fact")
    both.click()
    expect(page.locator(".marks__mark[data-current]")).to_contain_text("irrelevant")
    desk.press("x")
    expect(page.locator(".marks__mark")).to_have_count(1)


def test_whole_sentences_are_marked_by_keys(page):
    desk = Staged(page, "span", project={"answers": 1}).open()
    desk.press("w ArrowRight 1 Enter")
    [span] = desk.sent()["spans"]
    assert span["start"] == 0
    assert span["quote"].startswith("A family")
    assert span["quote"].endswith("**.")


def test_words_are_marked_by_touch(phone):
    desk = Staged(phone, "span").open()
    box = phone.locator("[data-raw]").bounding_box()
    spot = phone.evaluate(
        """() => {
          const node = document.querySelector("[data-raw]").firstChild;
          const box = (text) => {
            const range = document.createRange();
            const at = node.data.indexOf(text);
            range.setStart(node, at);
            range.setEnd(node, at + text.length);
            const found = range.getBoundingClientRect();
            return [found.x + found.width / 2, found.y + found.height / 2];
          };
          return [box("family"), box("says")];
        }"""
    )
    assert box is not None
    for x, y in spot:
        phone.touchscreen.tap(x, y)
    phone.locator('[data-category="irrelevant"]').tap()
    phone.locator("#send").tap()
    [span] = desk.sent()["spans"]
    assert span["quote"] == "family 👩‍👩‍👧 says"
    assert MIXED[span["start"] : span["end"]] == span["quote"]


def test_a_critique_shows_what_was_changed(phone):
    desk = Staged(phone, "critique", project={"answers": 1}).open()
    phone.locator("#start-from").tap()
    field = phone.locator("[name=corrected]")
    assert field.input_value() == ANSWERS[0].replace("\r\n", "\n")
    field.fill("A family 👩‍👩‍👧 says it once.")
    expect(phone.locator("#diff ins").first).to_be_visible()
    expect(phone.locator("#diff del").first).to_be_visible()
    phone.locator("#send").tap()
    assert desk.sent()["corrected"] == "A family 👩‍👩‍👧 says it once."


def test_a_draft_is_kept_on_the_server_and_laid_out_again(page):
    desk = Staged(page, "rating").open()
    desk.press("4 0")
    expect(page.locator("#saved")).to_have_text("saved")
    for _ in range(60):
        if desk.drafts:
            break
        page.wait_for_timeout(50)
    draft = desk.drafts[-1]
    assert draft["ratings"] == rated([4, 0], A)["ratings"]
    page.unroute_all()
    again = Staged(page, "rating", draft=draft).open()
    assert page.locator('input[name="rate-0-10"][value="4"]').is_checked()
    again.press("1 2")
    assert again.sent()["ratings"] == rated([4, 0, 1, 2], A, B)["ratings"]


def test_work_done_offline_is_kept_and_sent_when_the_line_is_back(chromium):
    # The refused requests are in the console, as they should be.
    context = chromium.new_context()
    page = context.new_page()
    desk = Staged(page, "pairwise").open()
    desk.offline = True
    desk.press("1")
    expect(page.locator("#saved")).to_contain_text("offline")
    assert "preferendum.outbox.staged" in page.evaluate("Object.keys(localStorage)")
    desk.offline = False
    page.evaluate("dispatchEvent(new Event('online'))")
    assert desk.sent()["preferred"] == A
    context.close()


def test_work_done_offline_is_sent_when_another_task_is_on_the_desk_by_then(chromium):
    context = chromium.new_context()
    page = context.new_page()
    desk = Staged(page, "pairwise").open()
    desk.offline = True
    desk.press("1")
    expect(page.locator("#saved")).to_contain_text("offline")
    page.unroute_all()
    later = Staged(page, "pairwise", number=2)
    with page.expect_response("**/judgment/") as told:
        later.open()
    request = told.value.request
    assert str(UUID(int=1)) in request.url
    assert request.post_data_json["preferred"] == A
    assert request.headers["idempotency-key"] == "key-1"
    on_desk(page, 2)
    page.reload()
    expect(page.locator("#saved")).to_be_visible()
    assert "preferendum.outbox.staged" not in page.evaluate("Object.keys(localStorage)")
    assert later.steps == []  # and the task on the desk is untouched
    context.close()


# The next task is here before it is wanted ----------------------------------------------------


def on_desk(page, number: int) -> None:
    expect(page.locator("#form")).to_have_attribute("data-assignment", str(UUID(int=number)))


def test_the_next_task_is_on_screen_before_the_server_has_answered(page):
    desk = Staged(page, "pairwise", preload=True)
    with page.expect_response("**/step/"):
        desk.open()
    desk.held = True
    desk.press("1")
    on_desk(page, 2)
    expect(page.locator("#saved")).to_have_text("saving")
    expect(page.locator("#undo")).to_have_count(0)
    desk.press("7")  # one step at a time: it waits for the answer to the first
    assert [step["assignment"] for step in desk.steps] == [str(UUID(int=1))]
    desk.answer_all()
    on_desk(page, 3)
    expect(page.locator("#saved")).to_have_text("saved")
    assert [(s["assignment"], s["ahead"], s["body"]["preferred"]) for s in desk.steps] == [
        (str(UUID(int=1)), str(UUID(int=2)), A),
        (str(UUID(int=2)), str(UUID(int=3)), 21),
    ]
    expect(page.locator("#lease")).to_contain_text("14:00")
    desk.press("u")
    on_desk(page, 4)
    assert (desk.steps[2]["do"], desk.steps[2]["judgment"]) == ("undo", "j1")


def test_what_was_refused_is_kept_as_a_draft_and_comes_back_in_its_turn(chromium):
    context = chromium.new_context()  # the refusal is in the console, as it should be
    page = context.new_page()
    desk = Staged(page, "pairwise", preload=True)
    with page.expect_response("**/step/"):
        desk.open()
    desk.refusing = True
    with page.expect_request("**/draft/"):
        desk.press("2")
    on_desk(page, 2)
    expect(page.locator(".toast")).to_contain_text("You skipped this task.")
    assert desk.drafts[-1]["preferred"] == A
    desk.refusing = False
    desk.press("t")  # work goes on
    on_desk(page, 3)
    assert (desk.steps[1]["assignment"], desk.steps[1]["ahead"]) == (str(UUID(int=2)), "")
    context.close()


def test_an_open_row_is_named_and_nothing_is_sent(page):
    desk = Staged(page, "safety").open()
    desk.press("1 Enter")
    expect(page.locator(".toast")).to_have_text("Something is not answered yet.")
    assert desk.steps == []
    assert page.evaluate("document.activeElement.name") == "safer"


def test_changing_an_answer_that_was_complete_waits_for_enter(page):
    draft = rated([4, 3, 2, 1], A, B)
    desk = Staged(page, "rating", draft=draft).open()
    desk.press("0 0 Enter")
    assert desk.sent()["ratings"] == rated([0, 0, 2, 1], A, B)["ratings"]


def test_skipping_asks_for_a_reason_and_flags_travel_with_the_judgment(page):
    desk = Staged(page, "pairwise").open()
    desk.press("f Space Escape t")
    expect(page.locator("#form")).to_have_attribute("data-assignment", re.compile("2$"))
    assert desk.steps[0]["body"]["flags"] == ["harmful"]
    desk.press("s")
    expect(page.locator("#skip-menu button").first).to_be_focused()
    desk.press("Enter")
    expect(page.locator("#form")).to_have_attribute("data-assignment", re.compile("3$"))
    assert (desk.steps[1]["do"], desk.steps[1]["reason"]) == ("skip", "I cannot tell")


def test_guidelines_keys_and_differences_are_a_key_away(page):
    desk = Staged(page, "pairwise").open()
    desk.press("g")
    expect(page.locator("dialog[open]")).to_contain_text("Be kind.")
    desk.press("Escape ?")
    expect(page.locator("dialog[open]")).to_contain_text("Show what differs")
    desk.press("Escape d")
    assert page.evaluate("CSS.highlights.get('differs').size") > 1
    desk.press("d")
    assert page.evaluate("CSS.highlights.has('differs')") is False


def test_long_answers_scroll_together(page):
    page.set_viewport_size({"width": 1000, "height": 420})
    Staged(page, "pairwise").open()
    first, second = page.locator(".answer__text").all()
    first.hover()
    page.mouse.wheel(0, 5000)
    expect(first).not_to_have_js_property("scrollTop", 0)
    ends = "node => Math.round(node.scrollHeight - node.clientHeight - node.scrollTop)"
    assert first.evaluate(ends) == 0
    assert second.evaluate(ends) == 0


def test_the_preloaded_modules_are_what_the_page_imports():
    found, open_ = set(), ["js/annotation/work.js", "js/site.js"]
    while open_:
        text = (ROOT / "static" / open_.pop()).read_text()
        for name in re.findall(r"""(?:from|import) ["']([\w/-]+)["'];""", text):
            path = f"js/{name}.js"
            if path not in found:
                found.add(path)
                open_.append(path)
    assert sorted(MODULES) == sorted(found)
