"""The live board: the right numbers with their intervals, and pushed as they change."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from channels.testing import WebsocketCommunicator
from django.utils import timezone

from annotation.models import Project
from config.errors import Invalid
from feedback.board_live import looking
from feedback.models import Message
from feedback.services import board, rollups
from feedback.threads import in_thread
from inference.services import deployments
from tests.feedback.talks import react, talk

REST = "/api/projects/demo/board/"


@pytest.mark.django_db
def test_rates_are_counted_by_model_and_arm_with_wilson_intervals(served, make_policy, remy, api):
    canary = deployments.deploy(
        project="demo", model_version=make_policy("second"), arm="canary", weight=100
    )
    for n in range(10):
        one = talk(served, [f"question {n}"], ["yes"], guest=f"{n % 4}" * 32)
        if n < 3:
            react(one, "love")
    other = talk(canary, ["question"], ["yes"])
    react(other, "dislike")
    told = api(remy, "research").get(REST, {"window": "1h"}).json()
    by_model = {(one["model"], one["arm"]): one for one in told["models"]}
    live = by_model["first", "live"]
    assert live["love"]["share"] == pytest.approx(0.3)
    # Wilson's interval for 3 of 10, as published tables have it.
    assert live["love"]["low"] == pytest.approx(0.1078, abs=1e-4)
    assert live["love"]["high"] == pytest.approx(0.6032, abs=1e-4)
    assert by_model["second", "canary"]["complained"]["share"] == 1.0
    assert told["total"]["counts"]["answers"] == 11
    assert told["total"]["people"] == 5
    assert told["total"]["tokens_per_s"] == pytest.approx(20 / 0.5)
    assert told["total"]["first_token_ms"]["median"] == pytest.approx(100, rel=0.19)
    assert sum(part["answers"] for part in told["series"]) == 11
    assert len(told["series"]) == 30


@pytest.mark.django_db
def test_answers_outside_the_window_and_of_other_doors_are_left_out(served, remy, api):
    talk(served, ["now"], ["yes"])
    talk(served, ["by a key"], ["yes"], source="api")
    old = talk(served, ["yesterday"], ["yes"])
    Message.objects.filter(conversation=old).update(
        finished_at=timezone.now() - timedelta(hours=20)
    )
    client = api(remy, "research")

    def answers(**query) -> int:
        return client.get(REST, query).json()["total"]["counts"]["answers"]

    assert answers(window="1h") == 2
    assert answers(window="24h") == 3
    assert answers(window="1h", door="api") == 1
    assert client.get(REST, {"window": "2h"}).status_code == 400


def test_windows_end_with_the_part_that_holds_this_moment():
    since, until, step = board.Window("6h").bounds(datetime(2026, 3, 1, 12, 7, tzinfo=UTC))
    assert (until - since, step) == (timedelta(hours=6), timedelta(minutes=15))
    assert until == datetime(2026, 3, 1, 12, 15, tzinfo=UTC)
    with pytest.raises(Invalid):
        board.Window.read("6h", "window")


@pytest.mark.django_db
def test_the_page_has_charts_tables_and_a_state_for_nothing(served, remy, rita, signed_in):
    page = signed_in(remy).get("/console/demo/board/").content.decode()
    assert "No answer in this window" in page
    react(talk(served, ["question"], ["yes"]), "love")
    page = signed_in(remy).get("/console/demo/board/?window=6h").content.decode()
    for words in ("Love rate", "100.0", "As a table", "plot__band", "whisker__line", "first"):
        assert words in page
    text = signed_in(remy).get("/console/demo/board.csv?window=6h").content.decode()
    row = next(csv.DictReader(io.StringIO(text)))
    assert (row["model"], row["arm"], row["love_share"]) == ("first", "live", "1.0")
    assert signed_in(rita).get("/console/demo/board/").status_code == 403
    assert signed_in(remy).get("/console/demo/board/?window=2h").status_code == 404


async def listen(signed_in, who, query: str = "project=demo&window=1h"):
    from config.asgi import application

    browser = await in_thread(signed_in, who)
    cookies = "; ".join(f"{name}={one.value}" for name, one in browser.cookies.items())
    socket = WebsocketCommunicator(
        application,
        f"/ws/console/board/?{query}",
        headers=[(b"origin", b"http://localhost"), (b"cookie", cookies.encode())],
    )
    await socket.connect(timeout=10)
    return socket


async def heard(socket) -> dict:
    return json.loads(await socket.receive_from(timeout=10))


@pytest.mark.django_db(transaction=True)
def test_a_change_is_pushed_within_two_seconds_and_nothing_is_told_twice(
    served, remy, signed_in, play
):
    one = talk(served, ["question"], ["yes"])

    async def scene():
        socket = await listen(signed_in, remy)
        second = await listen(signed_in, remy)
        first = await heard(socket)
        assert first["type"] == "snapshot"
        assert set(first["panels"]) == {
            "now", "love", "complained", "regenerated", "speed", "votes",
        }  # fmt: skip
        await heard(second)
        began = asyncio.get_running_loop().time()
        await in_thread(react, one, "love")
        change = await heard(socket)
        assert asyncio.get_running_loop().time() - began < 2
        assert (change["type"], change["from"], change["stream"]) == (
            "change", first["seq"], first["stream"],
        )  # fmt: skip
        assert set(change["panels"]) == {"now", "love"}
        assert "100.0" in change["panels"]["love"]
        assert (await heard(second))["seq"] == change["seq"]
        assert await socket.receive_nothing(1.3)
        await socket.send_to(text_data='{"type": "resume"}')
        again = await heard(socket)
        assert (again["type"], again["seq"]) == ("snapshot", change["seq"])
        assert len(again["panels"]) == 6
        await socket.send_to(text_data="not json")
        await socket.disconnect()
        await second.disconnect()

    play(scene())


@pytest.mark.django_db(transaction=True)
def test_the_board_says_when_it_cannot_read_and_goes_on_afterwards(
    served, remy, signed_in, play, monkeypatch
):
    talk(served, ["question"], ["yes"])

    async def scene():
        socket = await listen(signed_in, remy)
        assert not (await heard(socket))["stale"]
        with monkeypatch.context() as patched:
            patched.setattr(rollups, "fold", lambda: 1 / 0)
            lost = await heard(socket)
            assert (lost["stale"], lost["panels"]) == (True, {})
        back = await heard(socket)
        assert back["stale"] is False
        await socket.disconnect()

    play(scene())


@pytest.mark.django_db(transaction=True)
def test_strangers_and_unknown_projects_are_turned_away(served, remy, rita, signed_in, play):
    async def scene():
        for who, query, code in (
            (rita, "project=demo", 4403),
            (remy, "project=nowhere", 4404),
            (remy, "project=demo&window=2h", 4400),
        ):
            socket = await listen(signed_in, who, query)
            closed = await socket.receive_output(timeout=10)
            assert (closed["type"], closed["code"]) == ("websocket.close", code)

    play(scene())


@pytest.mark.django_db(transaction=True)
def test_boards_are_read_once_for_all_and_only_while_somebody_looks(served, play):
    project = Project.objects.get(slug="demo")

    async def scene():
        from feedback.board_live import Key

        key = Key(project.pk, board.Window(), "en")
        async with looking(key) as one, looking(key) as other:
            assert one is other
        async with looking(key) as later:
            assert later is not one
        await asyncio.sleep(0)
        assert one.task.cancelled() or one.task.cancelling()

    play(scene())
