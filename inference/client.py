"""Ask the generation server for an answer: the OpenAI protocol, for every engine alike.

One pool of engines, and one bounded line, per event loop (in practice per process). Model names
and paths come from a ModelVersion, never from whoever asks.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import httpx
from django.conf import settings

from inference.engines import Engine, recognise
from inference.errors import EngineDown, EngineRefused, EngineTimeout
from inference.models import ModelVersion
from inference.pool import Connection, Pool, urls

Chat = list[dict[str, Any]]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens counted by the engine."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text, in order; the last piece has the reason of the end and, if known, the usage."""

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


_pools: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, ...], Pool]]" = (
    WeakKeyDictionary()
)


def pool() -> Pool:
    """The engines as the running loop shares them."""
    here = _pools.setdefault(asyncio.get_running_loop(), {})
    addresses = tuple(urls())
    if addresses not in here:
        here[addresses] = Pool(addresses)
    return here[addresses]


def connection() -> Connection:
    """The running loop's connection to the first engine."""
    return pool().engines[0]


async def close() -> None:
    """Close the running loop's connections (tests and short-lived loops)."""
    for shared in _pools.pop(asyncio.get_running_loop(), {}).values():
        await shared.close()


async def stream(
    *,
    model_version: ModelVersion,
    messages: Chat,
    sampling: dict[str, Any],
    deadline_s: float | None = None,
    on_wait: Callable[[int], None] | None = None,
) -> AsyncIterator[Piece]:
    """The answer to `messages`, piece by piece as the engine writes it.

    `sampling` may hold temperature, top_p, max_tokens, seed and stop. Closing the iterator
    (use `contextlib.aclosing`) closes the request, and the engine stops writing. Raises
    EngineBusy, EngineDown, EngineTimeout or EngineRefused; pieces given before stay true.
    """
    shared = pool()
    total = deadline_s or settings.ENGINE_TOTAL_S
    ends = asyncio.get_running_loop().time() + total
    async with shared.line.place(on_wait):
        raw = _attempts(shared, model_version, messages, sampling, ends)
        async with aclosing(_stopped_at(raw, sampling.get("stop"))) as pieces:
            async for piece in pieces:
                yield piece


async def complete(
    *,
    model_version: ModelVersion,
    messages: Chat,
    sampling: dict[str, Any],
    deadline_s: float | None = None,
) -> Piece:
    """The whole answer as one Piece; raises as `stream` does."""
    text, last = [], Piece()
    pieces = stream(
        model_version=model_version, messages=messages, sampling=sampling, deadline_s=deadline_s
    )
    async with aclosing(pieces):
        async for piece in pieces:
            text.append(piece.text)
            last = piece
    return Piece("".join(text), last.finish_reason, last.usage)


async def load(model_version: ModelVersion, *, again: bool = False) -> None:
    """Make every engine ready for a version; done once per process unless `again`.

    One that is away loads it later; raises when none could.
    """
    work = [_load(one, model_version, again=again) for one in pool().engines]
    found = await asyncio.gather(*work, return_exceptions=True)
    failures = [one for one in found if isinstance(one, BaseException)]
    if len(failures) == len(found):
        raise failures[0]
    for failure in failures:
        logger.warning("%s is not loaded everywhere: %s", model_version.name, failure)


async def _load(shared: Connection, model_version: ModelVersion, *, again: bool = False) -> None:
    lock = shared.loading.setdefault(model_version.name, asyncio.Lock())
    try:
        async with lock:
            if model_version.name in shared.loaded and not again:
                return
            engine = await _engine(shared)
            await engine.load(shared.http, model_version)
            shared.loaded.add(model_version.name)
    except httpx.TimeoutException as exc:
        raise EngineTimeout("Loading the model took too long.", retry_after=10) from exc
    except httpx.TransportError as exc:
        raise _down() from exc


async def unload(model_version: ModelVersion) -> None:
    """Free what the engines hold for a version that serves nobody any more."""
    failure = None
    for shared in pool().engines:
        try:
            await (await _engine(shared)).unload(shared.http, model_version)
        except httpx.TransportError as exc:
            failure = exc
        shared.loaded.discard(model_version.name)
    if failure is not None:
        raise _down() from failure


async def is_up() -> bool:
    """Whether an engine says it is well."""
    return any((await pool().health()).values())


async def _engine(shared: Connection) -> Engine:
    if shared.engine is None:
        shared.engine = await recognise(shared.http, settings.ENGINE_KIND)
    return shared.engine


def _down() -> EngineDown:
    return EngineDown("The model is not running at the moment; it is being restarted.")


async def _attempts(
    shared: Pool, model_version: ModelVersion, messages: Chat, sampling: dict, ends: float
) -> AsyncIterator[Piece]:
    """Try until the first piece: the engine may be starting, or have forgotten the version.

    After the first piece nothing is tried again, for it would be said twice.
    """
    clock = asyncio.get_running_loop().time
    connect_until = min(ends, clock() + settings.ENGINE_CONNECT_S)
    pause, forgotten, failures = 0.1, False, 0
    while True:
        spoke = False
        one = await shared.pick(model_version.name)
        one.running += 1
        try:
            await _load(one, model_version)
            async with aclosing(_request(one, model_version, messages, sampling, ends)) as pieces:
                async for piece in pieces:
                    spoke = True
                    yield piece
            return
        except EngineTimeout:
            if not spoke:
                shared.failed(one)  # one that hangs has least to do, and would be picked again
            raise
        except (EngineDown, EngineRefused) as exc:
            if spoke or (isinstance(exc, EngineRefused) and forgotten):
                raise
            one.loaded.discard(model_version.name)
            if isinstance(exc, EngineRefused):
                if exc.fields.get("status") != "404":
                    raise
                forgotten = True
                continue
            one.engine = None  # another kind of engine may come up at the same address
            if shared.failed(one) and clock() < ends:
                continue  # another engine is well
            failures += 1
            # Refused connections mean a restart and are worth the wait; failures inside are not.
            answered = exc.fields.get("status") is not None
            if clock() + pause > connect_until or (answered and failures > 1):
                raise
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 1.5)
        finally:
            one.running -= 1


async def _request(
    shared: Connection, model_version: ModelVersion, messages: Chat, sampling: dict, ends: float
) -> AsyncIterator[Piece]:
    engine = await _engine(shared)
    body = {
        "model": engine.model_name(model_version),
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        **engine.sampling(sampling),
    }
    clock = asyncio.get_running_loop().time
    first_ends = min(ends, clock() + settings.ENGINE_FIRST_TOKEN_S)
    request = shared.http.build_request(
        "POST", "/v1/chat/completions", json=body, timeout=httpx.Timeout(10.0, read=None, pool=None)
    )
    answer = None
    spoke, reason, usage = False, None, None
    try:
        async with asyncio.timeout_at(first_ends):
            answer = await shared.http.send(request, stream=True)
            if answer.status_code != 200:
                await answer.aread()
                raise _refusal(answer)
        chunks, held, done = answer.aiter_bytes(), b"", False
        while not done:
            until = min(ends, clock() + settings.ENGINE_STALL_S) if spoke else first_ends
            async with asyncio.timeout_at(until):
                chunk = await anext(chunks, None)
            # What has come together goes on together.
            *lines, held = (held + (b"\n" if chunk is None else chunk)).split(b"\n")
            texts, failure = [], None
            for line in map(bytes.strip, lines):
                if line == b"data: [DONE]":
                    done = True
                    break
                if not line.startswith(b"data:"):
                    continue
                try:
                    text, ended, counted = _read(line[5:])
                except EngineDown as exc:
                    failure = exc  # what was said before it stays said
                    break
                reason, usage = ended or reason, counted or usage
                texts.append(text)
            if joined := "".join(texts):
                spoke = True
                yield Piece(joined)
            if failure is not None:
                raise failure
            if chunk is None:
                break
        if done:
            await _read_out(chunks)
    except TimeoutError as exc:
        what = "finish the answer" if spoke else "begin"
        raise EngineTimeout(f"The model took too long to {what}.") from exc
    except httpx.TransportError as exc:
        if spoke:
            raise EngineDown("The model stopped in the middle of the answer.") from exc
        raise _down() from exc
    finally:
        if answer is not None:
            await answer.aclose()
    if reason is None:
        raise EngineDown("The model stopped in the middle of the answer.")
    yield Piece("", reason, usage)


async def _read_out(chunks: AsyncIterator[bytes]) -> None:
    """Take what follows the last word, so that the connection can be used again."""
    with suppress(TimeoutError, httpx.TransportError):
        async with asyncio.timeout(0.2):
            async for _ in chunks:
                pass


def _read(data: bytes) -> tuple[str, str | None, Usage | None]:
    """One server-sent chunk: text, reason of the end, usage."""
    try:
        chunk = json.loads(data)
    except ValueError as exc:
        # `transformers serve` puts an exception's text into JSON without escaping it.
        raise EngineDown("The model failed in the middle of the answer.") from exc
    if not isinstance(chunk, dict) or "error" in chunk:
        raise EngineDown("The model failed in the middle of the answer.")
    usage = chunk.get("usage")
    counted = Usage(usage["prompt_tokens"], usage["completion_tokens"]) if usage else None
    if not chunk.get("choices"):
        return "", None, counted
    choice = chunk["choices"][0]
    text = (choice.get("delta") or {}).get("content") or ""
    return _storable(text), choice.get("finish_reason"), counted


def _storable(text: str) -> str:
    """Models may write what no database keeps: NUL, and halves of surrogate pairs."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _refusal(answer: httpx.Response) -> EngineDown | EngineRefused:
    status = str(answer.status_code)
    if answer.status_code >= 500 or answer.status_code == 429:
        failure = EngineDown(f"The model failed to answer (status {status}).")
        failure.fields = {"status": status}
        return failure
    return EngineRefused(
        f"The model refused the request (status {status}): {answer.text[:200]}",
        fields={"status": status},
    )


async def _stopped_at(
    pieces: AsyncIterator[Piece], stop: str | list[str] | None
) -> AsyncIterator[Piece]:
    """End before the first of the `stop` strings, which the engines treat differently.

    Text that may be the beginning of a stop string is held back until that is decided.
    """
    stops = [stop] if isinstance(stop, str) else [word for word in stop or [] if word]
    async with aclosing(pieces):
        if not stops:
            async for piece in pieces:
                yield piece
            return
        held = ""
        async for piece in pieces:
            held += piece.text
            found = min((at for word in stops if (at := held.find(word)) >= 0), default=-1)
            if found >= 0:
                if held[:found]:
                    yield Piece(held[:found])
                yield Piece("", "stop", piece.usage)
                return
            keep = 0 if piece.finish_reason else max(_overlap(held, word) for word in stops)
            ready, held = held[: len(held) - keep], held[len(held) - keep :]
            if ready:
                yield Piece(ready)
            if piece.finish_reason:
                yield Piece("", piece.finish_reason, piece.usage)


def _overlap(text: str, word: str) -> int:
    """Length of the longest end of `text` with which `word` begins."""
    for size in range(min(len(text), len(word) - 1), 0, -1):
        if text.endswith(word[:size]):
            return size
    return 0
