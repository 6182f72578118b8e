"""Two workers that share Postgres, Redis and the artefact store, one of which is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from alignment import conf
from alignment.models import Device, Run
from alignment.services import runs, snapshots, supervision
from alignment.tasks import execute_run
from tests.alignment.test_runs import until

WORKER = Path(__file__).with_name("train_worker.py")


@pytest.fixture
def start_worker(settings, monkeypatch, quick_trainer):
    """`start_worker("north")`: a worker as on a host of that name, on a queue of this test's."""
    queue = f"train-{os.getpid()}"
    url = settings.DATABASE_URL.replace("/preferendum?", f"/{connection.settings_dict['NAME']}?")
    shared = os.environ | {
        "DATABASE_URL": url,
        "RUNS_DIR": str(settings.RUNS_DIR),
        "ARTEFACTS_DIR": str(settings.ARTEFACTS_DIR),
        "PYTHONPATH": str(settings.BASE_DIR),
        "RUN_STALE_SECONDS": "4",
    }
    monkeypatch.setattr(conf, "STALE_SECONDS", 4)
    send = execute_run.apply_async
    monkeypatch.setattr(execute_run, "delay", lambda pk: send([pk], queue=queue), raising=False)
    started: list[subprocess.Popen] = []

    def start(host: str) -> subprocess.Popen:
        line = [sys.executable, str(WORKER), host, queue]
        started.append(subprocess.Popen(line, env=shared | {"WORKER_HOST": host}))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
        worker.wait()


@pytest.mark.django_db(transaction=True)
def test_a_killed_workers_job_goes_on_at_another_within_half_a_minute(
    judged, quick_trainer, start_worker
):
    quick_trainer(reward="hang")
    taken = snapshots.take(project=judged)
    run = runs.create(snapshot=taken, recipe="reward-bt")
    north = start_worker("north")
    until(lambda: Run.objects.get(pk=run.pk).step == 5, 120)
    held = Run.objects.get(pk=run.pk)
    assert held.worker.startswith("north:")
    assert Device.objects.get(run=run).host == "north"
    south = start_worker("south")
    quick_trainer()
    north.send_signal(signal.SIGKILL)
    north.wait()
    killed = time.monotonic()
    until(lambda: supervision.supervise()["requeued"], 30)
    assert time.monotonic() - killed < 30
    until(lambda: Run.objects.get(pk=run.pk).state == "done", 120)
    run.refresh_from_db()
    assert (run.attempt, run.worker.split(":")[0]) == (2, "south")
    assert run.model is not None
    # the message that the dead worker never acknowledged does nothing when it comes again
    assert runs.execute_next(str(run.pk)) is None
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("done", 2)
    until(lambda: not Device.objects.filter(run__isnull=False).exists(), 10)
    assert south.poll() is None
