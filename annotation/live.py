"""What is told while people work, and may be some seconds old: totals of a project, who is here.

Kept in Redis for all web processes together. A total costs a count over the project, so it is
taken anew no oftener than its own cost allows: it is kept thirty times as long as it took, from
3 seconds to two minutes.
"""

import time

import redis
from django.conf import settings
from django.core.cache import cache

from annotation import selectors

SHORTEST, LONGEST, SHARE = 3.0, 120.0, 30
HERE_SECONDS = 20
Errors = (redis.RedisError, OSError)


def totals(project_id: int) -> dict[str, int]:
    """`annotation.selectors.counts`, at most some seconds old."""
    key = f"annotation:totals:{project_id}"
    try:
        known = cache.get(key)
    except Errors:
        return selectors.counts(project_id)
    if known is None:
        begun = time.monotonic()
        known = selectors.counts(project_id)
        keep = min(LONGEST, max(SHORTEST, SHARE * (time.monotonic() - begun)))
        cache.set(key, known, keep)
    return known


_client: redis.Redis | None = None


def _store() -> redis.Redis:
    global _client
    if _client is None:
        _client = redis.Redis.from_url(settings.REDIS_URL)
    return _client


def arrive(project_id: int, person: str) -> None:
    """A person is here, for the next HERE_SECONDS."""
    _store().zadd(_here(project_id), {person: time.time() + HERE_SECONDS})
    _store().expire(_here(project_id), 10 * HERE_SECONDS)


def leave(project_id: int, person: str) -> None:
    """A person has gone."""
    _store().zrem(_here(project_id), person)


def present(project_id: int) -> list[str]:
    """Who is here, by pseudonym, in alphabetical order."""
    _store().zremrangebyscore(_here(project_id), "-inf", time.time())
    return sorted(name.decode() for name in _store().zrange(_here(project_id), 0, -1))


def _here(project_id: int) -> str:
    return f"preferendum:here:{project_id}"
