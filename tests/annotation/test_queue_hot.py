"""The short way through ASGI: the same answers as the REST views, the same questions asked."""

import asyncio
import json
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import Client
from django.utils import timezone

from annotation.hot import around
from annotation.models import Assignment, Judgment, LogEntry, Project, Task
from annotation.services import log, projects, queue
from annotation.services.tasks import CandidateIn, create_tasks
from config import hot
from config.models import AccessKey, Role
from tests.annotation.conftest import a_pair

pytestmark = pytest.mark.django_db(transaction=True)


class Django:
    """Stands for Django behind the short way: notes what was left to it, body and all."""

    def __init__(self):
        self.bodies: list[bytes] = []

    async def __call__(self, scope, receive, send):
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def passed_on() -> Django:
    return Django()


@pytest.fixture
def call(passed_on):
    """`call("POST", path, headers, json={})`; status 299 means that it was left to Django."""

    def ask(method: str, path: str, headers=None, **rest) -> httpx.Response:
        @async_to_sync
        async def go():
            door = httpx.ASGITransport(app=around(passed_on))
            async with httpx.AsyncClient(transport=door, base_url="http://localhost") as client:
                answer = await client.request(method, path, headers=headers, **rest)
            await hot.connections().close()
            return answer

        return go()

    return ask


@pytest.fixture
def bearer(key_of):
    return lambda user, *scopes: {
        "Authorization": f"Bearer {key_of(user, *(scopes or ('annotate',)))}"
    }


CLAIM = "/api/projects/helpful/assignments/"


def judgment_of(lease: dict) -> str:
    return f"/api/assignments/{lease['id']}/judgment/"


def but_for_the_clock(lease: dict) -> dict:
    return {name: value for name, value in lease.items() if name != "seconds_left"}


# The same answers -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pairwise", "listwise", "span", "rating", "critique", "triplet"])
def test_a_claim_answers_as_the_view_does(kind, alice, project, api, call, bearer):
    other = projects.create_project(slug="kinds", kinds=[kind])
    projects.add_member(project=other, user=alice)
    texts = ["one", "zwei 😀", "ثلاثة"][: {"pairwise": 2, "critique": 1}.get(kind, 3)]
    item = a_pair(kind=kind, candidates=[CandidateIn(t) for t in texts], metadata={"a": [1.5]})
    create_tasks(project=other, tasks=[item])
    quick = call("POST", "/api/projects/kinds/assignments/", bearer(alice))
    assert quick.status_code == 201
    assert quick.headers["content-type"] == "application/json"
    queue.save_draft(
        assignment_id=UUID(quick.json()["id"]), by=alice, body={"rationale": "hm 😀", "n": 1e3}
    )
    quick = call("POST", "/api/projects/kinds/assignments/", bearer(alice)).json()
    plain = api(alice).post("/api/projects/kinds/assignments/").json()
    assert but_for_the_clock(quick) == but_for_the_clock(plain)
    assert list(quick) == list(plain)


def test_a_submit_answers_as_the_view_does_and_is_stored_the_same(
    alice, plain_task, api, call, bearer
):
    lease = call("POST", CLAIM, bearer(alice)).json()
    body = {"outcome": "preferred", "preferred": lease["task"]["candidates"][1]["id"]}
    body |= {"strength": 2, "rationale": "klarer 😀", "flags": ["odd"], "seconds": 4.5}
    body |= {"token": lease["token"]}
    headers = {**bearer(alice), "Idempotency-Key": "k1"}
    quick = call("POST", judgment_of(lease), headers, json=body)
    assert quick.status_code == 201
    again = api(alice).post(
        judgment_of(lease), body, format="json", headers={"Idempotency-Key": "k1"}
    )
    assert again.status_code == 200
    assert again.json() == quick.json()
    plain_task.refresh_from_db()
    assert (plain_task.taken, plain_task.done, plain_task.state) == (1, 1, "done")
    stored = Judgment.objects.get()
    assert stored.shown == [c["id"] for c in lease["task"]["candidates"]]
    entry = LogEntry.objects.get(subject="judgment")
    assert entry.subject_id == str(stored.pk)
    assert entry.actor == alice.pseudonym
    assert bytes(entry.digest) == log.judgment_digest(stored, [stored.pairwise])


def test_one_request_a_label(alice, fill, call, bearer):
    fill(2)
    headers = bearer(alice)
    first = call("POST", CLAIM, headers).json()
    answer = call("POST", judgment_of(first) + "?next=1", headers, json={"outcome": "tie"}).json()
    assert answer["task"] == first["task"]["id"]
    second = answer["next"]
    assert second["task"]["id"] != first["task"]["id"]
    last = call("POST", judgment_of(second) + "?next=1", headers, json={"outcome": "both_bad"})
    assert last.json()["next"] is None
    assert Judgment.objects.count() == 2


@pytest.mark.parametrize(
    ("path", "at_most"), [("claim", 2), ("submit", 2), ("submit and claim", 4)]
)
def test_each_call_takes_two_statements(path, at_most, alice, fill, call, bearer, monkeypatch):
    fill(3)
    headers, told = bearer(alice), []
    lease = call("POST", CLAIM, headers).json()
    execute = psycopg.AsyncConnection.execute

    async def counted(self, statement, *rest, **more):
        told.append(statement)
        return await execute(self, statement, *rest, **more)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", counted)
    if path == "claim":
        call("POST", CLAIM, headers)
    else:
        query = "?next=1" if "claim" in path else ""
        call("POST", judgment_of(lease) + query, headers, json={"outcome": "tie"})
    assert len([s for s in told if not s.startswith("SET ")]) == at_most


# Left to Django, with nothing changed ---------------------------------------------------------


def books() -> tuple:
    return (
        list(Task.objects.order_by("pk").values_list("taken", "done", "state")),
        list(Assignment.objects.order_by("pk").values_list("state", "token")),
        Judgment.objects.count(),
        LogEntry.objects.count(),
    )


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, {"outcome": "nonsense"}),
        ({}, {"outcome": "tie", "strength": 1}),
        ({}, {"outcome": "preferred", "preferred": 10**30}),
        ({}, {"outcome": "tie", "token": str(uuid4())}),
        ({}, {"outcome": "tie", "dimensions": [{"dimension": "tone", "outcome": "tie"}]}),
        ({}, [1]),
        ({"Idempotency-Key": "x" * 81}, {"outcome": "tie"}),
        ({"Content-Type": "text/plain"}, {"outcome": "tie"}),
        ({"Host": "evil.example"}, {"outcome": "tie"}),
        ({}, {"outcome": "tie", "rationale": "x" * 300_000}),
    ],
)
def test_what_is_not_plain_is_left_to_django_whole(
    headers, body, alice, plain_task, call, bearer, passed_on
):
    lease = call("POST", CLAIM, bearer(alice)).json()
    before = books()
    sent = json.dumps(body).encode()
    answer = call(
        "POST",
        judgment_of(lease),
        {**bearer(alice), "Content-Type": "application/json", **headers},
        content=sent,
    )
    assert answer.status_code == 299
    assert passed_on.bodies == [sent]
    assert books() == before


def test_other_addresses_and_methods_are_not_touched(alice, plain_task, call, bearer):
    for method, path in [
        ("GET", CLAIM),
        ("POST", CLAIM + "?next=2"),
        ("POST", "/api/projects/"),
        ("POST", "/api/assignments/1/judgment/"),
        ("POST", f"/api/assignments/{uuid4()}/draft/"),
    ]:
        assert call(method, path, bearer(alice)).status_code == 299
    assert not Assignment.objects.exists()


def test_a_lease_that_ended_and_a_spent_key_are_left_to_django(alice, fill, call, bearer, run_out):
    fill(2)
    headers = {**bearer(alice), "Idempotency-Key": "k1"}
    first = call("POST", CLAIM, headers).json()
    assert call("POST", judgment_of(first), headers, json={"outcome": "tie"}).status_code == 201
    assert call("POST", judgment_of(first), headers, json={"outcome": "tie"}).status_code == 299
    second = call("POST", CLAIM, headers).json()
    assert call("POST", judgment_of(second), headers, json={"outcome": "tie"}).status_code == 299
    run_out(Assignment.objects.get(pk=second["id"]))
    queue.sweep_expired()
    fresh = bearer(alice)
    assert call("POST", judgment_of(second), fresh, json={"outcome": "tie"}).status_code == 299
    assert Judgment.objects.count() == 1


@pytest.mark.parametrize("field", ["is_paused", "archived_at"])
def test_a_paused_or_archived_project_is_left_to_django(field, alice, project, fill, call, bearer):
    fill(1)
    value = timezone.now() if field == "archived_at" else True
    Project.objects.filter(pk=project.pk).update(**{field: value})
    assert call("POST", CLAIM, bearer(alice)).status_code == 299
    assert not Assignment.objects.exists()


def test_a_failure_of_the_database_is_left_to_django(alice, plain_task, call, bearer, monkeypatch):
    async def away(*_, **__):
        raise psycopg.OperationalError("the server went away")

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", away)
    assert call("POST", CLAIM, bearer(alice)).status_code == 299


# Who may --------------------------------------------------------------------------------------


def test_a_key_is_asked_for_each_time(alice, fill, call, key_of):
    fill(2)
    secret = key_of(alice, "annotate")
    headers = {"Authorization": f"Bearer {secret}"}
    lease = call("POST", CLAIM, headers).json()
    AccessKey.objects.get().revoke()
    assert call("POST", CLAIM, headers).status_code == 299
    assert call("POST", judgment_of(lease), headers, json={"outcome": "tie"}).status_code == 299
    assert not Judgment.objects.exists()


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": Role.MEMBER}])
def test_who_was_shut_out_is_out_at_once(change, alice, plain_task, call, bearer):
    headers = bearer(alice)
    assert call("POST", CLAIM, headers).status_code == 201
    type(alice).objects.filter(pk=alice.pk).update(**change)
    assert call("POST", CLAIM, headers).status_code == 299


def test_strangers_and_wrong_scopes_get_nothing(alice, ben, mallory, remy, fill, call, bearer):
    fill(3)
    for headers in (
        {},
        {"Authorization": "Bearer pk-nonsense"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer ümlaut".encode()},
        bearer(mallory),
        bearer(alice, "feedback"),
    ):
        assert call("POST", CLAIM, headers).status_code == 299
    lease = call("POST", CLAIM, bearer(alice)).json()
    answer = call("POST", judgment_of(lease), bearer(ben), json={"outcome": "tie"})
    assert answer.status_code == 299
    assert not Judgment.objects.exists()


@pytest.fixture
def session(alice, signed_in, services):
    """The cookies and the CSRF token of a browser in which alice is signed in."""
    client = signed_in(alice)
    token = "a" * 32
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    return client, {
        "Cookie": f"{settings.SESSION_COOKIE_NAME}={key}; {settings.CSRF_COOKIE_NAME}={token}",
        "X-CSRFToken": token,
    }


def test_a_session_works_with_its_csrf_token_only(plain_task, call, session):
    _, headers = session
    assert call("POST", CLAIM, headers).status_code == 201
    assert call("POST", CLAIM, headers | {"X-CSRFToken": "b" * 32}).status_code == 299
    assert call("POST", CLAIM, {"Cookie": headers["Cookie"]}).status_code == 299
    evil = headers | {"Origin": "https://evil.example"}
    assert call("POST", CLAIM, evil).status_code == 299
    assert call("POST", CLAIM, headers | {"Origin": "http://localhost"}).status_code == 201


def test_a_session_that_ended_is_out_at_once(alice, plain_task, call, session):
    client, headers = session
    assert call("POST", CLAIM, headers).status_code == 201
    client.logout()
    assert call("POST", CLAIM, headers).status_code == 299


def test_a_session_whose_data_changed_is_read_anew(plain_task, call, session):
    client, headers = session
    assert call("POST", CLAIM, headers).status_code == 201
    changed = client.session
    changed["colour"] = "green"
    changed.save()
    assert call("POST", CLAIM, headers).status_code == 299
    assert call("POST", CLAIM, headers).status_code == 201


def test_a_changed_password_ends_the_session_at_once(alice, plain_task, call, session):
    _, headers = session
    assert call("POST", CLAIM, headers).status_code == 201
    alice.set_password("something else")
    alice.save()
    assert call("POST", CLAIM, headers).status_code == 299


def test_a_forged_session_names_nobody(alice, plain_task, call, session):
    client, headers = session
    changed = client.session
    changed["_auth_user_hash"] = "0" * 64
    changed.save()
    assert call("POST", CLAIM, headers).status_code == 299
    unknown = headers["Cookie"].replace(changed.session_key, "x" * 32)
    assert call("POST", CLAIM, headers | {"Cookie": unknown}).status_code == 299


# Behind the real application ------------------------------------------------------------------


def test_the_server_answers_by_either_way_alike(alice, ben, fill, bearer):
    from config.asgi import application

    fill(1)

    @async_to_sync
    async def go(person):
        door = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=door, base_url="http://localhost") as client:
            answer = await client.post(CLAIM, headers=headers[person])
        await hot.connections().close()
        return answer

    headers = {person: bearer(person) for person in (alice, ben)}
    assert go(alice).status_code == 201
    assert go(ben).status_code == 204
    assert Client().post(CLAIM).status_code == 401


def test_many_at_once_share_few_connections(alice, project, fill, bearer, make_user):
    crew = [make_user(f"p{n}", Role.ANNOTATOR) for n in range(40)]
    for person in crew:
        projects.add_member(project=project, user=person)
    fill(30)
    headers = [bearer(person) for person in crew]

    @async_to_sync
    async def go():
        app = around(Django())
        door = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=door, base_url="http://localhost") as client:
            answers = await asyncio.gather(*(client.post(CLAIM, headers=h) for h in headers))
        await hot.connections().close()
        return [a.status_code for a in answers]

    assert sorted(go()) == [201] * 30 + [299] * 10
    assert set(Task.objects.values_list("taken", flat=True)) == {1}
