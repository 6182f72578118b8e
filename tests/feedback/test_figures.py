"""Intervals drawn on one scale."""

import pytest

from feedback.figures import EDGE, WIDTH, whiskers


def test_every_interval_lies_within_the_ticks_in_the_right_order():
    entries = [
        {"score": 1203, "low": 1157, "high": 1249},
        {"score": 1000, "low": 952, "high": 1048},
    ]
    figure = whiskers(entries)
    assert [words for _, words in figure.ticks] == ["900", "1000", "1100", "1200", "1300"]
    assert (figure.ticks[0][0], figure.ticks[-1][0]) == (EDGE, WIDTH - EDGE)
    best, other = figure.rows
    assert EDGE <= other.low < other.at < other.high < best.low < best.at < best.high
    assert other.at == pytest.approx(figure.ticks[1][0])


def test_a_single_value_without_spread_can_be_drawn():
    figure = whiskers([{"score": 1000, "low": 1000, "high": 1000}])
    assert figure.rows[0].low == figure.rows[0].at == figure.rows[0].high
    assert len(figure.ticks) >= 2


def test_shares_have_ticks_that_differ():
    entries = [{"share": 0.61, "low": 0.58, "high": 0.66}]
    figure = whiskers(entries, value="share", floor=0.0, ceiling=1.0, digits=1)
    words = [text for _, text in figure.ticks]
    assert len(set(words)) == len(words)
