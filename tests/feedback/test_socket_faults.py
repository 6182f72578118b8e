"""The chat when something breaks: sockets cut, engines that die, Redis away, full lines."""

import asyncio
import uuid

import pytest
import redis
from channels.layers import get_channel_layer

from feedback import events, live
from feedback.models import Message
from feedback.services import generation
from feedback.threads import in_thread
from tests.inference.double import DIE, Gate

pytestmark = pytest.mark.django_db(transaction=True)


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
