"""Asking the engine: order, ends, deadlines, the line, and every way it can fail."""

import asyncio
from contextlib import aclosing

import pytest

from inference import client
from inference.errors import EngineBusy, EngineDown, EngineRefused, EngineTimeout
from inference.models import ModelVersion
from tests.inference.double import DIE, ERROR, Gate

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def policy() -> ModelVersion:
    return ModelVersion(name="one", kind="policy", form="full", location="/weights/one")


def run(work):
    """Run a coroutine in a loop of its own and close what the client kept for it."""

    async def whole():
        try:
            return await asyncio.wait_for(work, 20)
        finally:
            await client.close()

    return asyncio.run(whole())


async def gather(policy, **sampling) -> tuple[str, client.Piece]:
    text, last = "", None
    async with aclosing(
        client.stream(model_version=policy, messages=HELLO, sampling=sampling)
    ) as pieces:
        async for piece in pieces:
            text, last = text + piece.text, piece
    return text, last


def test_pieces_come_in_order_with_reason_and_usage(engine_double, policy):
    engine_double.says("one ", "two ", "three")
    text, last = run(gather(policy, temperature=0.5, max_tokens=9, seed=3))
    assert text == "one two three"
    assert last.finish_reason == "stop"
    assert last.usage == client.Usage(7, 3)
    (request,) = engine_double.requests
    assert request["model"] == "/weights/one"
    assert (request["temperature"], request["max_tokens"], request["seed"]) == (0.5, 9, 3)


def test_only_known_sampling_fields_reach_the_engine(engine_double, policy):
    run(gather(policy, temperature=1.0, trimmed={"messages": 2}))
    assert "trimmed" not in engine_double.requests[0]


def test_a_version_is_loaded_once_before_its_first_answer(engine_double, policy):
    async def twice():
        await gather(policy)
        await gather(policy)

    run(twice())
    assert engine_double.loads == ["/weights/one"]


def test_vllm_is_asked_for_an_adapter_by_the_name_of_the_version(engine_double):
    engine_double.is_vllm = True
    adapter = ModelVersion(name="round-2", kind="policy", form="adapter", location="/weights/r2")
    run(gather(adapter))
    assert engine_double.adapters == ["round-2"]
    assert engine_double.requests[0]["model"] == "round-2"


def test_an_adapter_is_refused_where_only_full_weights_can_be_served(engine_double):
    adapter = ModelVersion(name="round-2", kind="policy", form="adapter", location="/weights/r2")
    with pytest.raises(EngineRefused, match="Merge it"):
        run(gather(adapter))


@pytest.mark.parametrize(
    "pieces", [["say ", "STOP", " no"], ["say S", "TO", "P no"], ["say STOP no"]]
)
def test_text_ends_before_a_stop_string_however_it_is_cut(engine_double, policy, pieces):
    engine_double.says(*pieces)
    text, last = run(gather(policy, stop=["STOP"]))
    assert text == "say "
    assert last.finish_reason == "stop"


def test_the_beginning_of_a_stop_string_is_kept_when_nothing_follows(engine_double, policy):
    engine_double.says("say S", "TO")
    assert run(gather(policy, stop=["STOP"]))[0] == "say STO"


def test_a_reader_that_leaves_closes_the_request(engine_double, policy):
    gate = Gate()
    engine_double.says("first", gate, "never")

    async def leave():
        async with aclosing(
            client.stream(model_version=policy, messages=HELLO, sampling={})
        ) as pieces:
            async for piece in pieces:
                assert piece.text == "first"
                break

    run(leave())
    assert engine_double.left.wait(5)


def test_an_engine_that_ends_in_mid_answer_is_told_and_not_asked_again(engine_double, policy):
    engine_double.says("half", DIE)
    heard = []

    async def listen():
        async for piece in client.stream(model_version=policy, messages=HELLO, sampling={}):
            heard.append(piece.text)

    with pytest.raises(EngineDown, match="in the middle"):
        run(listen())
    assert heard == ["half"]
    assert len(engine_double.requests) == 1


def test_an_error_inside_the_stream_is_a_failure(engine_double, policy):
    engine_double.says("half", ERROR)
    with pytest.raises(EngineDown):
        run(gather(policy))


def test_an_engine_that_is_not_there_is_waited_for_until_the_deadline(settings, policy):
    settings.ENGINE_URL = "http://127.0.0.1:9"
    settings.ENGINE_CONNECT_S = 0.3
    with pytest.raises(EngineDown, match="restarted"):
        run(gather(policy))


def test_an_engine_that_comes_up_late_still_answers(settings, policy):
    from tests.inference.double import EngineDouble

    late = EngineDouble()
    settings.ENGINE_URL = late.url
    settings.ENGINE_CONNECT_S = 10.0
    # The port takes connections but nobody answers until the server runs.

    async def ask():
        asked = asyncio.create_task(gather(policy))
        await asyncio.sleep(0)
        with late.serving():
            return await asked

    assert run(ask())[0] == "Hello there."


def test_a_first_token_that_does_not_come_is_a_timeout(engine_double, policy, settings):
    settings.ENGINE_FIRST_TOKEN_S = 0.2
    engine_double.says(Gate(), "late")
    with pytest.raises(EngineTimeout, match="begin"):
        run(gather(policy))
    assert engine_double.left.wait(5)


def test_an_answer_that_stalls_is_a_timeout(engine_double, policy, settings):
    settings.ENGINE_STALL_S = 0.2
    engine_double.says("half", Gate())
    with pytest.raises(EngineTimeout, match="finish"):
        run(gather(policy))


def test_the_deadline_of_the_caller_holds(engine_double, policy):
    engine_double.says("half", Gate())

    async def ask():
        return await client.complete(
            model_version=policy, messages=HELLO, sampling={}, deadline_s=0.2
        )

    with pytest.raises(EngineTimeout):
        run(ask())


def test_a_refusal_is_told_once(engine_double, policy):
    engine_double.status = 400
    with pytest.raises(EngineRefused, match="400"):
        run(gather(policy))
    assert len(engine_double.requests) == 1


def test_a_version_the_engine_has_forgotten_is_loaded_again(engine_double, policy):
    engine_double.status = 404
    with pytest.raises(EngineRefused):
        run(gather(policy))
    assert engine_double.loads == ["/weights/one"] * 2


def test_beyond_the_waiting_line_it_says_busy_with_the_place_and_the_time(
    engine_double, policy, settings
):
    settings.ENGINE_RUNNING, settings.ENGINE_WAITING = 1, 1
    gate = Gate()
    engine_double.says("first", gate)
    positions = []

    async def crowd():
        one = asyncio.create_task(gather(policy))
        await asyncio.to_thread(gate.reached.wait, 5)

        async def wait_in_line():
            async for _ in client.stream(
                model_version=policy, messages=HELLO, sampling={}, on_wait=positions.append
            ):
                pass

        two = asyncio.create_task(wait_in_line())
        while not positions:
            await asyncio.sleep(0)
        with pytest.raises(EngineBusy) as caught:
            await gather(policy)
        gate.open()
        await asyncio.gather(one, two)
        return caught.value

    busy = run(crowd())
    assert positions == [1]
    assert busy.position == 2
    assert busy.retry_after >= 1


def test_a_place_in_the_line_is_given_back_by_one_who_leaves(engine_double, policy, settings):
    settings.ENGINE_RUNNING, settings.ENGINE_WAITING = 1, 1
    gate = Gate()
    engine_double.says("text", gate)

    async def crowd():
        one = asyncio.create_task(gather(policy))
        await asyncio.to_thread(gate.reached.wait, 5)
        two = asyncio.create_task(gather(policy))
        line = client.connection().line
        while not line.waiting:
            await asyncio.sleep(0)
        two.cancel()
        await asyncio.wait([two])
        assert line.waiting == 0
        gate.open()
        await one
        assert line.running == 0
        return (await gather(policy))[0]

    assert run(crowd()) == "text"


def test_text_that_no_database_keeps_is_made_storable(engine_double, policy):
    engine_double.says("a\x00b", "\ud800c")
    assert run(gather(policy))[0] == "a\ufffdb?c"
