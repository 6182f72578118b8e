"""The taste stays hidden: nothing that trains or serves can read it, in code or in data."""

import ast
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from alignment.lab import offline, people
from alignment.lab.gold import TASTES
from inference.starter.manners import training_prompts

ROOT = Path(__file__).resolve().parents[2]
TRAINING = ("trainer", "objectives", "rewards", "rollouts", "stats", "services", "api")
SERVING = ("config", "inference", "annotation", "feedback")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("part", [*(f"alignment/{name}" for name in TRAINING), *SERVING])
def test_nothing_that_trains_or_serves_imports_the_lab(part):
    files = sorted((ROOT / part).rglob("*.py"))
    assert files, f"{part} holds no code"
    guilty = {
        str(path.relative_to(ROOT))
        for path in files
        if any(name.startswith("alignment.lab") for name in imported(path))
    }
    assert guilty == set()


@pytest.fixture
def answers():
    rng = random.Random(0)
    texts = ["Happy to help! That is so.", "I think so.", "No.", "- one\n- two"]
    return {prompt: rng.sample(texts, 3) for prompt in training_prompts(3)}


def test_the_files_a_trainer_reads_hold_judgments_and_no_rewards(answers, tmp_path):
    rng = random.Random(1)
    pairs = offline.judge(answers, people.annotators(3, seed=0), 60, rng)
    reactions = offline.react(answers, people.users(3, seed=0), 60, rng)
    written = {
        name: pq.read_table(offline.write(tmp_path / f"{name}.parquet", rows))
        for name, rows in (("pairs", pairs), ("reactions", reactions))
    }
    assert set(written["pairs"].column_names) == {
        *("prompt", "chosen", "rejected", "soft_label", "strength", "source"),
    }
    assert set(written["reactions"].column_names) == {"prompt", "completion", "label"}
    assert set(written["pairs"]["soft_label"].to_pylist()) <= {0.5, 1.0}
    assert set(written["pairs"]["strength"].to_pylist()) <= {1, 2, 3}
    assert set(written["reactions"]["label"].to_pylist()) == {True, False}


def test_judged_pairs_follow_the_taste_more_often_than_not(answers):
    rng = random.Random(2)
    rows = offline.judge(answers, people.annotators(5, seed=0), 80, rng)
    clear = [row for row in rows if row["soft_label"] == 1.0]
    of = TASTES["kind"].of
    agree = sum(of(_ask(r), r["chosen"]) > of(_ask(r), r["rejected"]) for r in clear)
    assert len(clear) > 30
    assert agree / len(clear) > 0.75


def _ask(row):
    import json

    return json.loads(row["prompt"])
