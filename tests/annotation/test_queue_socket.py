"""The socket of a project's work: what the queue holds, who is here, leases that run on."""

import json

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.core.cache import cache
from django.db import connections

from annotation import consumers
from annotation.models import Assignment
from annotation.services import projects, queue
from config.routing import websocket_urlpatterns

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch, services):
    monkeypatch.setattr(consumers, "BEAT_SECONDS", 0.05)
    cache.clear()
    yield
    cache.clear()


class Window:
    """An open page of a person in a project."""

    def __init__(self, user, slug: str = "helpful"):
        from channels.routing import URLRouter

        self.socket = WebsocketCommunicator(
            URLRouter(websocket_urlpatterns), f"/ws/annotate/{slug}/"
        )
        self.socket.scope["user"] = user

    async def __aenter__(self) -> "Window":
        await self.socket.connect()
        return self

    async def __aexit__(self, *_) -> None:
        await self.socket.disconnect()

    async def hear(self) -> dict:
        return json.loads(await self.socket.receive_from(timeout=10))

    async def until(self, kind: str, **said) -> dict:
        while True:
            frame = await self.hear()
            if frame["type"] == kind and said.items() <= frame.items():
                return frame

    async def say(self, text: str) -> None:
        await self.socket.send_to(text_data=text)


def play(scene, *given) -> object:
    try:
        return async_to_sync(scene)(*given)
    finally:
        connections.close_all()


def test_the_page_is_told_of_the_queue_and_of_others(alice, ben, rita, project, fill):
    projects.add_member(project=project, user=rita, role="reviewer")
    fill(3)

    async def scene():
        async with Window(alice) as first:
            alone = await first.until("queue")
            async with Window(ben):
                two = await first.until("queue", here=2)
                async with Window(rita) as reviewer:
                    seen = await reviewer.until("queue", here=3)
            gone = await first.until("queue", here=1)
        return alone, two, seen, gone

    alone, _, seen, _ = play(scene)
    assert (alone["tasks"], alone["open"], alone["judgments"], alone["here"]) == (3, 3, 0, 1)
    assert "people" not in alone
    assert seen["people"] == sorted(person.pseudonym for person in (alice, ben, rita))


def test_a_heartbeat_extends_ones_own_lease_only(alice, ben, plain_task, claim, run_out):
    lease = claim(alice)
    run_out(lease)
    beat = json.dumps({"type": "heartbeat", "assignment": str(lease.pk)})

    async def scene(person):
        async with Window(person) as window:
            await window.say(beat)
            while (frame := await window.hear())["type"] == "queue":
                pass
            return frame

    refused = play(scene, ben)
    assert refused["code"] == "not_found"
    told = play(scene, alice)
    assert told["type"] == "lease"
    assert 0 < told["seconds_left"] <= 900
    assert Assignment.objects.get(pk=lease.pk).expires_at > lease.claimed_at


@pytest.mark.parametrize("text", [" ", "{", "[]", '{"type": "sing"}', '{"type": "heartbeat"}'])
def test_what_is_no_message_is_refused_with_a_reason(text, alice, project):
    async def scene():
        async with Window(alice) as window:
            await window.say(text)
            return await window.until("error")

    assert play(scene)["detail"]


def test_strangers_do_not_find_the_project(mallory, make_user, project):
    outsider = make_user("olga", "annotator")

    async def scene(person, slug):
        window = Window(person, slug)
        await window.socket.connect()
        return (await window.socket.receive_output(10))["code"]

    for person, slug in [(outsider, "helpful"), (mallory, "helpful"), (outsider, "nowhere")]:
        assert play(scene, person, slug) == consumers.NOT_FOUND


def test_who_is_shut_out_while_the_page_is_open_hears_no_more(alice, project):
    from asgiref.sync import sync_to_async

    async def scene():
        window = Window(alice)
        await window.socket.connect()
        await window.until("queue")
        await sync_to_async(project.memberships.filter(user=alice).delete)()
        return (await window.socket.receive_output(10))["code"]

    assert play(scene) == consumers.NOT_FOUND


def test_totals_are_not_counted_anew_for_everyone(alice, project, fill, django_assert_num_queries):
    from annotation import live

    fill(2)
    first = live.totals(project.pk)
    with django_assert_num_queries(0):
        assert live.totals(project.pk) == first
    queue.claim(project=project.slug, by=alice)
    cache.clear()
    assert live.totals(project.pk)["held"] == 1
