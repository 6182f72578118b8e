"""A project to chat in, a model that serves it, and windows on conversations."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.db import connections
from django.test import Client

from annotation.services.projects import create_project
from feedback import live
from feedback.threads import in_thread
from inference import client as engine_client
from inference.models import Deployment
from inference.services import deployments
from tests.inference.fixtures import artefact, engine_double, make_policy

__all__ = ["artefact", "engine_double", "make_policy"]


@pytest.fixture
def served(db, engine_double, make_policy, settings) -> Deployment:
    """The chat's project with one live policy, answered by the engine double."""
    settings.ENGINE_CONNECT_S = 0.5
    create_project(slug="demo", kinds=["pairwise"])
    return deployments.deploy(project="demo", model_version=make_policy("first"))


@pytest.fixture
def guest() -> Client:
    """A browser of somebody without an account."""
    return Client()


class Window:
    """An open browser window on a conversation."""

    def __init__(self, communicator: WebsocketCommunicator):
        self._communicator = communicator
        self.heard: list[dict] = []

    async def say(self, kind: str, **rest) -> str:
        """Send a frame; returns its id."""
        frame = {"type": kind, "id": str(uuid.uuid4()), **rest}
        await self._communicator.send_to(text_data=json.dumps(frame))
        return frame["id"]

    async def send_raw(self, text: str) -> None:
        await self._communicator.send_to(text_data=text)

    async def hear(self) -> dict:
        """The next frame."""
        frame = json.loads(await self._communicator.receive_from(timeout=10))
        self.heard.append(frame)
        return frame

    async def until(self, kind: str, **wanted) -> dict:
        """Read on until a frame of this type with these values."""
        while True:
            frame = await self.hear()
            if frame["type"] == kind and all(frame.get(k) == v for k, v in wanted.items()):
                return frame

    async def answer(self, text: str, **rest) -> dict:
        """Ask and wait for the whole answer: its Message."""
        await self.say("send", text=text, **rest)
        return (await self.until("done"))["message"]

    async def is_quiet(self) -> bool:
        return await self._communicator.receive_nothing(0.15)

    async def close(self) -> None:
        await self._communicator.disconnect()


@pytest.fixture
def open_window(signed_in) -> Callable[..., Awaitable[tuple[Window, dict]]]:
    """`await open_window(person_or_client, conversation_id)` -> the window and its snapshot.

    The snapshot is `{"closed": code}` when the server closed the socket instead.
    """
    from config.asgi import application

    async def connect(who, conversation_id) -> tuple[Window, dict]:
        browser = who if isinstance(who, Client) else await in_thread(signed_in, who)
        cookies = "; ".join(f"{name}={one.value}" for name, one in browser.cookies.items())
        communicator = WebsocketCommunicator(
            application,
            f"/ws/chat/{conversation_id}/",
            headers=[(b"origin", b"http://localhost"), (b"cookie", cookies.encode())],
        )
        connected, _ = await communicator.connect(timeout=10)
        assert connected
        first = await communicator.receive_output(timeout=10)
        if first["type"] == "websocket.close":
            return Window(communicator), {"closed": first["code"]}
        return Window(communicator), json.loads(first["text"])

    return connect


@pytest.fixture
def play() -> Iterator[Callable]:
    """Run a coroutine as one life of the web process; its connections end with it."""

    def run(scene: Awaitable):
        async def whole():
            try:
                return await asyncio.wait_for(scene, 30)
            finally:
                others = asyncio.all_tasks() - {asyncio.current_task()}
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)
                await engine_client.close()
                await live.close()
                # Channels' own thread keeps its connection while a communicator is in use.
                await sync_to_async(connections.close_all)()

        return asyncio.run(whole())

    return run


@pytest.fixture
def begin(signed_in) -> Callable[..., str]:
    """Begin a conversation through REST; returns its id."""

    def post(who, **body) -> str:
        browser = who if isinstance(who, Client) else signed_in(who)
        response = browser.post("/api/conversations/", body, content_type="application/json")
        assert response.status_code == 201, response.content
        return response.json()["id"]

    return post
