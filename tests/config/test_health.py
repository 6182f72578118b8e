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
    assert answer.json() == {"ready": True, "database": "ok", "broker": "ok", "engine": "ok"}


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


def test_metrics_are_in_the_text_format_of_prometheus(client):
    answer = client.get("/metrics")
    assert answer["Content-Type"].startswith("text/plain")
    assert b"# TYPE python_info gauge" in answer.content
