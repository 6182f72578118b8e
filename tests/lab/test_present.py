"""The table and the plots of a simulation."""

import copy

import pytest
from PIL import Image

from alignment.lab.present import gain_sentence, plot, table

ROW = {
    "round": 1,
    "model": "demo-r1",
    "judgments": 150,
    "reactions": 70,
    "rm_accuracy": 0.71,
    "gold_mean": 0.2,
    "gold_ci": [0.1, 0.3],
    "gain": 0.5,
    "gain_ci": [0.3, 0.7],
    "win_rate": 0.64,
    "win_rate_ci": [0.58, 0.7],
    "kl": 4.2,
    "mean_tokens": 38.0,
}
FIRST = {"gold_mean": -0.3, "gold_ci": [-0.4, -0.2], "mean_tokens": 45.0}


@pytest.fixture
def report():
    later = ROW | {"round": 2, "model": "demo-r2", "gold_mean": 0.6, "gold_ci": [0.5, 0.7]}
    idle = ROW | {"gain": 0.01, "gain_ci": [-0.1, 0.12], "rm_accuracy": None, "model": "starter"}
    return {
        "rounds": [ROW, later],
        "first": FIRST,
        "control": {"rounds": [idle, idle | {"round": 2}], "first": FIRST},
    }


def test_the_table_has_a_line_for_the_first_policy_and_for_every_round(report):
    lines = table(report).splitlines()
    assert lines[0].split()[:2] == ["round", "model"]
    assert lines[1].startswith("first")
    assert "-0.300 [-0.400, -0.200]" in lines[1]
    assert lines[2].split()[:4] == ["1", "demo-r1", "150", "70"]
    assert "0.640 [0.580, 0.700]" in lines[2]
    assert lines[3].split()[:2] == ["2", "demo-r2"]
    assert lines[4].startswith("With their taste the mean gold reward rises: +0.500")


def test_the_control_stands_below_with_its_own_verdict(report):
    text = table(report)
    assert "People who answer at random:" in text
    assert "At random the mean gold reward does not rise: +0.010" in text
    report["control"] = {}
    assert "random" not in table(report)


@pytest.mark.parametrize(
    ("interval", "word"),
    [([0.1, 0.9], "rises"), ([-0.1, 0.9], "does not rise"), ([-0.9, -0.1], "falls")],
)
def test_a_gain_counts_only_when_its_interval_excludes_zero(interval, word):
    assert f" {word}: " in gain_sentence("It", [ROW | {"gain_ci": interval}])


def test_plots_are_pictures_of_every_measure(report, tmp_path):
    paths = plot(report, tmp_path / "plots")
    assert {path.name for path in paths} == {
        *("gold.png", "win_rate.png", "reward_model.png", "kl.png", "length.png"),
        "overview.png",
    }
    for path in paths:
        with Image.open(path) as picture:
            assert picture.width > 500
            colours = picture.convert("RGB").getcolors(maxcolors=2**24)
        # Paper, axes and at least the two arms.
        assert len(colours) > 50


def test_drawing_leaves_the_report_as_it_was(report, tmp_path):
    before = copy.deepcopy(report)
    plot(report, tmp_path)
    assert report == before
