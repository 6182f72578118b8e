"""Comparing a policy with the first one, on numbers small enough to check by hand."""

import math

import numpy as np
import pytest

from alignment.lab.gold import TASTES
from alignment.lab.measures import compare, gold_of, words_of


def test_means_gain_and_win_rate_by_hand():
    first = {"a": [0.0, 1.0], "b": [2.0, 2.0]}
    policy = {"a": [1.0, 2.0], "b": [3.0, 1.0]}
    result = compare(policy, first)
    assert result.prompts == 2
    assert result.gold_mean == pytest.approx((1.5 + 2.0) / 2)
    assert result.gain == pytest.approx((1.0 + 0.0) / 2)
    # Prompt a: 1>0, 1=1, 2>0, 2>1 is 3.5 of 4; prompt b: 3 beats both, 1 loses to both, 2 of 4.
    assert result.win_rate == pytest.approx((3.5 / 4 + 2 / 4) / 2)


def test_a_policy_compared_with_itself_gains_nothing_and_wins_half():
    same = {str(i): [float(i), float(i)] for i in range(20)}
    result = compare(same, same)
    assert result.gain == 0.0
    assert result.gain_ci == (0.0, 0.0)
    assert result.win_rate == pytest.approx(0.5)


def test_pairing_removes_the_spread_between_prompts():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 10, 80)
    first = {str(i): [value] for i, value in enumerate(base)}
    policy = {str(i): [value + 1 + rng.normal(0, 0.1)] for i, value in enumerate(base)}
    result = compare(policy, first)
    low, high = result.gain_ci
    assert 0.9 < low < 1.0 < high < 1.1
    assert result.gold_ci[1] - result.gold_ci[0] > 3.0


def test_the_interval_of_the_gain_agrees_with_the_normal_one():
    rng = np.random.default_rng(1)
    gains = rng.normal(0.3, 1.0, 400)
    result = compare(
        {str(i): [gain] for i, gain in enumerate(gains)}, {str(i): [0.0] for i in range(400)}
    )
    half = 1.96 * gains.std(ddof=1) / math.sqrt(400)
    assert result.gain_ci[0] == pytest.approx(gains.mean() - half, abs=0.02)
    assert result.gain_ci[1] == pytest.approx(gains.mean() + half, abs=0.02)


def test_policies_that_answered_different_prompts_are_refused():
    with pytest.raises(ValueError, match="same prompts"):
        compare({"a": [1.0]}, {"b": [1.0]})
    with pytest.raises(ValueError, match="at least one answer"):
        compare({"a": []}, {"a": [1.0]})


def test_gold_and_words_of_answers():
    ask = "What is the capital of France?"
    answers = {ask: ["Paris is the capital of France.", "I think Lyon is the capital of France."]}
    assert gold_of(TASTES["kind"], answers)[ask] == pytest.approx([0.5, -1.1])
    assert words_of(answers) == pytest.approx((6 + 8) / 2)
