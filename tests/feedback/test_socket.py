"""The chat through its socket: streaming, branches, stops."""

import json
import uuid

import pytest

from feedback.models import Event, Message
from feedback.threads import in_thread
from inference.services import deployments
from tests.inference.double import Gate

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_answer_streams_in_order_and_is_stored_with_its_circumstances(
    alice, served, engine_double, begin, open_window, play
):
    engine_double.says("Good ", "day, ", "Alice.")
    conversation = begin(alice)

    async def scene():
        window, snapshot = await open_window(alice, conversation)
        assert snapshot["type"] == "snapshot"
        assert snapshot["messages"] == []
        done = await window.answer("Hello", parent=None)
        return window.heard, done

    heard, done = play(scene())
    deltas = [frame for frame in heard if frame["type"] == "delta"]
    text = ""
    for delta in deltas:
        assert delta["offset"] == len(text)
        text += delta["text"]
    assert text == done["text"] == "Good day, Alice."
    assert done["state"] == "complete"
    assert done["model"] == "first"
    assert "Good day" in done["html"]
    assert {"type": "title", "title": "Hello"} in heard
    stored = Message.objects.get(pk=done["id"])
    assert stored.text == text
    assert stored.model_version == served.model_version
    assert stored.deployment == served
    assert {"temperature", "top_p", "max_tokens", "seed"} <= set(stored.sampling)
    assert (stored.prompt_tokens, stored.completion_tokens) == (7, 3)
    assert stored.first_token_ms <= stored.duration_ms
    assert engine_double.requests[0]["seed"] == stored.sampling["seed"]


def test_what_is_finished_is_told_formatted_while_the_rest_is_written(
    alice, served, engine_double, begin, open_window, play
):
    engine_double.says("First **para", "graph**.\n\nSecond ", "one.\n\nThe end")
    talk = begin(alice)

    async def scene():
        window, _ = await open_window(alice, talk)
        await window.answer("Say three things.")
        told = [frame for frame in window.heard if frame["type"] == "blocks"]
        assert told[0]["from"] == 0
        assert "<strong>paragraph</strong>" in told[0]["html"]
        assert [one["to"] for one in told][:-1] == [one["from"] for one in told][1:]
        assert told[-1]["to"] == len("First **paragraph**.\n\nSecond one.\n\n")

    play(scene())


def test_the_model_is_given_the_path_and_not_the_other_branches(
    alice, served, engine_double, begin, open_window, play
):
    engine_double.script = lambda body: [f"answer {len(body['messages'])}"]
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        first = await window.answer("one")
        await window.answer("two", parent=first["id"])
        await window.say("regenerate", message=first["id"])
        again = (await window.until("done"))["message"]
        assert again["parent"] == first["parent"]
        assert again["siblings"] == [first["id"], again["id"]]
        await window.answer("three", parent=again["id"])

    play(scene())
    said = [[one["content"] for one in body["messages"]] for body in engine_double.requests]
    assert said == [
        ["one"],
        ["one", "answer 1", "two"],
        ["one"],
        ["one", "answer 1", "three"],
    ]


def test_editing_a_question_branches_and_keeps_the_old_one(alice, served, begin, open_window, play):
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        first = await window.answer("Tell me a jok")
        await window.say("edit", message=first["parent"], text="Tell me a joke")
        done = (await window.until("done"))["message"]
        _, snapshot = await open_window(alice, conversation)
        return first, done, snapshot

    first, done, snapshot = play(scene())
    questions = [one for one in snapshot["messages"] if one["role"] == "user"]
    assert [one["text"] for one in questions] == ["Tell me a jok", "Tell me a joke"]
    assert questions[0]["siblings"] == [one["id"] for one in questions]
    assert snapshot["leaf"] == done["id"]
    assert first["id"] in {one["id"] for one in snapshot["messages"]}


def test_choosing_a_branch_is_remembered(alice, served, begin, open_window, play):
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        first = await window.answer("one")
        await window.say("regenerate", message=first["id"])
        await window.until("done")
        await window.say("select", message=first["id"])
        await window.say("resume")
        return first["id"], (await window.until("snapshot"))["leaf"]

    chosen, leaf = play(scene())
    assert leaf == chosen


def test_the_same_request_sent_twice_is_done_once(
    alice, served, engine_double, begin, open_window, play
):
    conversation = begin(alice)
    frame = json.dumps({"type": "send", "id": str(uuid.uuid4()), "text": "Once", "parent": None})

    async def scene():
        window, _ = await open_window(alice, conversation)
        await window.send_raw(frame)
        await window.send_raw(frame)
        await window.until("done")
        await window.send_raw(frame)
        await window.say("resume")
        return await window.until("snapshot")

    snapshot = play(scene())
    assert [one["role"] for one in snapshot["messages"]] == ["user", "assistant"]
    assert len(engine_double.requests) == 1


def test_two_windows_hear_the_same(alice, served, engine_double, begin, open_window, play):
    conversation = begin(alice)

    async def scene():
        one, _ = await open_window(alice, conversation)
        two, _ = await open_window(alice, conversation)
        await one.say("send", text="Hello both", parent=None)
        return await one.until("done"), await two.until("done")

    one, two = play(scene())
    assert one == two


def test_stop_keeps_what_has_been_written_and_frees_the_engine(
    alice, served, engine_double, begin, open_window, play
):
    engine_double.says("as far as this", Gate(), "never")
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        await window.say("send", text="Go on", parent=None)
        delta = await window.until("delta")
        await window.say("stop", message=delta["message"])
        return (await window.until("done"))["message"]

    done = play(scene())
    assert (done["state"], done["text"]) == ("stopped", "as far as this")
    assert engine_double.left.wait(5)
    assert Message.objects.get(pk=done["id"]).text == "as far as this"


def test_a_change_of_the_live_model_does_not_touch_the_answer_under_way(
    alice, served, engine_double, make_policy, begin, open_window, play
):
    gate = Gate()
    engine_double.script = lambda body: (
        ["old ", gate, "model"] if body["model"].endswith("first") else ["new model"]
    )
    conversation = begin(alice)
    second = make_policy("second")

    async def scene():
        window, _ = await open_window(alice, conversation)
        await window.say("send", text="Who are you?", parent=None)
        await window.until("delta")
        await in_thread(deployments.promote, project="demo", model_version=second)
        gate.open()
        old = (await window.until("done"))["message"]
        new = await window.answer("And now?", parent=old["id"])
        return old, new

    old, new = play(scene())
    assert (old["model"], old["text"]) == ("first", "old model")
    assert (new["model"], new["text"]) == ("second", "new model")


def test_a_reaction_given_and_taken_back_is_two_events_and_no_standing_reaction(
    alice, served, begin, open_window, play
):
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        done = await window.answer("Hello")
        given = await window.say("react", message=done["id"], reaction="love", on=True)
        on = await window.until("reaction")
        again = json.dumps(
            {"type": "react", "id": given, "message": done["id"], "reaction": "love", "on": True}
        )
        await window.send_raw(again)
        assert (await window.until("reaction"))["reactions"] == ["love"]
        await window.say("react", message=done["id"], reaction="love", on=False)
        off = await window.until("reaction")
        return on["reactions"], off["reactions"]

    assert play(scene()) == (["love"], [])
    assert list(Event.objects.values_list("kind", flat=True)) == ["reaction", "retraction"]
