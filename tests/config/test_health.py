"""/healthz, /readyz and /metrics, for whoever watches the service."""

import pytest
from django.db import OperationalError

from config import health


def test_a_living_process_says_so_without_asking_anybody(client):
    assert client.get("/healthz").content == b"ok\n"


@pytest.mark.django_db
def test_ready_means_that_database_and_broker_answer(client, monkeypatch):
    monkeypatch.setitem(health.PARTS, "engine", (lambda: None, False))
    answer = client.get("/readyz")
    assert answer.status_code == 200
    parts = ("database", "schema", "broker", "engine")
    assert answer.json() == {"ready": True, **dict.fromkeys(parts, "ok")}


@pytest.mark.django_db
def test_an_engine_that_is_away_is_told_but_pages_are_served(client, settings):
    settings.ENGINE_URL = "http://127.0.0.1:9"
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["engine"] == "away"


@pytest.mark.django_db
def test_a_database_that_is_away_means_not_ready_and_gives_no_details(client, monkeypatch):
    def fail():
        raise OperationalError("password of admin is wrong")

    monkeypatch.setitem(health.PARTS, "database", (fail, True))
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "away"
    assert b"password" not in answer.content


@pytest.mark.django_db
def test_metrics_are_in_the_text_format_of_prometheus(client):
    answer = client.get("/metrics")
    assert answer["Content-Type"].startswith("text/plain")
    assert b"# TYPE python_info gauge" in answer.content


@pytest.mark.django_db
def test_tables_older_than_the_code_mean_not_ready(client, monkeypatch):
    from django.db.migrations.executor import MigrationExecutor

    monkeypatch.setattr(health, "_schema_ok", [False])
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda self, leaves: [("one", False)])
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["schema"] == "away"


@pytest.mark.django_db
def test_the_loop_is_among_the_metrics(client, make_user):
    from annotation.services.projects import ensure_project

    ensure_project(slug="taste", kinds=["pairwise"], name="Taste")
    body = client.get("/metrics").content
    assert b"# TYPE preferendum_rounds gauge" in body
    assert b"# TYPE preferendum_traffic_share gauge" in body


async def test_a_request_has_an_id_that_goes_back_and_stands_in_the_log(caplog):
    import json
    import logging

    from config.logs import Json, known
    from config.observing import REQUESTS, Observed

    seen, sent = [], []

    async def page(scope, receive, send):
        seen.append(known())
        record = logging.LogRecord("x", logging.INFO, "", 0, "hello %s", ("you",), None)
        seen.append(json.loads(Json().format(record)))
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def send(message):
        sent.append(message)

    async def ask(name: bytes) -> str:
        headers = [(b"x-request-id", name)]
        scope = {"type": "http", "path": "/api/x/", "method": "GET", "headers": headers}
        await Observed(page)(scope, None, send)
        return dict(sent[-1]["headers"])[b"x-request-id"].decode()

    before = REQUESTS.labels("api", "GET", 204)._value.get()
    assert await ask(b"proxy-7") == "proxy-7"
    assert seen[0] == {"request": "proxy-7"}
    assert (seen[1]["message"], seen[1]["request"]) == ("hello you", "proxy-7")
    assert await ask(b"two\nlines") != "two\nlines"
    assert known() == {}
    assert REQUESTS.labels("api", "GET", 204)._value.get() == before + 2
