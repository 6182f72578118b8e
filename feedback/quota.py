"""How much one key may use of the doors under /v1/: requests a minute, tokens a day.

Counted in Redis, so that all web processes count together. While Redis is away nobody is refused.
"""

import logging
import time

from django.conf import settings

from config.errors import DomainError
from config.models import AccessKey
from feedback.live import Errors, store

logger = logging.getLogger(__name__)

MINUTE, DAY = 60, 86_400


class Exceeded(DomainError):
    """The key has used up what it may; `headers` say what and until when."""

    code = "rate_limit_exceeded"

    def __init__(self, detail: str, headers: dict[str, str]):
        super().__init__(detail)
        self.headers = headers


async def admit(key: AccessKey, door: str) -> dict[str, str]:
    """Count a request at a door; returns the headers that tell what is left. Raises Exceeded."""
    requests, tokens = _limit(key, "requests_per_minute"), _limit(key, "tokens_per_day")
    if not requests and not tokens:
        return {}
    now = time.time()
    try:
        pipe = store().pipeline(transaction=False)
        counter = f"preferendum:quota:{key.pk}:{door}:{int(now // MINUTE)}"
        pipe.incr(counter)
        pipe.expire(counter, 2 * MINUTE)
        pipe.get(_tokens(key, now))
        asked, _, spent = await pipe.execute()
    except Errors as exc:
        logger.warning("Requests of a key are not counted: %s", exc)
        return {}
    headers = {}
    if requests:
        headers |= _told("requests", requests, int(asked), MINUTE - now % MINUTE)
        if asked > requests:
            wait = MINUTE - now % MINUTE
            raise Exceeded(
                f"This key may ask {requests} times a minute; try again in {int(wait) + 1} s.",
                {**headers, "Retry-After": str(int(wait) + 1)},
            )
    if tokens:
        headers |= _told("tokens", tokens, int(spent or 0), DAY - now % DAY)
        if int(spent or 0) >= tokens:
            raise Exceeded(
                f"This key may use {tokens} tokens a day (UTC), and has used them.",
                {**headers, "Retry-After": str(int(DAY - now % DAY) + 1)},
            )
    return headers


async def spend(key: AccessKey, tokens: int) -> None:
    """Count tokens that were used."""
    if not _limit(key, "tokens_per_day"):
        return
    counter = _tokens(key, time.time())
    try:
        pipe = store().pipeline(transaction=False)
        pipe.incrby(counter, tokens)
        pipe.expire(counter, 2 * DAY)
        await pipe.execute()
    except Errors as exc:
        logger.warning("Tokens of a key are not counted: %s", exc)


def _limit(key: AccessKey, name: str) -> int:
    own = getattr(key, name)
    return getattr(settings, f"API_{name.upper()}") if own is None else own


def _tokens(key: AccessKey, now: float) -> str:
    return f"preferendum:quota:{key.pk}:tokens:{int(now // DAY)}"


def _told(what: str, most: int, used: int, seconds: float) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{what}": str(most),
        f"x-ratelimit-remaining-{what}": str(max(0, most - used)),
        f"x-ratelimit-reset-{what}": f"{int(seconds) + 1}s",
    }
