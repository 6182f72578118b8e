"""The console's socket, `/ws/console/?project=SLUG`: how things stand, then what changes.

From the server: `snapshot`, then `run`, `round`, `models`, `counts`. Nothing is asked of the page.
"""

import asyncio
import logging
from contextlib import suppress
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from alignment import events, overview, policies
from alignment.models import Round, Run

logger = logging.getLogger(__name__)

REFUSED, NOT_FOUND = 4403, 4404
COUNT_SECONDS = 3.0


class ConsoleConsumer(AsyncJsonWebsocketConsumer):
    """One open console page of one researcher."""

    counting: asyncio.Task | None = None

    async def connect(self) -> None:
        await self.accept()
        user = self.scope.get("user")
        if user is None or not user.is_authenticated or not user.has_role("researcher"):
            await self.close(REFUSED)
            return
        asked = parse_qs(self.scope.get("query_string", b"").decode("utf-8", "replace"))
        self.project = await database_sync_to_async(
            policies.visible(user).filter(slug=asked.get("project", ["demo"])[0][:60]).first
        )()
        if self.project is None:
            await self.close(NOT_FOUND)
            return
        # Join first and look second, so that nothing falls between.
        await self.channel_layer.group_add(events.group(self.project.slug), self.channel_name)
        await self.send_json(await database_sync_to_async(self._snapshot)())
        self.counting = asyncio.create_task(self._count())

    async def disconnect(self, code: int) -> None:
        if self.counting is None:
            return
        self.counting.cancel()
        with suppress(Exception):  # Redis away: the group lapses by itself
            group = events.group(self.project.slug)
            await self.channel_layer.group_discard(group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The page has nothing to say; what it sends is let fall."""

    async def console_changed(self, event: dict) -> None:
        """Relay one change."""
        payload = dict(event["payload"])
        await self.send_json({"type": payload.pop("kind"), **payload})

    def _snapshot(self) -> dict:
        turn = Round.objects.filter(project=self.project).select_related("project").first()
        runs = Run.objects.filter(project=self.project, state__in=Run.ACTIVE)
        return {
            "type": "snapshot",
            "project": self.project.slug,
            "round": events.round_state(turn) if turn else None,
            "runs": [events.run_state(run) | {"curve": run.curve} for run in runs],
            "counts": overview.live_counts(self.project),
        }

    async def _count(self) -> None:
        """Tell the counts of judgments and reactions when they change."""
        last = None
        while True:
            try:
                counts = await database_sync_to_async(overview.live_counts)(self.project)
                if counts != last:
                    last = counts
                    await self.send_json({"type": "counts", "counts": counts})
            except Exception:
                logger.warning("The console's counts could not be read.", exc_info=True)
            await asyncio.sleep(COUNT_SECONDS)
