"""The live board's socket, `/ws/console/board/?project=SLUG&window=24h&door=chat&language=en`.

From the server: `snapshot` (all panels), then `change` (those that changed). Each has `seq` and
`from`, the number told before: a page whose own number is not `from` has missed something, says
`resume`, and gets a snapshot. `stale` says that the numbers cannot be read at the moment.
"""

import asyncio
import json
from contextlib import suppress
from urllib.parse import parse_qsl

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils.translation import check_for_language

from annotation.models import Project
from config.errors import Invalid
from feedback.board_live import Key, looking
from feedback.services.board import Window
from feedback.threads import in_thread

INVALID, REFUSED, NOT_FOUND = 4400, 4403, 4404


class BoardConsumer(AsyncWebsocketConsumer):
    """One open board of one researcher."""

    telling: asyncio.Task | None = None

    async def connect(self) -> None:
        await self.accept()
        user = self.scope.get("user")
        if user is None or not user.is_authenticated or not user.has_role("researcher"):
            await self.close(REFUSED)
            return
        asked = dict(parse_qsl(self.scope.get("query_string", b"").decode("utf-8", "replace")))
        try:
            window = Window.read(asked.get("window"), asked.get("door"))
        except Invalid:
            await self.close(INVALID)
            return
        project = await in_thread(
            Project.objects.filter(slug=asked.get("project", "")[:60].replace("\x00", "")).first
        )
        if project is None:
            await self.close(NOT_FOUND)
            return
        language = asked.get("language", "")
        if not check_for_language(language):
            language = settings.LANGUAGE_CODE
        self.key = Key(project.pk, window, language)
        self.telling = asyncio.create_task(self._tell())

    async def disconnect(self, code: int) -> None:
        if self.telling is not None:
            self.telling.cancel()
            with suppress(asyncio.CancelledError):
                await self.telling

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """`resume` asks for everything once more; the rest is let fall."""
        with suppress(ValueError, RecursionError, AttributeError):
            if self.telling is not None and json.loads(text_data or "").get("type") == "resume":
                self.telling.cancel()
                self.telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        async with looking(self.key) as board:
            told = None
            while True:
                news = await board.news(told)
                told = news["seq"]
                with suppress(RuntimeError):  # the page closed while this was on its way
                    await self.send(json.dumps(news, ensure_ascii=False))
