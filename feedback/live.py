"""What is true only while an answer is being written; kept in Redis, shared by all processes.

Per message: its text so far (`text`), a sign that some process is writing it (`alive`) and a
request to stop (`stop`). Per conversation: who reads it, each with the time its sign lapses.
"""

import asyncio
import time
from uuid import UUID
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings

ALIVE_SECONDS = 12
KEEP_SECONDS = 24 * 3600
Errors = (redis.RedisError, OSError)

_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis]" = WeakKeyDictionary()


def store() -> redis.asyncio.Redis:
    """The running loop's client."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        _clients[loop] = redis.asyncio.from_url(settings.REDIS_URL)
    return _clients[loop]


async def close() -> None:
    """Close the running loop's client (loops that live for one call)."""
    client = _clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.aclose()


def _key(kind: str, subject: UUID) -> str:
    return f"preferendum:{kind}:{subject}"


async def begin(message_id: UUID) -> None:
    """Say that this process writes the message."""
    await store().set(_key("alive", message_id), 1, ex=ALIVE_SECONDS)


async def append(message_id: UUID, text: str) -> None:
    """Add to the text so far."""
    pipe = store().pipeline(transaction=False)
    pipe.append(_key("text", message_id), text.encode())
    pipe.expire(_key("text", message_id), KEEP_SECONDS)
    await pipe.execute()


async def replace(message_id: UUID, text: str) -> None:
    """Set the whole text so far: after Redis was away, what it has may be short or gone."""
    await store().set(_key("text", message_id), text.encode(), ex=KEEP_SECONDS)


async def texts(message_ids: list[UUID]) -> dict[UUID, str]:
    """The text so far of messages under way; missing ones have none."""
    if not message_ids:
        return {}
    found = await store().mget([_key("text", one) for one in message_ids])
    return {
        one: raw.decode("utf-8", "ignore")
        for one, raw in zip(message_ids, found, strict=True)
        if raw is not None
    }


async def end(message_id: UUID) -> None:
    """Forget a message whose text is safe in the database."""
    await store().delete(*(_key(kind, message_id) for kind in ("text", "alive", "stop")))


async def ask_to_stop(message_id: UUID) -> None:
    """Ask whichever process writes the message to stop."""
    await store().set(_key("stop", message_id), 1, ex=120)


async def pulse(message_id: UUID, conversation_id: UUID) -> tuple[bool, int]:
    """Renew the sign of life; returns whether a stop was asked for, and how many read."""
    pipe = store().pipeline(transaction=False)
    pipe.set(_key("alive", message_id), 1, ex=ALIVE_SECONDS)
    pipe.exists(_key("stop", message_id))
    pipe.zcount(_key("readers", conversation_id), time.time(), "+inf")
    _, stop, readers = await pipe.execute()
    return bool(stop), int(readers)


async def read_on(conversation_id: UUID, reader: str, seconds: float) -> None:
    """Note that `reader` has the conversation open, for the next `seconds`."""
    key = _key("readers", conversation_id)
    pipe = store().pipeline(transaction=False)
    pipe.zremrangebyscore(key, "-inf", time.time())
    pipe.zadd(key, {reader: time.time() + seconds})
    pipe.expire(key, KEEP_SECONDS)
    await pipe.execute()


async def is_read(conversation_id: UUID) -> bool:
    """Whether anybody has the conversation open."""
    return bool(await store().zcount(_key("readers", conversation_id), time.time(), "+inf"))


async def read_off(conversation_id: UUID, reader: str) -> None:
    """Note that `reader` has closed it."""
    await store().zrem(_key("readers", conversation_id), reader)


def orphans(message_ids: list[UUID]) -> dict[UUID, str]:
    """Of messages that ought to be under way, those no process writes, with the text they had.

    None are named just after Redis itself has started: their writers may not have said yet that
    they are alive. Synchronous, for the sweep.
    """
    if not message_ids:
        return {}
    with redis.from_url(settings.REDIS_URL) as client:
        if client.info("server")["uptime_in_seconds"] < 2 * ALIVE_SECONDS:
            return {}
        alive = client.mget([_key("alive", one) for one in message_ids])
        lost = [one for one, sign in zip(message_ids, alive, strict=True) if sign is None]
        if not lost:
            return {}
        found = client.mget([_key("text", one) for one in lost])
        pairs = zip(lost, found, strict=True)
        return {one: (raw or b"").decode("utf-8", "ignore") for one, raw in pairs}
