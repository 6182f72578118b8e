"""Several engines behind one client: who is well, who has least to do, who takes no more.

ENGINE_URLS names them (ENGINE_URL alone is a pool of one). Each event loop keeps its own count of
what runs where; that an engine is drained is told in Redis, so that every process sees it.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import httpx
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.cache import cache

from inference.engines import Engine
from inference.line import Line

logger = logging.getLogger(__name__)

#: An engine that failed is left alone for so long, if another one is well.
REST_SECONDS = 5.0
#: How long what Redis says of draining is believed.
DRAIN_LOOK_SECONDS = 1.0
_DRAINING = "inference:draining"


@dataclass(slots=True)
class Connection:
    """What one event loop shares of one engine: its HTTP pool, its kind, what it has loaded."""

    url: str
    http: httpx.AsyncClient
    line: Line
    engine: Engine | None = None
    loaded: set[str] = field(default_factory=set)
    loading: dict[str, asyncio.Lock] = field(default_factory=dict)
    running: int = 0
    rests_until: float = 0.0


def urls() -> list[str]:
    """The engines' addresses."""
    return list(dict.fromkeys(settings.ENGINE_URLS or [settings.ENGINE_URL]))


class Pool:
    """The engines of one event loop, and the one line before them."""

    def __init__(self, addresses: Iterable[str]):
        addresses = list(addresses)
        self.line = Line(
            running=settings.ENGINE_RUNNING * len(addresses), waiting=settings.ENGINE_WAITING
        )
        headers = {"Authorization": f"Bearer {settings.ENGINE_KEY}"} if settings.ENGINE_KEY else {}
        self.engines = [
            Connection(
                url=url,
                http=httpx.AsyncClient(
                    base_url=url,
                    headers=headers,
                    # Deadlines that depend on the stage of an answer are kept by the client.
                    timeout=httpx.Timeout(10.0, read=30.0, pool=None),
                    limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
                    trust_env=False,
                ),
                line=self.line,
            )
            for url in addresses
        ]
        self._draining: set[str] = set()
        self._looked = -DRAIN_LOOK_SECONDS

    async def pick(self, version: str) -> Connection:
        """The engine for the next request: well, not drained, with least to do.

        Among equals one that has the version loaded goes first, which keeps its prefixes warm.
        Where none is well all are tried, and where all are drained they answer nevertheless.
        """
        if len(self.engines) == 1:
            return self.engines[0]
        await self.look()
        now = monotonic()
        taking = [one for one in self.engines if one.url not in self._draining] or self.engines
        well = [one for one in taking if one.rests_until <= now] or taking
        return min(well, key=lambda one: (one.running, version not in one.loaded, one.rests_until))

    def failed(self, one: Connection) -> bool:
        """Let an engine rest; whether another one is well to take its place."""
        now = monotonic()
        if one.rests_until <= now and len(self.engines) > 1:
            logger.warning("Engine %s failed; it rests for %.0f s.", one.url, REST_SECONDS)
        one.rests_until = now + REST_SECONDS
        return any(
            other.rests_until <= now and other.url not in self._draining for other in self.engines
        )

    async def health(self) -> dict[str, bool]:
        """Ask every engine; one that is well again need not rest any longer."""

        async def ask(one: Connection) -> bool:
            try:
                well = (await one.http.get("/health", timeout=3.0)).status_code == 200
            except httpx.TransportError:
                well = False
            one.rests_until = 0.0 if well else monotonic() + REST_SECONDS
            return well

        found = await asyncio.gather(*(ask(one) for one in self.engines))
        return {one.url: well for one, well in zip(self.engines, found, strict=True)}

    async def close(self) -> None:
        """Close all connections."""
        for one in self.engines:
            await one.http.aclose()

    async def look(self, *, again: bool = False) -> None:
        """Read which engines are drained, if that was not done within the last second."""
        now = monotonic()
        if now - self._looked < DRAIN_LOOK_SECONDS and not again:
            return
        self._looked = now
        try:
            self._draining = await sync_to_async(draining, thread_sensitive=False)()
        except Exception as exc:  # without Redis the last answer is believed on
            logger.warning("Nobody knows which engines are drained: %s", exc)


def draining() -> set[str]:
    """Addresses of the engines that take no new answers."""
    return set(cache.get(_DRAINING) or ())


def drain(url: str, *, on: bool = True) -> None:
    """Send an engine no new answers (those under way end in peace), or take it in again."""
    known = draining()
    known = known | {url} if on else known - {url}
    cache.set(_DRAINING, sorted(known), None)


def load_of(pool: Pool) -> list[dict[str, Any]]:
    """How the engines stand in this process, for metrics."""
    now = monotonic()
    return [
        {"url": one.url, "running": one.running, "well": one.rests_until <= now}
        for one in pool.engines
    ]
