"""`manage.py simulate` on a whole instance: one small round through the real doors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"sample_prompts": 16, "eval_prompts": 24, "ask": 4, "ask_random": 2, "min_pairs": 10}
NUMBERS = ("gold_mean", "win_rate", "kl", "mean_tokens")


def manage(*arguments, timeout=280):
    environ = os.environ | {"OMP_NUM_THREADS": "2"}
    return subprocess.run(
        [sys.executable, "manage.py", "simulate", *arguments],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


@pytest.mark.instance
def test_one_round_ends_with_a_table_plots_and_one_json_object(tmp_path):
    output = tmp_path / "report"
    done = manage(
        *("--rounds", "1", "--annotators", "2", "--users", "2", "--seed", "3"),
        *("--judged", "30", "--chats", "6", "--held-out", "24", "--no-control"),
        *("--config", json.dumps(SMALL), "--output", str(output), "--json"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["control"] == {}
    assert report["seconds"] > 0
    (row,) = report["rounds"]
    assert row["round"] == 1
    assert row["model"] in ("demo-r1", "starter")
    assert row["judgments"] == 30
    assert 1 <= row["reactions"] <= 12
    assert row["rm_accuracy"] is None or 0 <= row["rm_accuracy"] <= 1
    assert all(isinstance(row[name], float | int) for name in NUMBERS)
    for name in ("gold", "win_rate"):
        low, high = row[f"{name}_ci"]
        assert low <= row["gold_mean" if name == "gold" else name] <= high
    assert "gold reward" in done.stdout
    assert (output / "overview.png").stat().st_size > 10_000
    assert json.loads((output / "report.json").read_text()) == report


def test_settings_that_cannot_be_read_are_refused_before_anything_starts():
    done = manage("--rounds", "0", timeout=60)
    assert done.returncode != 0
    assert "--rounds" in done.stderr
    done = manage("--keep", timeout=60)
    assert done.returncode != 0
    assert "--keep needs --output" in done.stderr
