"""The example scripts run, on a few rows, and say what they did."""

from __future__ import annotations

import gzip
import json

import pytest

from alignment.examples import lipo_rankings, online_dpo, reward_model


def write(path, rows):
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def published(tmp_path):
    """Rows in the form of two published sets."""
    pairs = [
        {
            "input": f"What is number {i}?",
            "output_1": "It is a small number, I hope this helps!",
            "output_2": "no",
            "label": 1,
            "subset": "Natural",
        }
        for i in range(24)
    ]
    write(tmp_path / "llmbar" / "dataset.jsonl.gz", pairs)
    texts = ["Rain fell.", "The rain fell on the town for days.", "It rained, it rained."]
    rankings = [
        {
            "instruction": f"Write about rain, {i}.",
            "responses": texts,
            "rank_1": "Response 2",
            "rank_2": "Response 3",
            "rank_3": "Response 1",
        }
        for i in range(8)
    ]
    write(tmp_path / lipo_rankings.FILE, rankings)
    return tmp_path


def test_a_reward_model_learns_from_published_pairs(published, feature_cache, capsys):
    result = reward_model.main([str(published), "--set", "llmbar", "--cache", str(feature_cache)])
    assert result["pairs"] == 24
    assert 0 < result["unseen"] < 24
    assert result["accuracy"] == 1.0
    assert "accuracy 1.000" in capsys.readouterr().out


def test_rankings_are_read_as_the_writers_gave_them_and_learned(published, capsys):
    labels = lipo_rankings.rankings(published)[0][2]
    assert labels == [0.0, 1.0, 0.5]
    result = lipo_rankings.main([str(published), "--epochs", "2"])
    assert (result["train"], result["held"]) == (6, 2)
    assert result["last_loss"] < result["first_loss"]
    assert result["concordance"] > 0.5
    assert "6 rankings" in capsys.readouterr().out


def test_two_rounds_of_online_dpo_measure_before_and_after(capsys):
    small = ["--prompts", "4", "--test", "3", "--samples", "3", "--tokens", "12"]
    result = online_dpo.main(small)
    assert len(result["rewards"]) == len(result["pairs"]) + 1
    assert all(n <= 4 for n in result["pairs"])
    assert "held-out prompts" in capsys.readouterr().out
