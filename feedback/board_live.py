"""Boards that are being looked at: read once a second for all who look at the same one.

A board has a number that grows with each change, and knows at which number each panel changed
last. So whoever was slow or away is told all that has changed since, once.
"""

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from uuid import uuid4
from weakref import WeakKeyDictionary

from django.utils.translation import override

from annotation.models import Project
from feedback.board import panels
from feedback.services import rollups
from feedback.services.board import Window
from feedback.threads import in_thread

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
#: Windows move on even when nothing happens.
MOVE_SECONDS = 30.0


@dataclass(frozen=True)
class Key:
    """Which board, in which language."""

    project_id: int
    window: Window
    language: str


class Board:
    """One board of this process, kept while somebody looks."""

    def __init__(self, key: Key):
        self.key = key
        self.stream = uuid4().hex
        self.number = 0
        self.stale = False
        self.panels: dict[str, tuple[int, str]] = {}
        self.lookers = 0
        self._changed = asyncio.Condition()
        self._seen: object = None
        self._drawn_at = 0.0
        self.task = asyncio.create_task(self._run(), name=f"board {key}")

    async def news(self, told: int | None) -> dict:
        """Wait until there is more than `told` (None: anything at all), and give all of it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.number > (told or 0))
        return {
            "type": "snapshot" if told is None else "change",
            "stream": self.stream,
            "from": told,
            "seq": self.number,
            "stale": self.stale,
            "panels": {
                name: html
                for name, (number, html) in self.panels.items()
                if told is None or number > told
            },
        }

    async def _run(self) -> None:
        while True:
            started = monotonic()
            try:
                drawn = await in_thread(self._look)
                if drawn is not None or self.stale:
                    await self._tell(drawn or {}, stale=False)
            except Exception:
                logger.warning("A board could not be read.", exc_info=True)
                if not self.stale:
                    await self._tell({}, stale=True)
            await asyncio.sleep(max(0.1, LOOK_SECONDS - (monotonic() - started)))

    def _look(self) -> dict[str, str] | None:
        """The panels anew, when there is reason to draw them."""
        rollups.fold()
        seen = rollups.changed_at(project_ids=[self.key.project_id])
        now = monotonic()
        if self._drawn_at and seen == self._seen and now - self._drawn_at < MOVE_SECONDS:
            return None
        with override(self.key.language):
            drawn = panels(
                project=Project.objects.get(pk=self.key.project_id), window=self.key.window
            )
        self._seen, self._drawn_at = seen, now
        return drawn

    async def _tell(self, drawn: dict[str, str], *, stale: bool) -> None:
        news = {
            name: html
            for name, html in drawn.items()
            if self.panels.get(name, (0, None))[1] != html
        }
        if not news and stale == self.stale:
            return
        async with self._changed:
            self.number += 1
            self.stale = stale
            self.panels |= {name: (self.number, html) for name, html in news.items()}
            self._changed.notify_all()


_boards: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Key, Board]]" = WeakKeyDictionary()


@asynccontextmanager
async def looking(key: Key):
    """The board of this key, read as long as anybody is inside."""
    here = _boards.setdefault(asyncio.get_running_loop(), {})
    if key not in here:
        here[key] = Board(key)
    board = here[key]
    board.lookers += 1
    try:
        yield board
    finally:
        board.lookers -= 1
        if not board.lookers:
            del here[key]
            board.task.cancel()
