"""The chat through its socket: streaming, branches, stops, reconnects, faults."""

import asyncio
import json
import uuid

import pytest
import redis
from channels.layers import get_channel_layer

from feedback import events, live
from feedback.models import Event, Message
from feedback.services import generation
from feedback.threads import in_thread
from inference.services import deployments
from tests.inference.double import DIE, Gate

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


def test_a_window_that_comes_back_in_mid_answer_hears_the_rest_and_nothing_twice(
    alice, served, engine_double, begin, open_window, play
):
    gate = Gate()
    engine_double.says("first part, ", gate, "second part")
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        await window.say("send", text="Go on", parent=None)
        await window.until("delta")
        await window.close()
        back, snapshot = await open_window(alice, conversation)
        under_way = snapshot["messages"][-1]
        assert under_way["state"] == "streaming"
        gate.open()
        done = await back.until("done")
        rest = "".join(one["text"] for one in back.heard if one["type"] == "delta")
        return under_way["text"], rest, done["message"]["text"]

    before, rest, whole = play(scene())
    assert before == "first part, "
    assert rest == "second part"
    assert before + rest == whole


def test_nothing_is_lost_between_the_last_piece_and_the_end(
    alice, served, engine_double, begin, open_window, play
):
    words = [f"w{number} " for number in range(40)]
    engine_double.says(*words)
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        for _ in range(5):
            done = await window.answer("Go")
            told = "".join(
                one["text"]
                for one in window.heard
                if one["type"] == "delta" and one["message"] == done["id"]
            )
            assert told == done["text"] == "".join(words)

    play(scene())


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


def test_an_answer_nobody_reads_is_stopped_after_the_grace_time(
    alice, served, engine_double, begin, open_window, play, settings
):
    settings.CHAT_GRACE_S = 0.2
    engine_double.says("as far as this", Gate(), "never")
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        await window.say("send", text="Go on", parent=None)
        delta = await window.until("delta")
        await window.close()
        writing = generation.running(uuid.UUID(delta["message"]))
        while not writing.ended:
            await asyncio.sleep(0.01)
        return delta["message"]

    message = Message.objects.get(pk=play(scene()))
    assert message.state == "stopped"
    assert message.text == "as far as this"
    assert engine_double.left.wait(5)


def test_an_engine_that_dies_in_mid_answer_leaves_the_part_and_a_retry(
    alice, served, engine_double, begin, open_window, play
):
    engine_double.says("half of ", DIE)
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        failed = await window.answer("Hello")
        engine_double.says("all of it")
        await window.say("regenerate", message=failed["id"])
        return failed, (await window.until("done"))["message"]

    failed, retried = play(scene())
    assert (failed["state"], failed["text"]) == ("failed", "half of ")
    assert "middle" in failed["error"]
    assert (retried["state"], retried["text"]) == ("complete", "all of it")


def test_an_engine_that_is_down_is_told_and_the_question_is_kept(
    alice, served, begin, open_window, play, settings
):
    settings.ENGINE_URL = "http://127.0.0.1:9"
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        return await window.answer("Is anybody there?")

    failed = play(scene())
    assert failed["state"] == "failed"
    assert "not running" in failed["error"]
    assert Message.objects.get(pk=failed["parent"]).text == "Is anybody there?"


def test_a_full_line_is_told_as_busy_with_the_time_to_wait(
    alice, ben, served, engine_double, begin, open_window, play, settings
):
    settings.ENGINE_RUNNING, settings.ENGINE_WAITING = 1, 0
    gate = Gate()
    engine_double.says("taking my time", gate)
    hers, his = begin(alice), begin(ben)

    async def scene():
        alices, _ = await open_window(alice, hers)
        bens, _ = await open_window(ben, his)
        await alices.say("send", text="Me first", parent=None)
        await alices.until("delta")
        await bens.say("send", text="Me too", parent=None)
        busy = await bens.until("busy")
        gate.open()
        await alices.until("done")
        return busy

    busy = play(scene())
    assert busy["retry_after"] >= 1
    assert Message.objects.get(pk=busy["message"]).state == "failed"


def test_an_answer_whose_process_died_is_mended_when_the_window_opens_again(
    alice, served, engine_double, begin, open_window, play, monkeypatch
):
    engine_double.says("before the crash", Gate(), "never")
    conversation = begin(alice)

    async def life_one():
        window, _ = await open_window(alice, conversation)
        await window.say("send", text="Hello", parent=None)
        delta = await window.until("delta")
        # As after kill -9: nothing is stored at the end, and the sign of life lapses.
        writing = generation.running(uuid.UUID(delta["message"]))
        monkeypatch.setattr(writing, "_finish", lambda *_: live.store().ping())
        writing.task.cancel()
        await writing.wait()
        await live.store().delete(f"preferendum:alive:{delta['message']}")
        return delta["message"]

    async def life_two():
        _, snapshot = await open_window(alice, conversation)
        return snapshot["messages"][-1]

    message_id = play(life_one())
    assert Message.objects.get(pk=message_id).state == "queued"
    monkeypatch.setattr(live, "ALIVE_SECONDS", 0)  # the test's Redis has only just started
    mended = play(life_two())
    assert mended["id"] == message_id
    assert (mended["state"], mended["text"]) == ("failed", "before the crash")
    assert "Ask again" in mended["error"]


def test_an_answer_that_is_being_written_is_left_alone_by_the_sweep(
    alice, served, engine_double, begin, open_window, play, monkeypatch
):
    monkeypatch.setattr(live, "ALIVE_SECONDS", 1)
    gate = Gate()
    engine_double.says("still ", gate, "here")
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        await window.say("send", text="Hello", parent=None)
        await window.until("delta")
        swept = await in_thread(generation.sweep)
        gate.open()
        return swept, (await window.until("done"))["message"]

    swept, done = play(scene())
    assert swept == []
    assert done["text"] == "still here"


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


def test_too_many_answers_at_once_are_refused_as_busy(
    alice, served, engine_double, begin, open_window, play, settings
):
    settings.CHAT_PARALLEL = 1
    gate = Gate()
    engine_double.says("slow", gate)
    one, two = begin(alice), begin(alice)

    async def scene():
        first, _ = await open_window(alice, one)
        second, _ = await open_window(alice, two)
        await first.say("send", text="one", parent=None)
        await first.until("delta")
        request = await second.say("send", text="two", parent=None)
        busy = await second.until("busy")
        gate.open()
        await first.until("done")
        assert busy["request"] == request
        return busy

    busy = play(scene())
    assert busy["message"] is None
    assert Message.objects.filter(conversation=two).count() == 0


def test_waiting_for_a_free_place_is_shown_as_queued(
    alice, ben, served, engine_double, begin, open_window, play, settings
):
    settings.ENGINE_RUNNING, settings.ENGINE_WAITING = 1, 5
    gate = Gate()
    engine_double.says("text", gate)
    hers, his = begin(alice), begin(ben)

    async def scene():
        alices, _ = await open_window(alice, hers)
        bens, _ = await open_window(ben, his)
        await alices.say("send", text="Me first", parent=None)
        await alices.until("delta")
        await bens.say("send", text="Me too", parent=None)
        shown = await bens.until("message")
        while shown["message"]["role"] != "assistant" or shown["message"]["state"] != "queued":
            shown = await bens.until("message")
        gate.open()
        return (await bens.until("done"))["message"]["state"]

    assert play(scene()) == "complete"


def test_an_answer_is_stored_whole_though_redis_was_away(
    alice, served, engine_double, begin, open_window, play, monkeypatch
):
    gate = Gate()
    engine_double.says("before, ", gate, "meanwhile")
    conversation = begin(alice)

    async def away(*args, **kwargs):
        raise redis.ConnectionError("away")

    async def scene():
        window, _ = await open_window(alice, conversation)
        await window.say("send", text="Hello", parent=None)
        delta = await window.until("delta")
        writing = generation.running(uuid.UUID(delta["message"]))
        for name in ("append", "replace", "pulse", "end"):
            monkeypatch.setattr(live, name, away)
        monkeypatch.setattr(get_channel_layer(), "group_send", away)
        gate.open()
        await writing.wait()
        monkeypatch.undo()
        await window.say("resume")
        return (await window.until("snapshot"))["messages"][-1]

    answer = play(scene())
    assert (answer["state"], answer["text"]) == ("complete", "before, meanwhile")


def test_a_window_fills_gaps_by_itself(alice, served, engine_double, begin, open_window, play):
    gate = Gate()
    engine_double.says("one ", gate, "two")
    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        await window.say("send", text="Hello", parent=None)
        delta = await window.until("delta")
        # A piece whose message was lost on its way through the channel layer.
        await live.append(uuid.UUID(delta["message"]), "lost ")
        later = {"type": "delta", "message": delta["message"], "offset": 9, "text": "late"}
        await live.append(uuid.UUID(delta["message"]), "late")
        await events.tell(uuid.UUID(conversation), later)
        filled = await window.until("delta")
        gate.open()
        return filled

    filled = play(scene())
    assert (filled["offset"], filled["text"]) == (4, "lost late")
