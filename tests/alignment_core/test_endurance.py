"""Checkpoints, stops, kills, NaN, full disks, several processes."""

from __future__ import annotations

import errno
import json
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from alignment.trainer import checkpoint, optimise
from alignment.trainer.__main__ import execute
from alignment.trainer.files import publish_folder

from . import tiny


def policy_run(model, **params) -> dict:
    """A short DPO run without KL samples in between."""
    return {
        "task": "policy",
        "model": str(model),
        "pairs": "data/pairs.parquet",
        "params": {"batch": 4, "lr": 3e-3, "epochs": 2, "kl_every": 0}
        | {"kl_prompts": 1, "kl_max_new_tokens": 3, "checkpoint_every": 2}
        | params,
    }


def losses(folder) -> dict[int, float]:
    """Loss by step, the last written for each."""
    return {line["step"]: line["loss"] for line in tiny.progress(folder)}


def weights(folder) -> dict:
    return load_file(folder / "artefact" / "model.safetensors")


@pytest.fixture
def whole(run, policy_folder):
    """The same run without any interruption."""
    code, report, folder = run(policy_run(policy_folder), "whole", pairs=tiny.pair_rows())
    assert code == 0, report
    return folder


def stop_at(monkeypatch, step: int, action) -> None:
    """Call `action` when the loop begins that step."""
    update = optimise.Loop._update

    def watched(self):
        if self.step == step:
            action(self)
        return update(self)

    monkeypatch.setattr(optimise.Loop, "_update", watched)


def test_a_stopped_run_goes_on_to_the_bit(whole, run, policy_folder, monkeypatch):
    def ask(loop):
        loop.context.stop_signal = signal.SIGTERM

    with monkeypatch.context() as patch:
        stop_at(patch, 4, ask)
        code, report, folder = run(policy_run(policy_folder), "cut", pairs=tiny.pair_rows())
    assert (code, report["status"]) == (3, "stopped")
    assert "SIGTERM" in report["reason"]
    assert not (folder / "artefact").exists()
    assert execute(folder) == 0
    assert tiny.report(folder)["resumed_from_step"] == 5
    assert losses(folder) == losses(whole)
    expected = weights(whole)
    for name, tensor in weights(folder).items():
        assert torch.equal(tensor, expected[name]), name


def test_a_crash_loses_at_most_one_interval_and_goes_on_to_the_bit(
    whole, run, policy_folder, monkeypatch
):
    def crash(loop):
        raise KeyError("as if the process had died here")

    with monkeypatch.context() as patch:
        stop_at(patch, 5, crash)
        code, _, folder = run(policy_run(policy_folder), "crash", pairs=tiny.pair_rows())
    assert code == 1
    assert execute(folder) == 0
    assert tiny.report(folder)["resumed_from_step"] == 4
    assert losses(folder) == losses(whole)
    expected = weights(whole)
    assert all(torch.equal(t, expected[n]) for n, t in weights(folder).items())


def test_a_damaged_checkpoint_is_passed_over(whole, run, policy_folder, monkeypatch):
    def crash(loop):
        raise KeyError("dead")

    with monkeypatch.context() as patch:
        stop_at(patch, 5, crash)
        _, _, folder = run(policy_run(policy_folder), "crash", pairs=tiny.pair_rows())
    (folder / "checkpoints" / "step-00000004" / "optimiser.pt").write_bytes(b"half")
    assert execute(folder) == 0
    report = tiny.report(folder)
    assert report["resumed_from_step"] == 2
    assert "step-00000004 is damaged" in " ".join(report["warnings"])
    assert losses(folder) == losses(whole)


def test_other_settings_do_not_continue_a_checkpoint(run, policy_folder, monkeypatch):
    def crash(loop):
        raise KeyError("dead")

    with monkeypatch.context() as patch:
        stop_at(patch, 5, crash)
        _, _, folder = run(policy_run(policy_folder), "crash", pairs=tiny.pair_rows())
    (folder / "run.json").write_text(json.dumps(policy_run(policy_folder, lr=1e-3)))
    assert execute(folder) == 0
    report = tiny.report(folder)
    assert "resumed_from_step" not in report
    assert "other settings or data" in " ".join(report["warnings"])


def test_only_the_newest_checkpoints_are_kept(run, policy_folder):
    _, _, folder = run(
        policy_run(policy_folder, checkpoint_every=1, keep_checkpoints=2), pairs=tiny.pair_rows()
    )
    assert [p.name for p in checkpoint.listed(folder / "checkpoints")] == [
        "step-00000008",
        "step-00000009",
    ]


def test_a_killed_process_is_started_again_and_finishes(tmp_path, whole, policy_folder):
    folder = tiny.write_run(
        tmp_path / "killed", policy_run(policy_folder, checkpoint_every=1), pairs=tiny.pair_rows()
    )
    process = tiny.start(folder)
    deadline = time.monotonic() + 200
    while not checkpoint.listed(folder / "checkpoints"):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.communicate()
    code = execute(folder)
    assert code == 0
    assert tiny.report(folder)["status"] == "done"
    assert losses(folder) == losses(whole)


def test_a_loss_that_is_not_a_number_fails_with_the_step_and_publishes_nothing(
    run, policy_folder, monkeypatch
):
    def poison(loop):
        with torch.no_grad():
            next(iter(loop.tensors.values())).fill_(float("nan"))

    stop_at(monkeypatch, 3, poison)
    code, report, folder = run(policy_run(policy_folder), pairs=tiny.pair_rows())
    assert (code, report["status"]) == (1, "failed")
    assert "not a finite number at step 4 of 10; the last checkpoint is step 2" in report["reason"]
    assert not (folder / "artefact").exists()


def test_out_of_memory_halves_the_budget_and_goes_on(run, policy_folder, monkeypatch):
    read, failed = optimise.Loop._read, []

    def short(self, rows):
        if len(rows) > 1:
            failed.append(len(rows))
            raise torch.OutOfMemoryError("as if")
        return read(self, rows)

    monkeypatch.setattr(optimise.Loop, "_read", short)
    rows = [r | {"split": "train"} for r in tiny.pair_rows(6)] + tiny.pair_rows(1)
    code, report, _ = run(policy_run(policy_folder, tokens=256), pairs=rows)
    assert code == 0, report
    assert failed
    assert "the token budget was cut to" in " ".join(report["warnings"])


def test_a_full_disk_fails_with_the_reason(run, policy_folder, monkeypatch):
    def full(policy, folder):
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("alignment.trainer.policy_task.save_policy", full)
    code, report, folder = run(policy_run(policy_folder), pairs=tiny.pair_rows())
    assert code == 1
    assert report["reason"] == "the disk is full; nothing was published"
    assert not (folder / "artefact").exists()
    assert not list(folder.glob(".artefact*"))


def test_a_published_folder_is_the_old_one_or_the_new_one(tmp_path):
    target = publish_folder(tmp_path / "x", lambda f: (f / "a").write_text("old"))

    def half(folder):
        (folder / "a").write_text("half")
        raise RuntimeError("dead")

    with pytest.raises(RuntimeError, match="dead"):
        publish_folder(target, half)
    assert (target / "a").read_text() == "old"
    publish_folder(target, lambda f: (f / "a").write_text("new"))
    assert (target / "a").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_the_kl_budget_stops_the_run_within_it(run, policy_folder):
    values = policy_run(
        policy_folder, kl_every=0.2, kl_budget=0.05, lr=2e-2, kl_prompts=8, kl_max_new_tokens=8
    )
    code, report, _ = run(values, pairs=tiny.pair_rows())
    assert code == 0
    assert "over the budget of 0.05" in report["metrics"]["stopped_early"]
    assert report["metrics"]["steps"] < 10
    assert report["metrics"]["kl"] <= 0.05


@pytest.mark.parametrize("objective", ["ipo", "odpo", "kto"])
def test_other_objectives_train_through_the_same_loop(run, policy_folder, objective):
    rows = tiny.pair_rows(16, margin=2.0)
    unpaired = [
        {"prompt": r["prompt"], "completion": r[side], "label": side == "chosen"}
        | {"split": r["split"]}
        for r in rows
        for side in ("chosen", "rejected")
    ]
    values = policy_run(policy_folder, objective=objective, epochs=6, lr=3e-3)
    values["unpaired"] = "data/unpaired.parquet"
    code, report, folder = run(values, pairs=rows, unpaired=unpaired)
    assert code == 0, report
    lines = tiny.progress(folder)
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert report["metrics"]["eval_accuracy"] > 0.7


SHARDED = ("--use_fsdp", "--fsdp_version", "2")


@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "fsdp2"])
def test_two_processes_give_the_losses_of_one(tmp_path, whole, policy_folder, sharded):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # One row a micro-batch, so that both processes have work.
    values = policy_run(policy_folder, tokens=16)
    folder = tiny.write_run(tmp_path / "two", values, pairs=tiny.pair_rows())
    done = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2"),
            *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
            *("--main_process_port", str(port), "--multi_gpu" if not sharded else SHARDED[0]),
            *(SHARDED[1:] if sharded else ()),
            *("-m", "alignment.trainer", str(folder)),
        ],
        cwd=tiny.ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert losses(folder) == pytest.approx(losses(whole), abs=2e-4)
    expected = weights(whole)
    for name, tensor in weights(folder).items():
        assert torch.allclose(tensor, expected[name], atol=2e-3), name
    assert tiny.report(folder)["metrics"]["tokens"] == tiny.report(whole)["metrics"]["tokens"]
    # A sharded run's checkpoints hold whole tensors: one process goes on from the last of them.
    (folder / "report.json").unlink()
    assert execute(folder) == 0
    assert tiny.report(folder)["resumed_from_step"] == 8
    assert losses(folder) == pytest.approx(losses(whole), abs=2e-4)


def test_a_launch_that_is_not_supported_is_refused(run, policy_folder, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    code, report, _ = run(policy_run(policy_folder), pairs=tiny.pair_rows())
    assert code == 2
    assert "DeepSpeed" in report["reason"]
    assert "--fsdp_version 2" in report["reason"]
