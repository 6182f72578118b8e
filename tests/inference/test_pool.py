"""Several engines behind one client: routed by load, past those that fail, drained in peace."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, aclosing
from time import monotonic

import pytest
from django.core.cache import cache

from inference import client, pool
from inference.models import ModelVersion
from tests.inference.double import DIE, EngineDouble, Gate

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def engines(settings) -> Iterator[list[EngineDouble]]:
    """Two generation servers behind one pool."""
    with ExitStack() as stack:
        doubles = [stack.enter_context(EngineDouble().serving()) for _ in range(2)]
        settings.ENGINE_URLS = [double.url for double in doubles]
        settings.ENGINE_RUNNING = 32
        cache.delete("inference:draining")
        yield doubles
        cache.delete("inference:draining")


def run(work):
    async def whole():
        try:
            return await work()
        finally:
            await client.close()

    return asyncio.run(whole())


async def ask(version: ModelVersion) -> str:
    piece = await client.complete(model_version=version, messages=HELLO, sampling={})
    return piece.text


@pytest.mark.django_db
def test_answers_go_where_there_is_least_to_do(engines, make_policy):
    one = make_policy("one")
    gates = [Gate(), Gate()]
    for double, gate in zip(engines, gates, strict=True):
        double.says("so", gate, "done")

    async def work():
        asked = [asyncio.create_task(ask(one)) for _ in range(8)]
        while sum(len(double.requests) for double in engines) < 8:
            await asyncio.sleep(0.01)
        for gate in gates:
            gate.open()
        return await asyncio.gather(*asked)

    assert run(work) == ["sodone"] * 8
    assert [len(double.requests) for double in engines] == [4, 4]


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["gone", "failing", "dies before a word"])
def test_an_engine_that_fails_is_passed_over_and_rests(engines, make_policy, settings, how):
    one = make_policy("one")
    first, second = engines
    if how == "gone":
        settings.ENGINE_URLS = ["http://127.0.0.1:9", second.url]
    elif how == "failing":
        first.status = 500
    else:
        first.says(DIE)

    async def work():
        begun = monotonic()
        said = [await ask(one) for _ in range(4)]
        return said, monotonic() - begun, pool.load_of(client.pool())

    said, seconds, load = run(work)
    assert said == ["Hello there."] * 4
    assert seconds < 3
    assert len(first.requests) <= 1
    assert [one["well"] for one in load] == [False, True]


@pytest.mark.django_db
def test_a_drained_engine_ends_what_it_says_and_takes_no_more(engines, make_policy):
    one = make_policy("one")
    gate = Gate()
    for double in engines:
        double.says("slow", gate, "ly")
    first, second = engines

    async def work():
        under_way = [asyncio.create_task(ask(one)) for _ in range(2)]
        while not (first.requests and second.requests):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(pool.drain, first.url)
        await client.pool().look(again=True)
        later = [asyncio.create_task(ask(one)) for _ in range(3)]
        while len(second.requests) < 4:
            await asyncio.sleep(0.01)
        gate.open()
        return await asyncio.gather(*under_way, *later)

    assert run(work) == ["slowly"] * 5
    assert len(first.requests) == 1
    pool.drain(first.url, on=False)
    assert pool.draining() == set()


@pytest.mark.django_db
def test_a_version_is_loaded_and_unloaded_on_every_engine(engines, make_policy):
    for double in engines:
        double.is_vllm = True
    one = make_policy("one")
    one.form = "adapter"

    async def work():
        await client.load(one)
        loaded = [list(double.adapters) for double in engines]
        await client.unload(one)
        return loaded, await client.pool().health()

    loaded, health = run(work)
    assert loaded == [["one"], ["one"]]
    assert [double.adapters for double in engines] == [[], []]
    assert list(health.values()) == [True, True]


@pytest.mark.django_db
def test_a_switch_under_32_running_streams_breaks_none_and_is_quick(engines, make_policy):
    """New answers name the new version at once; those under way end as they began."""
    old, new = make_policy("old"), make_policy("new")
    for double in engines:
        double.is_vllm = True
    for version in (old, new):
        version.form = "adapter"
    gate = Gate()
    for double in engines:
        double.script = lambda body: [body["model"], gate, " to the end"]

    async def work():
        async def stream() -> str:
            text = ""
            pieces = client.stream(model_version=old, messages=HELLO, sampling={})
            async with aclosing(pieces):
                async for piece in pieces:
                    text += piece.text
            return text

        running = [asyncio.create_task(stream()) for _ in range(32)]
        while sum(len(double.requests) for double in engines) < 32:
            await asyncio.sleep(0.01)
        decided = monotonic()
        await client.load(new, again=True)
        for double in engines:
            double.script = lambda body: [body["model"], " at once"]
        first_new = await ask(new)
        took = monotonic() - decided
        gate.open()
        return await asyncio.gather(*running), first_new, took

    ended, first_new, took = run(work)
    assert ended == ["old to the end"] * 32
    assert first_new == "new at once"
    assert took < 5
