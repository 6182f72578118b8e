"""Thin clients of the doors that people and scripts use: chat over WebSocket, REST for the rest.

Nothing here knows the inside of the server; a simulated person can do exactly what a real one can.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx
import websockets
from websockets.asyncio.client import connect

#: Longest wait for one event of the chat, in seconds: an answer may queue behind others.
PATIENCE = 120.0


class DoorError(RuntimeError):
    """The server refused, or did not answer as its description says."""


@dataclass(frozen=True)
class Answer:
    """One answer in a conversation, as its window shows it."""

    id: str
    text: str
    model: str | None
    state: str


class Rest:
    """REST calls of one person, by bearer key."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url.rstrip("/"), key
        self.client = httpx.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE
        )

    async def __aenter__(self) -> Rest:
        return self

    async def __aexit__(
        self, kind: type | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()

    async def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """The JSON of the answer, None where it has no body. Waits when the server says 'busy'."""
        for _ in range(20):
            response = await self.client.request(method, path, **kwargs)
            if response.status_code not in (429, 503):
                break
            await asyncio.sleep(min(float(response.headers.get("Retry-After", 1)), 10.0))
        if response.is_error:
            raise DoorError(f"{method} {path}: {response.status_code} {response.text[:500]}")
        return response.json() if response.content else None

    async def claim(self, project: str) -> dict | None:
        """Claim the next task; None when none is left."""
        return await self.call("POST", f"/api/projects/{project}/assignments/")

    async def judge(self, assignment: str, body: dict) -> dict:
        """Submit a judgment under an idempotency key of its own."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        path = f"/api/assignments/{assignment}/judgment/"
        return await self.call("POST", path, json=body, headers=headers)


class Chat:
    """One window on one conversation: `async with Chat(rest) as chat`."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.conversation = ""
        self._socket: Any = None

    async def __aenter__(self) -> Chat:
        made = await self.rest.call("POST", "/api/conversations/", json={})
        self.conversation = made["id"]
        address = self.rest.url.replace("http", "ws", 1) + f"/ws/chat/{self.conversation}/"
        headers = {"Authorization": f"Bearer {self.rest.key}"}
        self._socket = await connect(
            address, additional_headers=headers, origin=self.rest.url, max_size=2**22
        )
        await self._until("snapshot")
        return self

    async def __aexit__(
        self, kind: type | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()

    async def ask(self, text: str) -> Answer:
        """Send a question and read the whole answer."""
        return await self._answer({"type": "send", "text": text})

    async def regenerate(self, message: str) -> Answer:
        """Ask for another answer beside `message`."""
        return await self._answer({"type": "regenerate", "message": message})

    async def react(self, message: str, reaction: str, on: bool = True) -> list[str]:
        """Give or take back a reaction; returns those that stand."""
        await self._say({"type": "react", "message": message, "reaction": reaction, "on": on})
        return (await self._until("reaction"))["reactions"]

    async def _answer(self, frame: dict) -> Answer:
        for _ in range(20):
            await self._say(frame)
            event = await self._until("done", "busy")
            if event["type"] == "busy":
                await asyncio.sleep(float(event.get("retry_after") or 1))
                continue
            message = event["message"]
            if message["state"] == "complete":
                return Answer(message["id"], message["text"], message["model"], message["state"])
            # The place in the engine's queue was taken, or the engine was restarted: ask again.
            frame = {"type": "regenerate", "message": message["id"]}
            await asyncio.sleep(1.0)
        raise DoorError(f"no answer after many tries: {event}")

    async def _say(self, frame: dict) -> None:
        await self._socket.send(json.dumps({"id": str(uuid.uuid4())} | frame))

    async def _until(self, *kinds: str) -> dict:
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    event = json.loads(await self._socket.recv())
                    if event["type"] == "error":
                        raise DoorError(f"chat: {event.get('detail')}")
                    if event["type"] in kinds:
                        return event
        except TimeoutError:
            raise DoorError(f"chat: no {' or '.join(kinds)} within {PATIENCE:.0f} s") from None
        except websockets.ConnectionClosed as exc:
            raise DoorError(f"chat: the server closed the window: {exc}") from None
