"""Who may talk through a socket, and what hostile people can send."""

import uuid

import pytest

from feedback.models import Event, Message

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", "a\u202eb", "e" + "\u0301" * 9_999, "\x01\x1b[31m", "🙂" * 99],
)
def test_hostile_text_is_stored_as_it_is_and_shown_as_text(
    alice, served, engine_double, begin, open_window, play, hostile
):
    engine_double.says(hostile)
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        return await window.answer(hostile)

    done = play(scene())
    assert done["text"] == hostile
    assert "<script" not in done["html"]
    assert Message.objects.get(pk=done["parent"]).text == hostile


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("not json", "JSON"),
        ("[1, 2]", "JSON object"),
        ('{"type": "dance"}', "not known"),
        ('{"type": ["send"]}', "not known"),
        ('{"type": "send", "id": "x", "text": "Hello"}', "UUID"),
        ('{"type": "send", "id": "%ID%", "text": "  "}', "Write something"),
        ('{"type": "send", "id": "%ID%", "text": 5}', "Write something"),
        ('{"type": "send", "id": "%ID%", "text": "a\\u0000b"}', "NUL"),
        ('{"type": "send", "id": "%ID%", "text": "\\ud800"}', "surrogate"),
        ('{"type": "send", "id": "%ID%", "text": "%LONG%"}', "at most 32,000"),
        ('{"type": "send", "id": "%ID%", "text": "Hi", "parent": "%ID%"}', "no such message"),
        ('{"type": "regenerate", "id": "%ID%", "message": "%ID%"}', "no such message"),
        ('{"type": "react", "id": "%ID%", "message": "%ID%", "reaction": "love"}', "no such"),
        ('{"type": "stop", "message": "%ID%"}', "no such message"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_a_bad_frame_is_answered_by_words_and_the_window_works_on(
    alice, served, begin, open_window, play, frame, words
):
    conversation = begin(alice)
    frame = frame.replace("%ID%", str(uuid.uuid4())).replace("%LONG%", "x" * 1_000_000)

    async def scene():
        window, _ = await open_window(alice, conversation)
        await window.send_raw(frame)
        error = await window.until("error")
        done = await window.answer("Still there?")
        return error, done

    error, done = play(scene())
    assert words in error["detail"]
    assert done["state"] == "complete"
    assert Message.objects.count() == 2


def test_the_conversation_of_somebody_else_is_closed_as_not_found(
    alice, mallory, guest, served, begin, open_window, play
):
    conversation = begin(alice)

    async def scene():
        _, hers = await open_window(mallory, conversation)
        _, strangers = await open_window(guest, conversation)
        _, nothing = await open_window(alice, uuid.uuid4())
        return hers, strangers, nothing

    assert play(scene()) == ({"closed": 4404}, {"closed": 4404}, {"closed": 4404})


def test_somebody_elses_answer_cannot_be_reacted_to_or_stopped(
    alice, mallory, served, begin, open_window, play
):
    hers, mallorys = begin(alice), begin(mallory)

    async def scene():
        window, _ = await open_window(alice, hers)
        done = await window.answer("Hello")
        other, _ = await open_window(mallory, mallorys)
        await other.say("react", message=done["id"], reaction="dislike", on=True)
        reaction = await other.until("error")
        await other.say("stop", message=done["id"])
        return reaction["code"], (await other.until("error"))["code"]

    assert play(scene()) == ("missing", "missing")
    assert not Event.objects.exists()


def test_a_guest_chats_by_cookie_and_keeps_the_conversation(
    guest, served, begin, open_window, play
):
    conversation = begin(guest)

    async def scene():
        window, _ = await open_window(guest, conversation)
        return await window.answer("Hello from nobody")

    done = play(scene())
    assert done["state"] == "complete"
    (listed,) = guest.get("/api/conversations/").json()["results"]
    assert listed["id"] == conversation
    assert listed["title"] == "Hello from nobody"


def test_a_forged_cookie_opens_nothing(guest, served, begin, open_window, play):
    conversation = begin(guest)
    key = guest.cookies["guest"].value.split(":")[0]
    guest.cookies["guest"] = f"{key}:forged"

    async def scene():
        return (await open_window(guest, conversation))[1]

    assert play(scene()) == {"closed": 4404}
