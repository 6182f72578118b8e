"""The chat page in a real browser, against a staged server that says exactly what a test needs."""

import base64
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from config.markdown import render
from tests.browser.pages import ORIGIN, Socket, clean_page, running_browser, stage

pytestmark = pytest.mark.browser

HOME = str(uuid.UUID(int=7))
QUESTION, ANSWER, SECOND = (str(uuid.UUID(int=number)) for number in (11, 12, 13))

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def message(ident: str, role: str, text: str, parent: str | None = None, **more) -> dict:
    state = more.get("state", "complete")
    final = state in ("complete", "stopped", "failed")
    return {
        "id": ident, "parent": parent, "role": role, "text": text,
        "html": str(render(text)) if role == "assistant" and final else "",
        "state": state, "created_at": "2026-01-01T00:00:00+00:00",
        "model": "policy-1" if role == "assistant" else None, "siblings": [ident],
        "reactions": [], "error": None, "note": None, **more,
    }  # fmt: skip


class Chat:
    """A staged conversation: what the server holds, and the page that shows it."""

    def __init__(self, page: Page, messages: list[dict], *, at: str | None = HOME, **more):
        self.page = page
        self.messages = messages
        self.deleted: list[str] = []
        self.told: list[dict] = []  # events, as the server would store them: once by id
        self.refuse = 0  # how many batches of events get no answer
        self.links: list[dict] = []
        self.renamed: list[str] = []
        self.found: list[dict] = []
        self.socket = Socket(page)
        self.socket.on_open = self.snapshot
        self.about = {"id": HOME, "title": "Eggs", "consent": True}
        listed = {**self.about, "updated_at": "2026-01-01T00:00:00+00:00"}
        context = {
            "conversations": [listed],
            "conversation": self.about if at else None,
            "thread": messages,
            "max_chars": 100,
            **more,
        }
        stage(page, "feedback/chat.html", context, self._api)
        page.goto(f"{ORIGIN}/c/{at}/" if at else f"{ORIGIN}/")

    def _api(self, route) -> None:
        method = route.request.method
        path, _, query = route.request.url.removeprefix(ORIGIN).partition("?")
        if method == "DELETE":
            self.deleted.append(route.request.url)
            route.fulfill(status=204)
        elif path.startswith("/api/images/"):
            pixel = base64.b64decode(PIXEL)
            if method == "POST":
                assert route.request.post_data_buffer == pixel
                route.fulfill(status=201, json={"id": SECOND, "url": f"/api/images/{SECOND}/"})
            else:
                route.fulfill(body=pixel, content_type="image/png")
        elif path == "/api/events/":
            self._events(route)
        elif path.endswith("/shares/"):
            if method == "POST":
                leaf = route.request.post_data_json["leaf"]
                self.links = [{"id": SECOND, "url": f"{ORIGIN}/s/token/", "leaf": leaf}]
            answer = self.links[0] if method == "POST" else {"results": self.links}
            route.fulfill(status=201, json=answer)
        elif method == "PATCH":
            self.renamed.append(route.request.post_data_json.get("title"))
            route.fulfill(json={})
        elif method == "GET":
            route.fulfill(json={"results": self.found if "q=egg" in query else []})
        else:
            route.fulfill(status=201, json={"id": HOME})

    def _events(self, route) -> None:
        if self.refuse:
            self.refuse -= 1
            route.fulfill(status=503, json={"detail": "Away.", "code": "busy", "fields": {}})
            return
        known = {one["id"] for one in self.told}
        self.told += [
            one for one in route.request.post_data_json["events"] if one["id"] not in known
        ]
        route.fulfill(json={"results": []})

    def event(self, kind: str) -> dict:
        """Wait until the page has told an event of this kind; the newest of them."""
        for _ in range(160):
            if told := [one for one in self.told if one["kind"] == kind]:
                return told[-1]
            self.page.wait_for_timeout(50)
        raise AssertionError(f"no {kind} in {self.told}")

    def snapshot(self) -> None:
        leaf = self.messages[-1]["id"] if self.messages else None
        self.socket.say(type="snapshot", conversation=self.about, messages=self.messages, leaf=leaf)

    def write(self, text: str) -> None:
        self.page.fill("#words", text)
        self.page.press("#words", "Enter")

    def frame(self, kind: str, count: int = 1) -> dict:
        """Wait until the page has said `count` frames of this type; the last of them."""
        for _ in range(100):
            if len(self.socket.of_type(kind)) >= count:
                return self.socket.of_type(kind)[-1]
            self.page.wait_for_timeout(50)
        raise AssertionError(f"no {kind} in {self.socket.received}")

    @property
    def answers(self):
        return self.page.locator('.message[data-role="assistant"]')

    @property
    def last(self):
        return self.answers.last


@pytest.fixture(scope="module")
def chromium():
    with running_browser() as browser:
        yield browser


@pytest.fixture
def page(chromium):
    with clean_page(chromium) as opened:
        yield opened


@pytest.fixture
def eggs() -> list[dict]:
    return [
        message(QUESTION, "user", "How do I boil an egg?"),
        message(ANSWER, "assistant", "Eight **minutes**.", QUESTION),
    ]


def test_an_answer_grows_by_its_pieces_and_ends_as_formatted_text(page, eggs):
    chat = Chat(page, eggs[:1])
    chat.socket.say(
        type="message", message=message(ANSWER, "assistant", "", QUESTION, state="streaming")
    )
    chat.socket.say(type="delta", message=ANSWER, offset=0, text="Eight 🥚 ")
    chat.socket.say(type="delta", message=ANSWER, offset=6, text="🥚 **min")  # partly known
    chat.socket.say(type="delta", message=ANSWER, offset=13, text="utes**.")
    expect(chat.last.locator(".message__body")).to_have_text("Eight 🥚 **minutes**.")
    expect(page.locator("[data-stop]")).to_be_visible()
    chat.socket.say(
        type="done", message=message(ANSWER, "assistant", "Eight 🥚 **minutes**.", QUESTION)
    )
    expect(chat.last.locator("strong")).to_have_text("minutes")
    expect(page.locator("[data-send]")).to_be_visible()


def test_what_is_finished_is_shown_formatted_while_the_rest_is_written(page, eggs):
    chat = Chat(page, eggs[:1])
    chat.socket.say(
        type="message", message=message(ANSWER, "assistant", "", QUESTION, state="streaming")
    )
    text = "Do **this** 🥚:\n\n```py\nboil(8)\n```\nThen **wa"
    end = text.index("Then")
    chat.socket.say(type="delta", message=ANSWER, offset=0, text=text)
    html = str(render(text[:end]))
    chat.socket.say(type="blocks", message=ANSWER, **{"from": 0, "to": end}, html=html)
    expect(chat.last.locator("strong")).to_have_text("this")
    expect(chat.last.locator(".code .code__copy")).to_be_visible()
    chat.socket.say(type="delta", message=ANSWER, offset=len(text), text="it**\n\nand")
    expect(chat.last.locator(".message__tail")).to_have_text("Then **wait**\n\nand")
    whole = text + "it**\n\nand"
    second = len(whole) - 3
    html = str(render(whole[end:second]))
    chat.socket.say(type="blocks", message=ANSWER, **{"from": end, "to": second}, html=html)
    expect(chat.last.locator("strong")).to_have_text(["this", "wait"])
    expect(chat.last.locator(".message__tail")).to_have_text("and")
    # A line that broke: everything comes again, and nothing is doubled.
    chat.messages = [
        eggs[0], message(ANSWER, "assistant", whole, QUESTION, state="streaming"),
    ]  # fmt: skip
    chat.snapshot()
    html = str(render(whole[:second]))
    chat.socket.say(type="blocks", message=ANSWER, **{"from": 0, "to": second}, html=html)
    expect(chat.last.locator("strong")).to_have_text(["this", "wait"])
    expect(chat.last.locator(".message__tail")).to_have_text("and")
    chat.socket.say(type="done", message=message(ANSWER, "assistant", whole + ".", QUESTION))
    expect(chat.last.locator(".message__tail")).to_have_count(0)
    expect(chat.last.locator("p").last).to_have_text("and.")


def test_two_hundred_messages_stay_smooth(page):
    ids = [str(uuid.UUID(int=1000 + n)) for n in range(200)]
    text = "# Eggs\n\n" + "Boil them **well**, with `salt`.\n\n" * 6 + "```py\nboil(8)\n```\n"
    talk = [
        message(one, "user", f"question {n}", ids[n - 1] if n else None)
        if n % 2 == 0
        else message(one, "assistant", text, ids[n - 1])
        for n, one in enumerate(ids)
    ]
    talk[-1] = message(ids[-1], "assistant", "", ids[-2], state="streaming")
    chat = Chat(page, talk)
    expect(page.locator(".message")).to_have_count(200)
    page.evaluate(
        """() => {
          window.longest = 0;
          let last = performance.now();
          const look = (now) => {
            window.longest = Math.max(window.longest, now - last);
            last = now;
            requestAnimationFrame(look);
          };
          requestAnimationFrame(look);
        }"""
    )
    for n in range(150):
        chat.socket.say(type="delta", message=ids[-1], offset=6 * n, text="words ")
    expect(chat.last).to_contain_text("words " * 149)
    # No frame takes so long that a reader would see the page stand still; a busy machine has air.
    assert page.evaluate("window.longest") < 1000
    assert len(chat.socket.of_type("resume")) == 0


def test_a_gap_in_the_stream_makes_the_page_ask_for_the_whole(page, eggs):
    chat = Chat(page, eggs[:1])
    chat.socket.say(
        type="message", message=message(ANSWER, "assistant", "", QUESTION, state="streaming")
    )
    chat.socket.say(type="delta", message=ANSWER, offset=40, text="late")
    chat.frame("resume")
    expect(chat.last.locator(".message__body")).not_to_contain_text("late")


@pytest.mark.parametrize("state", ["streaming", "complete"])
def test_hostile_text_is_shown_and_never_run(page, eggs, state):
    text = (
        "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
        "[x](javascript:window.hurt=1)" + "Z" + "\u0301" * 10_000
    )
    eggs[0]["text"] = text
    chat = Chat(page, [eggs[0], message(ANSWER, "assistant", text, QUESTION, state=state)])
    expect(chat.last.locator(".message__body")).to_contain_text("<script>")
    expect(page.locator('.message[data-role="user"]')).to_contain_text("<script>")
    assert page.evaluate("window.hurt") is None
    assert page.locator(".thread script, .thread img, .thread [onerror]").count() == 0
    assert page.locator('.thread a[href^="javascript"]').count() == 0
    assert chat.last.bounding_box()["height"] < 400


def test_what_is_sent_is_shown_at_once_and_confirmed_once(page, eggs):
    chat = Chat(page, eggs)
    chat.write("And a duck egg?")
    pending = page.locator("[data-pending]")
    expect(pending).to_contain_text("And a duck egg?")
    sent = chat.frame("send")
    assert (sent["text"], sent["parent"]) == ("And a duck egg?", ANSWER)
    assert uuid.UUID(sent["id"])
    chat.socket.say(type="message", message=message(SECOND, "user", sent["text"], ANSWER))
    expect(pending).to_have_count(0)
    expect(page.locator('.message[data-role="user"]')).to_have_count(2)


def test_a_broken_line_repeats_the_same_request_and_loses_nothing(page, eggs):
    chat = Chat(page, eggs)
    chat.write("Do not lose me")
    first = chat.frame("send")
    chat.socket.cut()
    assert chat.frame("send", 2)["id"] == first["id"]
    assert chat.socket.openings == 2
    page.reload()
    assert chat.frame("send", 3)["id"] == first["id"]
    expect(page.locator("[data-pending]")).to_contain_text("Do not lose me")


def test_words_written_offline_wait_and_are_sent_later(page, eggs):
    chat = Chat(page, eggs)
    expect(chat.last).to_be_visible()
    page.context.set_offline(True)
    expect(page.locator("#status")).to_contain_text("offline")
    chat.write("From the tunnel")
    expect(page.locator("[data-pending]")).to_contain_text("Waits for the connection")
    assert chat.socket.of_type("send") == []
    page.context.set_offline(False)
    assert chat.frame("send")["text"] == "From the tunnel"
    expect(page.locator("#status")).to_be_hidden()


def test_a_draft_survives_a_reload(page, eggs):
    Chat(page, eggs)
    page.fill("#words", "half a thought")
    page.reload()
    expect(page.locator("#words")).to_have_value("half a thought")


def test_a_busy_server_is_said_and_the_message_can_be_tried_again(page, eggs):
    chat = Chat(page, eggs)
    chat.write("Are you there?")
    first = chat.frame("send")
    chat.socket.say(
        type="busy", message=None, detail="Nine wait before you.", retry_after=5,
        request=first["id"],
    )  # fmt: skip
    expect(page.locator("[data-pending]")).to_contain_text("Nine wait before you.")
    page.click('[data-action="resend"]')
    assert chat.frame("send", 2)["id"] == first["id"]


def test_a_refused_message_comes_back_into_the_field(page, eggs):
    chat = Chat(page, eggs)
    chat.write("unwanted")
    request = chat.frame("send")["id"]
    chat.socket.say(type="error", detail="This cannot be stored.", code="invalid", request=request)
    expect(page.locator("#words")).to_have_value("unwanted")
    expect(page.locator(".toast")).to_contain_text("This cannot be stored.")
    expect(page.locator("[data-pending]")).to_have_count(0)


def test_a_failed_answer_keeps_its_part_and_offers_another_try(page, eggs):
    eggs[1] |= {"state": "failed", "error": "The engine went away."}
    chat = Chat(page, eggs)
    expect(chat.last).to_contain_text("minutes")
    expect(chat.last).to_contain_text("The engine went away.")
    chat.last.get_by_role("button", name="Try again").click()
    assert chat.frame("regenerate")["message"] == ANSWER


def test_a_reaction_can_be_given_explained_and_taken_back(page, eggs):
    chat = Chat(page, eggs)
    dislike = chat.last.locator('[data-reaction="dislike"]')
    dislike.click()
    given = chat.frame("react")
    assert (given["message"], given["reaction"], given["on"]) == (ANSWER, "dislike", True)
    expect(dislike).to_have_attribute("aria-pressed", "true")
    chat.last.get_by_role("button", name="Too long").click()
    assert chat.frame("react", 2)["reasons"] == ["too-long"]
    dislike.click()
    assert chat.frame("react", 3)["on"] is False
    expect(page.locator(".reasons")).to_have_count(0)
    chat.socket.say(type="reaction", message=ANSWER, reactions=["love"])
    expect(chat.last.locator('[data-reaction="love"]')).to_have_attribute("aria-pressed", "true")


def test_versions_of_an_answer_can_be_compared(page, eggs):
    both = [ANSWER, SECOND]
    eggs[1] |= {"siblings": both, "reactions": ["love"]}
    other = message(SECOND, "assistant", "Nine minutes.", QUESTION, siblings=both)
    chat = Chat(page, [*eggs, other])
    expect(chat.last).to_contain_text("Nine minutes.")
    expect(chat.last).to_contain_text("2 of 2")
    chat.last.get_by_role("button", name="Previous version").click()
    expect(chat.last).to_contain_text("Eight minutes.")
    expect(chat.last.locator('[data-reaction="love"]')).to_have_attribute("aria-pressed", "true")
    assert chat.frame("select")["message"] == ANSWER


def test_editing_a_question_asks_for_a_new_branch(page, eggs):
    chat = Chat(page, eggs)
    question = page.locator('.message[data-role="user"]')
    question.hover()
    question.get_by_role("button", name="Edit").click()
    page.keyboard.type(" Softly.")
    page.keyboard.press("Enter")
    frame = chat.frame("edit")
    assert (frame["message"], frame["text"]) == (QUESTION, "How do I boil an egg? Softly.")


def test_the_first_message_makes_the_conversation_and_gives_it_an_address(page):
    chat = Chat(page, [], at=None)
    chat.write("Hello")
    assert chat.frame("send")["text"] == "Hello"
    assert page.url == f"{ORIGIN}/c/{HOME}/"


def test_too_long_a_message_cannot_be_sent_and_the_limit_is_said(page, eggs):
    chat = Chat(page, eggs)
    page.fill("#words", "🥚" * 100)
    expect(page.locator("[data-send]")).to_be_enabled()
    page.fill("#words", "🥚" * 101)
    expect(page.locator("[data-send]")).to_be_disabled()
    expect(page.locator(".composer__count")).to_have_text("101 / 100")
    page.press("#words", "Enter")
    expect(page.locator("#words")).to_have_value("🥚" * 101)
    assert chat.socket.of_type("send") == []


def test_reading_further_up_is_not_disturbed_by_new_words(page, eggs):
    eggs[1] |= {"text": "word " * 3000, "html": str(render("word " * 3000))}
    grows = message(SECOND, "user", "More?", ANSWER)
    chat = Chat(page, [*eggs, grows])
    expect(page.locator('.message[data-role="user"]').last).to_be_in_viewport()
    page.evaluate("document.querySelector('#scroll').scrollTop = 100")
    expect(page.locator("#jump")).to_be_visible()
    third = str(uuid.UUID(int=14))
    chat.socket.say(
        type="message", message=message(third, "assistant", "new " * 500, SECOND, state="streaming")
    )
    expect(chat.answers).to_have_count(2)
    assert page.evaluate("document.querySelector('#scroll').scrollTop") == 100
    page.click("#jump")
    expect(page.locator("#jump")).to_be_hidden()


def test_keys_do_nothing_while_typing(page, eggs):
    Chat(page, eggs)
    page.fill("#words", "")
    page.locator("#words").press_sequentially("n?/")
    expect(page.locator("#words")).to_have_value("n?/")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.locator("#words").blur()
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_contain_text("New chat")


def test_a_deleted_conversation_can_be_taken_back_until_the_page_is_left(page, eggs):
    chat = Chat(page, eggs)
    item = page.locator(".conversations__item")
    expect(item).to_have_count(1)
    item.hover()
    item.locator("[data-delete]").click()
    expect(item).to_have_count(0)
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(item).to_have_count(1)
    assert chat.deleted == []
    item.hover()
    item.locator("[data-delete]").click()
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    page.wait_for_url(f"{ORIGIN}/")
    assert chat.deleted == [f"{ORIGIN}/api/conversations/{HOME}/"]


def test_the_page_can_be_read_without_scripts(chromium, eggs):
    with clean_page(chromium, java_script_enabled=False) as page:
        Chat(page, eggs)
        expect(page.locator(".thread strong")).to_have_text("minutes")
        expect(page.locator("#words")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_one_column_and_keeps_the_list_in_a_drawer(chromium, eggs, scheme):
    phone = {"width": 390, "height": 844}
    with clean_page(
        chromium, viewport=phone, has_touch=True, is_mobile=True, color_scheme=scheme
    ) as page:
        chat = Chat(page, eggs)
        expect(chat.last).to_be_visible()
        drawer = page.locator("#conversations")
        expect(drawer).to_be_hidden()
        page.tap("#show-list")
        expect(drawer).to_be_visible()
        page.tap("#conversations [data-close]")
        expect(drawer).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        for button in chat.last.locator(".message__bar button:visible").all():
            assert button.bounding_box()["height"] >= 44


def test_switching_the_theme_is_remembered_in_a_cookie(page, eggs):
    Chat(page, eggs)
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert "theme=dark" in page.evaluate("document.cookie")


def test_an_answer_that_was_on_screen_is_told_with_how_much_and_how_long(page, eggs):
    chat = Chat(page, eggs)
    seen = chat.event("exposure")
    assert (seen["message"], seen["share_seen"]) == (ANSWER, 1)
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    dwell = chat.event("dwell")
    assert dwell["message"] == ANSWER
    assert 1000 <= dwell["duration_ms"] < 60_000


def test_what_was_never_on_screen_is_not_told(page, eggs):
    eggs[1] |= {"text": "word " * 3000, "html": str(render("word " * 3000))}
    later = [message(SECOND, "user", "More? " * 200, ANSWER)]
    third = str(uuid.UUID(int=14))
    later.append(message(third, "assistant", "line\n\n" * 60, SECOND))
    chat = Chat(page, [*eggs, *later])
    assert chat.event("exposure")["message"] == third
    assert {one["message"] for one in chat.told} == {third}


def test_events_wait_for_the_server_and_are_told_once(chromium, eggs):
    context = chromium.new_context()  # whose console may complain of the refusal
    page = context.new_page()
    chat = Chat(page, eggs)
    chat.refuse = 1
    chat.last.locator('[data-action="copy"]').click()
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    page.wait_for_timeout(300)
    assert chat.told == []
    page.reload()  # another page finds what this one could not tell
    copied = chat.event("copy")
    assert copied["message"] == ANSWER
    assert copied["client_time"]
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    page.wait_for_timeout(300)
    assert [one["kind"] for one in chat.told].count("copy") == 1
    kept = page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('signal:'))")
    assert kept == []
    context.close()


def test_a_reaction_the_socket_never_confirmed_goes_by_the_other_door(page, eggs):
    chat = Chat(page, eggs)
    chat.last.locator('[data-reaction="love"]').click()
    frame = chat.frame("react")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    told = chat.event("reaction")
    assert (told["id"], told["message"], told["reaction"]) == (frame["id"], ANSWER, "love")


def test_an_answer_can_be_reported_with_a_reason(page, eggs):
    chat = Chat(page, eggs)
    chat.last.locator('[data-action="report"]').click()
    dialog = page.locator("#report-dialog")
    dialog.get_by_role("button", name="Report").click()
    expect(dialog).to_contain_text("Choose a reason")
    dialog.get_by_text("Dangerous or harmful").click()
    dialog.get_by_label("In your words").fill("Too hot")
    dialog.get_by_role("button", name="Report").click()
    expect(dialog).to_be_hidden()
    told = chat.event("report")
    assert (told["message"], told["reasons"], told["comment"]) == (ANSWER, ["harmful"], "Too hot")


def test_a_link_is_made_copied_and_taken_back(page, eggs):
    chat = Chat(page, eggs)
    expect(chat.last).to_be_visible()
    page.locator("#share").click()
    dialog = page.locator("#share-dialog")
    dialog.get_by_role("button", name="Make a link").click()
    expect(dialog.locator(".share__link input")).to_have_value(f"{ORIGIN}/s/token/")
    assert chat.links[0]["leaf"] == ANSWER
    dialog.get_by_role("button", name="Take back").click()
    expect(dialog.locator(".share__link")).to_have_count(0)
    assert chat.deleted == [f"{ORIGIN}/api/shares/{SECOND}/"]


def test_conversations_are_searched_by_the_server_and_shown_with_the_place(page, eggs):
    chat = Chat(page, eggs)
    hostile = "an <b>egg</b>"
    other = str(uuid.UUID(int=8))
    chat.found = [
        {"id": other, "title": "Breakfast", "place": hostile, "updated_at": "2026-01-01T00:00:00Z"}
    ]
    page.fill("#search", "egg")
    item = page.locator(".conversations__item")
    expect(item).to_contain_text("Breakfast")
    expect(item.locator(".conversations__place")).to_have_text(hostile)
    expect(item.locator("a")).to_have_attribute("href", f"/c/{other}/")
    page.fill("#search", "nowhere")
    expect(page.locator("#none")).to_have_text("Nothing found")
    expect(item).to_have_count(0)


def test_a_conversation_is_renamed_in_its_place(page, eggs):
    chat = Chat(page, eggs)
    expect(chat.last).to_be_visible()
    item = page.locator(".conversations__item")
    item.hover()
    item.locator("[data-rename]").click()
    field = item.get_by_label("New name")
    expect(field).to_have_value("Eggs")
    field.fill("Never kept")
    field.press("Escape")
    expect(item).to_contain_text("Eggs")
    item.hover()
    item.locator("[data-rename]").click()
    field.fill("Soft eggs")
    field.press("Enter")
    expect(item).to_contain_text("Soft eggs")
    assert chat.renamed == ["Soft eggs"]


def test_the_newest_answer_is_judged_and_asked_again_by_one_key(page, eggs):
    chat = Chat(page, eggs)
    expect(chat.last.locator('[data-reaction="love"]')).to_be_visible()
    page.locator("#words").press("Escape")
    page.keyboard.press("1")
    assert chat.frame("react")["reaction"] == "love"
    page.keyboard.press("r")
    assert chat.frame("regenerate")["message"] == ANSWER
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_contain_text("Love the newest answer")


def test_the_later_question_is_answered_by_one_press(chromium):
    earlier = {
        "pk": ANSWER, "text": "Eight minutes.", "parent": {"text": "How long?"},
        "finished_at": timezone.now() - timedelta(days=2), "conversation_id": HOME,
    }  # fmt: skip
    with clean_page(chromium) as page:
        chat = Chat(page, [], at=None, earlier=earlier)
        expect(page.locator("#hindsight")).to_contain_text("How long?")
        page.get_by_role("button", name="No, it misled me").click()
        told = chat.event("hindsight")
        assert (told["message"], told["reaction"]) == (ANSWER, "misled")
        expect(page.locator("#hindsight")).to_have_count(0)


def test_all_chats_are_deleted_only_after_a_question(page, eggs):
    chat = Chat(page, eggs)
    page.locator(".conversations__foot summary").click()
    page.get_by_role("button", name="Delete them all").click()
    page.get_by_role("button", name="Keep them").click()
    assert chat.deleted == []
    page.locator(".conversations__foot summary").click()
    page.get_by_role("button", name="Delete them all").click()
    page.locator("#erase-dialog").get_by_role("button", name="Delete all").click()
    page.wait_for_url(f"{ORIGIN}/")
    assert chat.deleted == [f"{ORIGIN}/api/own-data/"]


def test_a_picture_is_added_shown_and_sent_with_the_words(page, eggs):
    chat = Chat(page, eggs, takes_images=True)
    expect(chat.last).to_be_visible()
    file = {"name": "egg.png", "mimeType": "image/png", "buffer": base64.b64decode(PIXEL)}
    page.set_input_files("[data-attach] input", file)
    expect(page.locator(".composer__image img")).to_be_visible()
    chat.write("What is this?")
    sent = chat.frame("send")
    assert sent["images"] == [SECOND]
    expect(page.locator(".composer__image")).to_have_count(0)
    chat.socket.say(type="error", detail="Not now.", code="invalid", request=sent["id"])
    expect(page.locator(".composer__image")).to_have_count(1)
    page.get_by_role("button", name="Remove the picture").click()
    expect(page.locator(".composer__image")).to_have_count(0)


def test_where_the_model_takes_no_pictures_there_is_no_button(page, eggs):
    Chat(page, eggs)
    expect(page.locator("#words")).to_be_visible()
    expect(page.locator("[data-attach]")).to_have_count(0)
