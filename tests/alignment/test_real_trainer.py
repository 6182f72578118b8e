"""One round with the trainer itself, on a policy of a few thousand weights."""

import os
import signal
import time

import pytest

from alignment import conf
from alignment.models import Round
from alignment.services import files, parquet, process, rounds
from annotation.models import Task
from inference.selectors import live_policy
from inference.services import deployments, registry
from tests.alignment_core.tiny import make_policy

BRIEF = {
    "sample_prompts": 6,
    "eval_prompts": 8,
    "ask": 2,
    "ask_random": 1,
    "reward": {"members": 2},
    "sample": {"n": 3, "max_new_tokens": 8},
    "policy": {"epochs": 1, "kl_prompts": 2, "kl_max_new_tokens": 8, "dtype": "float32"},
    "evaluate": {"n": 1, "max_new_tokens": 8, "bootstrap": 200},
    # What a random policy of a few thousand weights wins is not the point here.
    "gate": {"min_prompts": 4, "win_rate_low": 0.0, "diversity_share": None},
}


@pytest.fixture(autouse=True)
def nursery(monkeypatch):
    """As on a machine without a GPU; a trainer that hangs is not waited for."""
    monkeypatch.setattr(conf, "LAUNCHER", "nursery")
    monkeypatch.setattr(conf, "STOP_SECONDS", 2)
    yield
    process.end_nursery()


def test_the_nursery_starts_one_trainer_after_another_and_tells_how_each_ended(tmp_path):
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        trainer = process.Trainer(folder)
        assert trainer.wait(120) == trainer.ended() == 2
        assert files.read_json(folder / "process.json")["pid"] > 0
        assert "run.json: is missing" in process.log_tail(folder)


def test_a_nursed_trainer_can_be_stopped_and_the_nursery_goes_on(tmp_path):
    pipe = tmp_path / "stuck" / "run.json"
    pipe.parent.mkdir()
    os.mkfifo(pipe)  # reading it never ends
    trainer = process.Trainer(pipe.parent)
    deadline = time.monotonic() + 120
    while not (pipe.parent / "process.json").exists():
        assert trainer.wait(0.2) is None
        assert time.monotonic() < deadline
    trainer.stop()
    assert trainer.ended() in (-signal.SIGKILL, -signal.SIGTERM, 1, 3)
    after = tmp_path / "after"
    after.mkdir()
    assert process.Trainer(after).wait(120) == 2


def test_a_trainer_is_stopped_at_once_while_its_nursery_still_reads_the_libraries(tmp_path):
    process.end_nursery()
    began = time.monotonic()
    trainer = process.Trainer(tmp_path)
    assert trainer.ended() is None
    assert time.monotonic() - began < 1  # whoever waits can tell its heartbeat meanwhile
    trainer.stop()
    assert trainer.ended() is not None


@pytest.mark.timeout(600)
def test_a_round_runs_from_judgments_to_a_served_policy(judged, tmp_path):
    tiny = registry.register(name="tiny", kind="policy", location=make_policy(tmp_path / "tiny"))
    deployments.promote(project="taste", model_version=tiny, reason="small enough")
    turn = rounds.start(project=judged, config=BRIEF, send=False)
    rounds.work(turn.pk)
    turn.refresh_from_db()
    assert turn.state == Round.State.RELEASED, turn.error
    live = live_policy(project="taste")
    assert (live.name, live.parent.name) == ("taste-r1", "tiny")
    assert live.digest != tiny.digest

    runs = {run.task: run for run in turn.runs.all()}
    # 'Yes, n it is.' against 'I do not know about n.' is easy to learn.
    assert runs["reward"].metrics["accuracy"] > 0.9
    assert runs["policy"].metrics["steps"] > 0
    assert runs["policy"].curve
    assert runs["evaluate"].metrics["n_prompts"] == 8
    samples = parquet.count(rounds.steps.assembly.artefact_of(turn, "sample") / "samples.parquet")
    assert samples == 6 * 3
    assert Task.objects.filter(source="round").exists()
