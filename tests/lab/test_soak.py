"""What a soak tells afterwards; the soak itself takes minutes and is run by hand."""

import pytest

from alignment.lab import soak


def test_answers_are_told_by_model_and_span_of_time():
    answers = [(1.0, "a", 0.5, True), (2.0, "a", 1.5, False), (2.0, "b", -1.0, False)]
    answers.append((119.0, "a", 2.0, True))
    rows = soak._buckets(answers, seconds=120, count=60)
    assert rows == [
        {"t": 1.0, "model": "a", "n": 1, "gold": 0.5, "love": 1.0},
        {"t": 3.0, "model": "a", "n": 1, "gold": 1.5, "love": 0.0},
        {"t": 3.0, "model": "b", "n": 1, "gold": -1.0, "love": 0.0},
        {"t": 119.0, "model": "a", "n": 1, "gold": 2.0, "love": 1.0},
    ]


def test_the_plot_marks_drift_faults_and_decisions(tmp_path):
    record = soak.Record()
    record.note("drift", "People like other answers.")
    record.note("fault", "killed engine", pid=1)
    record.note("decision", "rollback x: worse", action="rollback", model="x")
    gold = soak._buckets([(1.0, "a", 0.5, True), (70.0, "b", 1.0, False)], seconds=120)
    path = soak.plot({"gold": gold, "events": record.events}, tmp_path / "timeline.png")
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("program", [soak._RULE, soak._RUINED, soak._COUNT])
def test_what_the_operator_runs_is_python(program):
    assert compile(program, "operator", "exec")


def test_the_rounds_of_a_soak_are_ones_that_can_be_started():
    from alignment.services import plan

    config = plan.complete({}, soak.ROUND)
    assert config["release"] == "canary"
    assert config["experiment"]["window_s"] == 12
