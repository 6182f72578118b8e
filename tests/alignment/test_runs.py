"""Runs: one worker at a time, whatever is delivered twice, killed or cancelled."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.db import connection
from django.utils import timezone

from alignment import conf
from alignment.models import Device, Run
from alignment.services import devices, process, runs, snapshots, supervision
from config.errors import Conflict, Invalid
from inference.models import ModelVersion

WORKER = Path(__file__).with_name("worker.py")


def until(condition, seconds: float = 60):
    """Wait for something another process does."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


@pytest.fixture
def reward_run(judged):
    taken = snapshots.take(project=judged)
    return runs.create(snapshot=taken, recipe="reward-bt", send=False)


def test_a_reward_run_leaves_a_model_that_names_its_snapshot(reward_run, quick_trainer):
    assert runs.execute(str(reward_run.pk))
    reward_run.refresh_from_db()
    assert (reward_run.state, reward_run.attempt) == ("done", 1)
    assert reward_run.metrics["accuracy"] == 0.8
    made = reward_run.model
    assert made.kind == ModelVersion.Kind.REWARD
    assert made.metadata["snapshot"] == reward_run.snapshot.digest
    assert Path(made.location).is_relative_to(Path(made.location).parents[1])
    assert [point["loss"] for point in reward_run.curve] == [1 / n for n in range(1, 6)]


def test_a_message_delivered_twice_is_worked_on_once(reward_run, quick_trainer):
    assert runs.execute(str(reward_run.pk)) is True
    assert runs.execute(str(reward_run.pk)) is False
    reward_run.refresh_from_db()
    assert reward_run.attempt == 1


def test_a_run_that_another_worker_holds_is_left_alone(reward_run, quick_trainer, settings):
    Run.objects.filter(pk=reward_run.pk).update(state="running", worker="elsewhere:1:1.0")
    assert runs.execute(str(reward_run.pk)) is False
    assert not (settings.RUNS_DIR / str(reward_run.pk)).exists()


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [("crash", "the loss is not a number at step 3"), ("refuse", "params.lr: must be positive")],
)
def test_a_trainer_that_fails_says_why_and_is_not_tried_again(
    reward_run, quick_trainer, behaviour, reason
):
    quick_trainer(reward=behaviour)
    runs.execute(str(reward_run.pk))
    reward_run.refresh_from_db()
    assert (reward_run.state, reward_run.error, reward_run.attempt) == ("failed", reason, 1)
    assert "working on reward" in reward_run.log
    assert not ModelVersion.objects.filter(kind="reward").exists()


def test_a_full_disk_stops_a_run_before_it_starts(reward_run, quick_trainer, monkeypatch):
    monkeypatch.setattr(conf, "MIN_FREE_MB", 10**9)
    runs.execute(str(reward_run.pk))
    reward_run.refresh_from_db()
    assert reward_run.state == "failed"
    assert "free some space" in reward_run.error


def test_a_disk_that_fills_up_while_the_result_is_kept_leaves_no_model(
    reward_run, quick_trainer, monkeypatch, settings
):
    import errno
    import shutil

    def no_room(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", no_room)
    runs.execute(str(reward_run.pk))
    reward_run.refresh_from_db()
    assert reward_run.state == "failed"
    assert "disk is full" in reward_run.error
    assert not ModelVersion.objects.filter(kind="reward").exists()
    assert list((settings.ARTEFACTS_DIR / "models").iterdir()) == []


def test_a_run_whose_snapshot_is_gone_says_so(reward_run, quick_trainer):
    import shutil

    shutil.rmtree(snapshots.folder_of(reward_run.snapshot))
    runs.execute(str(reward_run.pk))
    reward_run.refresh_from_db()
    assert reward_run.state == "failed"
    assert "missing" in reward_run.error


def test_a_policy_run_needs_a_policy_to_begin_with(judged, quick_trainer):
    from inference.services import deployments

    taken = snapshots.take(project=judged)
    deployments.undeploy(project="taste", arm="live")
    with pytest.raises(Invalid, match="No policy serves"):
        runs.create(snapshot=taken, recipe="dpo", send=False)


def test_a_recipe_that_is_a_path_is_refused_where_only_names_are_meant(judged):
    taken = snapshots.take(project=judged)
    with pytest.raises(Invalid, match="There is no recipe"):
        runs.create(snapshot=taken, recipe="/etc/passwd.yaml", send=False)


def test_a_queued_run_can_be_cancelled_and_is_then_left_alone(reward_run, quick_trainer):
    runs.cancel(run=reward_run)
    assert runs.execute(str(reward_run.pk)) is False
    with pytest.raises(Conflict, match="cancelled already"):
        runs.cancel(run=reward_run)


@pytest.mark.django_db(transaction=True)
def test_cancelling_a_running_run_ends_its_trainer(reward_run, quick_trainer):
    quick_trainer(reward="hang")

    def cancel_once_running():
        until(lambda: Run.objects.get(pk=reward_run.pk).step == 5)
        runs.cancel(run=Run.objects.select_related("project").get(pk=reward_run.pk))
        connection.close()

    thread = threading.Thread(target=cancel_once_running)
    thread.start()
    began = time.monotonic()
    runs.execute(str(reward_run.pk))
    thread.join()
    assert time.monotonic() - began < 40  # the trainer would hang for 60 s
    reward_run.refresh_from_db()
    assert (reward_run.state, reward_run.model) == ("cancelled", None)


def test_a_run_of_a_dead_worker_goes_back_to_the_queue(reward_run):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    started = psutil.Process(ended.pid).create_time()
    ended.wait()
    host = process.me().split(":")[0]
    Run.objects.filter(pk=reward_run.pk).update(
        state="running",
        attempt=1,
        worker=f"{host}:{ended.pid}:{started:.2f}",
        heartbeat_at=timezone.now(),
    )
    assert supervision.supervise()["requeued"] == 1
    reward_run.refresh_from_db()
    assert (reward_run.state, reward_run.worker) == ("queued", "")


@pytest.mark.parametrize(("age", "state"), [(5, "running"), (31, "queued")])
def test_on_another_host_the_heartbeat_decides(reward_run, age, state):
    Run.objects.filter(pk=reward_run.pk).update(
        state="running",
        attempt=1,
        worker="elsewhere:1:1.00",
        heartbeat_at=timezone.now() - timedelta(seconds=age),
    )
    supervision.supervise()
    reward_run.refresh_from_db()
    assert reward_run.state == state


def test_a_run_that_died_too_often_fails_with_the_end_of_its_log(reward_run, tmp_path):
    (tmp_path / "trainer.log").write_text("out of memory")
    Run.objects.filter(pk=reward_run.pk).update(
        state="running",
        attempt=conf.MAX_ATTEMPTS,
        worker="elsewhere:1:1.00",
        folder=str(tmp_path),
        heartbeat_at=timezone.now() - timedelta(minutes=5),
    )
    assert supervision.supervise()["failed"] == 1
    reward_run.refresh_from_db()
    assert reward_run.state == "failed"
    assert reward_run.log == "out of memory"
    assert f"{conf.MAX_ATTEMPTS} times" in reward_run.error


def test_a_worker_that_lost_its_run_cannot_write_over_the_next_one(
    reward_run, quick_trainer, monkeypatch
):
    from alignment.services import products

    real = products.keep

    def taken_away_meanwhile(run, folder, report):
        Run.objects.filter(pk=run.pk).update(worker="another:1:1.00", attempt=2)
        return real(run, folder, report)

    monkeypatch.setattr(products, "keep", taken_away_meanwhile)
    runs.execute(str(reward_run.pk))
    reward_run.refresh_from_db()
    assert (reward_run.state, reward_run.worker) == ("running", "another:1:1.00")


@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_takes_its_trainer_along_and_another_one_finishes(
    reward_run, quick_trainer, settings
):
    quick_trainer(reward="hang")
    name = connection.settings_dict["NAME"]
    url = settings.DATABASE_URL.replace("/preferendum?", f"/{name}?")
    environment = os.environ | {
        "DATABASE_URL": url,
        "RUNS_DIR": str(settings.RUNS_DIR),
        "ARTEFACTS_DIR": str(settings.ARTEFACTS_DIR),
        "PYTHONPATH": str(settings.BASE_DIR),
    }
    worker = subprocess.Popen([sys.executable, str(WORKER), str(reward_run.pk)], env=environment)
    try:
        until(lambda: Run.objects.get(pk=reward_run.pk).step == 5)
        folder = settings.RUNS_DIR / str(reward_run.pk)
        trainer = psutil.Process(process.files.read_json(folder / "process.json")["pid"])
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        until(lambda: not trainer.is_running() or trainer.status() == "zombie", 20)
    finally:
        worker.kill()
    quick_trainer()
    assert supervision.supervise()["requeued"] == 1
    assert runs.execute(str(reward_run.pk)) is True
    reward_run.refresh_from_db()
    assert (reward_run.state, reward_run.attempt) == ("done", 2)


def test_a_start_takes_up_what_a_stop_left_half_done(judged, reward_run, sent, settings):
    from alignment import demo
    from alignment.services import rounds

    turn = rounds.start(project=judged, send=False)
    Run.objects.filter(pk=reward_run.pk).update(
        state="running",
        attempt=1,
        worker="elsewhere:1:1.00",
        heartbeat_at=timezone.now() - timedelta(hours=1),
    )
    said = demo.prepare()
    assert said == ["Round 1 of project 'taste' goes on.", "1 training runs go on."]
    assert ("execute_round", str(turn.pk)) in sent
    reward_run.refresh_from_db()
    assert reward_run.state == "queued"
    assert settings.RUNS_DIR.is_dir()


def test_lines_are_read_whole_and_rubbish_is_passed_over(tmp_path):
    path = tmp_path / "progress.jsonl"
    lines = process.Lines(path)
    assert lines.new() == []
    path.write_bytes(b'{"step": 1}\nnot json\n[1]\n{"step"')
    assert lines.new() == [{"step": 1}]
    with open(path, "ab") as file:
        file.write(b": 2}\n")
    assert lines.new() == [{"step": 2}]


def test_a_long_curve_is_thinned_and_keeps_its_newest_point():
    points = [{"step": n} for n in range(1000)]
    kept = runs.thinned(points)
    assert len(kept) <= runs.CURVE_POINTS
    assert kept[-1] == {"step": 999}
    assert kept[0] == {"step": 0}


def test_the_accelerate_launcher_starts_the_same_module(monkeypatch, tmp_path):
    monkeypatch.setattr(conf, "LAUNCHER", "accelerate")
    argv = process.command(tmp_path)
    assert "accelerate.commands.launch" in argv
    assert argv[-3:] == ["-m", "alignment.trainer", str(tmp_path)]


@pytest.mark.django_db(transaction=True)
def test_a_long_preparation_does_not_look_like_a_death(reward_run, quick_trainer, monkeypatch):
    from alignment.services import assembly

    monkeypatch.setattr(runs, "HEART_SECONDS", 0.02)
    real = assembly.assemble

    def slow(run, folder):
        first = Run.objects.get(pk=run.pk).heartbeat_at
        held = Device.objects.get(run=run).expires_at
        until(lambda: Run.objects.get(pk=run.pk).heartbeat_at > first)
        until(lambda: Device.objects.get(run=run).expires_at > held)
        real(run, folder)

    monkeypatch.setattr(assembly, "assemble", slow)
    assert runs.execute(str(reward_run.pk))
    reward_run.refresh_from_db()
    assert reward_run.state == "done"


def test_one_device_takes_one_job_and_an_old_holder_cannot_renew(reward_run, monkeypatch):
    monkeypatch.setattr(conf, "DEVICES", ["cuda:0"])
    first = devices.claim(reward_run, host="one", worker="one:1:1.0")
    assert devices.claim(reward_run, host="one", worker="one:2:1.0") is None
    assert devices.claim(reward_run, host="two", worker="two:1:1.0") is not None
    Device.objects.filter(host="one").update(expires_at=timezone.now() - timedelta(seconds=1))
    second = devices.claim(reward_run, host="one", worker="one:2:1.0")
    assert second.names == ("cuda:0",)
    assert not devices.renew(first)
    assert devices.renew(second)
    devices.release(first)  # too late: it is not theirs any more
    assert Device.objects.get(host="one").run == reward_run
    devices.release(second)
    assert Device.objects.get(host="one").run is None


def test_a_run_that_waits_for_a_device_is_not_taken_for_one_whose_message_was_lost(
    judged, reward_run, sent
):
    old = timezone.now() - timedelta(seconds=supervision.RESEND_SECONDS + 1)
    Run.objects.update(heartbeat_at=old)
    other = runs.create(snapshot=reward_run.snapshot, recipe="reward-bt", seed=1, send=False)
    lease = devices.claim(other, host=conf.HOST, worker=process.me())
    assert runs.waits_for_device(str(reward_run.pk))
    assert supervision.supervise()["sent"] == 0
    devices.release(lease)
    assert not runs.waits_for_device(str(reward_run.pk))


def test_a_lease_that_nobody_renews_is_swept(reward_run):
    devices.claim(reward_run, host="one", worker="one:1:1.0")
    assert supervision.supervise()["freed"] == 0
    Device.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert supervision.supervise()["freed"] == 1
    assert not Device.objects.filter(run__isnull=False).exists()


def test_the_more_urgent_run_goes_first_whichever_message_came_first(judged, quick_trainer):
    taken = snapshots.take(project=judged)
    later = runs.create(snapshot=taken, recipe="reward-bt", send=False)
    urgent = runs.create(snapshot=taken, recipe="reward-bt", priority=5, seed=1, send=False)
    resting = runs.create(snapshot=taken, recipe="reward-bt", priority=9, seed=2, send=False)
    Run.objects.filter(pk=resting.pk).update(not_before=timezone.now() + timedelta(hours=1))
    done = [runs.execute_next(str(later.pk)) for _ in range(3)]
    assert done == [str(urgent.pk), str(later.pk), None]


def test_a_death_is_followed_by_a_rest_that_grows(reward_run):
    assert [runs.back_off(n) for n in (1, 2, 3, 4)] == [0, 2, 4, 8]
    Run.objects.filter(pk=reward_run.pk).update(
        state="running", attempt=2, worker="elsewhere:1:1.00", heartbeat_at=None
    )
    assert supervision.supervise()["requeued"] == 1
    reward_run.refresh_from_db()
    assert reward_run.not_before > timezone.now()


@pytest.mark.django_db(transaction=True)
def test_a_paused_run_stops_with_a_checkpoint_and_goes_on_later(reward_run, quick_trainer):
    quick_trainer(reward="hang")

    def pause_once_running():
        until(lambda: Run.objects.get(pk=reward_run.pk).step == 5)
        runs.pause(run=Run.objects.select_related("project").get(pk=reward_run.pk))
        connection.close()

    thread = threading.Thread(target=pause_once_running)
    thread.start()
    runs.execute(str(reward_run.pk))
    thread.join()
    reward_run.refresh_from_db()
    assert (reward_run.state, reward_run.worker) == ("paused", "")
    assert "working on reward" in reward_run.log
    assert not Device.objects.filter(run__isnull=False).exists()
    quick_trainer()
    runs.resume(run=reward_run, send=False)
    assert runs.execute(str(reward_run.pk))
    reward_run.refresh_from_db()
    assert reward_run.state == "done"
    with pytest.raises(Conflict, match="Only a paused run"):
        runs.resume(run=reward_run)


def test_several_processes_are_launched_by_accelerate(tmp_path):
    argv = process.command(tmp_path, processes=2)
    assert argv[argv.index("--num_processes") + 1] == "2"
    assert "--cpu" in argv
    assert "--multi_gpu" in process.command(tmp_path, processes=2, gpus=True)
