"""A bounded line: so many at once, so many waiting, and an honest 'busy' beyond that."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

from inference.errors import EngineBusy


class Line:
    """First come, first served. Belongs to one event loop."""

    def __init__(self, *, running: int, waiting: int):
        self.running_limit = running
        self.waiting_limit = waiting
        self.running = 0
        self._waiting: deque[tuple[asyncio.Future, Callable[[int], None] | None]] = deque()
        self._usual_seconds = 2.0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def wait_estimate(self, position: int) -> int:
        """Whole seconds until the one at `position` (1 = next) may start, from recent answers."""
        return max(1, math.ceil(self._usual_seconds * position / self.running_limit))

    @asynccontextmanager
    async def place(self, on_wait: Callable[[int], None] | None = None) -> AsyncIterator[None]:
        """Hold one of the running places; `on_wait` hears the position while it waits.

        Raises EngineBusy when the waiting line is full.
        """
        await self._enter(on_wait)
        started = monotonic()
        try:
            yield
        finally:
            self._usual_seconds += 0.1 * (monotonic() - started - self._usual_seconds)
            self._leave()

    async def _enter(self, on_wait: Callable[[int], None] | None) -> None:
        if self.running < self.running_limit and not self._waiting:
            self.running += 1
            return
        position = len(self._waiting) + 1
        if position > self.waiting_limit:
            raise EngineBusy(
                f"{self.running} answers are being written and {self.waiting} wait before you.",
                retry_after=self.wait_estimate(position),
                position=position,
            )
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, on_wait))
        if on_wait:
            on_wait(position)
        try:
            await turn  # the one who leaves hands its running place over
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            else:
                self._waiting = deque(pair for pair in self._waiting if pair[0] is not turn)
                self._tell_positions()
            raise

    def _leave(self) -> None:
        while self._waiting:
            turn, _ = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._tell_positions()
                return
        self.running -= 1

    def _tell_positions(self) -> None:
        for position, (_, on_wait) in enumerate(self._waiting, start=1):
            if on_wait:
                on_wait(position)
