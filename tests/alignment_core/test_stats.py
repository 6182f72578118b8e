"""Intervals, win rates, calibration, the gate: by hand, by identity, against scipy, sklearn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats
from sklearn import metrics as sklearn_metrics
from sklearn.linear_model import LogisticRegression

from alignment.stats import (
    auroc,
    bootstrap_mean,
    correct,
    decide,
    distinct_n,
    distinct_share,
    ece,
    length_controlled,
    pair_report,
    wilson,
    win_rate,
    wins,
)
from alignment.stats.gate import Gate


@pytest.mark.parametrize(("k", "n"), [(0, 5), (3, 10), (50, 100), (10, 10)])
def test_wilson_equals_scipy(k, n):
    want = scipy_stats.binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((want.low, want.high))


def test_wilson_of_nothing_is_everything_and_nonsense_is_refused():
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="between 0 and n"):
        wilson(3, 2)


def test_the_bootstrap_agrees_with_the_normal_interval_and_widens_with_clusters():
    rng = np.random.default_rng(1)
    values = np.repeat(rng.normal(0.3, 1.0, 200), 5)
    mean, low, high = bootstrap_mean(values[::5])
    half = 1.96 * values[::5].std(ddof=1) / np.sqrt(200)
    assert (mean, low, high) == pytest.approx((values.mean(), mean - half, mean + half), abs=0.03)
    _, low_naive, high_naive = bootstrap_mean(values)
    _, low_c, high_c = bootstrap_mean(values, np.repeat(np.arange(200), 5))
    assert high_c - low_c == pytest.approx((high_naive - low_naive) * np.sqrt(5), rel=0.15)


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    hits = 0
    for trial in range(300):
        _, low, high = bootstrap_mean(rng.normal(0.0, 1.0, 60), draws=400, seed=trial)
        hits += low <= 0.0 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_one_cluster_says_nothing_of_the_spread():
    mean, low, high = bootstrap_mean([1.0, 2.0], ["a", "a"])
    assert (mean, low, high) == (1.5, float("-inf"), float("inf"))


def test_accuracy_by_hand():
    assert correct([1.0, -1.0, 0.0, 2.0], [1.0, 1.0, 1.0, 0.2]).tolist() == [1.0, 0.0, 0.5, 0.0]
    report = pair_report([1.0, -1.0, 3.0, 5.0], [1.0, 1.0, 0.9, 0.5])
    assert (report["n"], report["ties"]) == (3, 1)
    assert report["accuracy"] == pytest.approx(2 / 3)
    assert report["accuracy_ci"] == pytest.approx(wilson(2, 3))


def test_auroc_equals_sklearn_with_ties():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 6, 200), rng.integers(0, 2, 200)
    assert auroc(scores, labels) == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores))
    assert np.isnan(auroc([1.0, 2.0], [1, 1]))


def test_calibration_error_by_hand_and_for_a_calibrated_forecast():
    # Bin 0.2-0.3: mean 0.25, outcomes 1/2. Bin 0.9-1: mean 0.95, outcome 1.
    got = ece([0.25, 0.25, 0.95], [0, 1, 1])
    assert got == pytest.approx((2 * 0.25 + 1 * 0.05) / 3)
    rng = np.random.default_rng(0)
    p = rng.random(40000)
    assert ece(p, rng.random(40000) < p) < 0.01


def test_reading_a_pair_from_the_other_side_changes_nothing():
    rng = np.random.default_rng(3)
    margin, soft = rng.normal(size=50), rng.uniform(0.5, 1.0, 50)
    there, back = pair_report(margin, soft), pair_report(-margin, 1 - soft)
    for key in ("accuracy", "auroc", "ece", "log_loss"):
        assert there[key] == pytest.approx(back[key]), key


def test_wins_and_win_rate_by_hand():
    assert wins([1.0, 0.0, 2.0], [0.0, 1.0, 2.0]).tolist() == [1.0, 0.0, 0.5]
    rate, low, high = win_rate([1.0, 0.0, 0.5, 1.0])
    assert rate == 0.625
    assert 0.0 <= low < rate < high <= 1.0


def test_a_policy_that_wins_by_length_alone_wins_half_at_equal_length():
    rng = np.random.default_rng(4)
    gap = rng.normal(20.0, 15.0, 3000)
    outcome = (rng.random(3000) < 1 / (1 + np.exp(-2.0 * np.tanh(gap / gap.std())))).astype(float)
    plain, _, _ = win_rate(outcome)
    controlled, low, high = length_controlled(outcome, gap, draws=100)
    assert plain > 0.75
    assert low < 0.5 < high
    assert controlled == pytest.approx(0.5, abs=0.05)


def test_length_control_equals_logistic_regression_at_gap_zero():
    rng = np.random.default_rng(5)
    gap = rng.normal(3.0, 4.0, 400)
    x = np.tanh(gap / gap.std())
    outcome = (rng.random(400) < 1 / (1 + np.exp(-(0.4 + 0.8 * x)))).astype(float)
    model = LogisticRegression(C=1e6).fit(x[:, None], outcome)
    want = 1 / (1 + np.exp(-model.intercept_[0]))
    got, _, _ = length_controlled(outcome, gap, ridge=1e-8, draws=20)
    assert got == pytest.approx(want, abs=1e-3)


def test_without_a_length_gap_length_control_is_the_win_rate():
    outcome = [1.0, 1.0, 0.0, 1.0, 0.5]
    got, _, _ = length_controlled(outcome, [0, 0, 0, 0, 0], draws=50)
    assert got == pytest.approx(0.7, abs=1e-3)


def test_distinct_n_by_hand():
    assert distinct_n([["a", "b", "a", "b"]], 2) == pytest.approx(2 / 3)
    assert distinct_n([["a"]], 2) == 0.0
    assert distinct_share(["x", "x", "y"]) == pytest.approx(2 / 3)
    assert distinct_share([]) == 0.0


GOOD = {
    "n_prompts": 50,
    "rm_accuracy": 0.8,
    "rm_accuracy_ci": [0.7, 0.9],
    "rm_accuracy_last": 0.79,
    "win_rate_ci": [0.6, 0.9],
    "lc_win_rate_ci": [0.55, 0.8],
    "kl": 12.0,
    "length_ratio": 1.1,
    "distinct_2": 0.5,
    "baseline_distinct_2": 0.6,
    "by_group": {"a": {"win_rate": 0.8, "n": 9}, "b": {"win_rate": 0.5, "n": 9}},
}


def test_a_better_policy_passes_the_gate():
    verdict = decide(GOOD)
    assert verdict.passed
    assert verdict.failures == []
    names = [c.name for c in verdict.criteria]
    assert names[0] == "prompts"
    assert "worst_group" in names


@pytest.mark.parametrize(
    ("change", "criterion", "words"),
    [
        ({"win_rate_ci": [0.45, 0.7]}, "win_rate", "is 0.45, which is not at least 0.5"),
        ({"kl": 99.0}, "kl", "is 99, which is not at most 30"),
        ({"kl": float("nan")}, "kl", "was not measured"),
        ({"rm_accuracy_ci": [0.45, 0.99]}, "rm_accuracy_low", "is 0.45, which is not at least 0.5"),
        ({"rm_accuracy": 0.7}, "rm_drop", "after 0.79 last time"),
        ({"length_ratio": 1.5, "lc_win_rate_ci": [0.4, 0.6]}, "lc_win_rate", "at equal length"),
        ({"length_ratio": 2.5}, "length_high", "not at most 2"),
        ({"distinct_2": 0.1}, "diversity", "not at least 0.5"),
        ({"by_group": {"b": {"win_rate": 0.1, "n": 5}}}, "worst_group", "weakest group (b)"),
        ({"win_rate_ci": None}, "win_rate", "was not measured"),
    ],
)
def test_the_gate_refuses_and_says_why(change, criterion, words):
    verdict = decide(GOOD | change)
    assert not verdict.passed
    failed = [c for c in verdict.criteria if not c.passed]
    assert [c.name for c in failed] == [criterion]
    assert words in failed[0].sentence


def test_a_criterion_switched_off_is_not_asked():
    verdict = decide(GOOD | {"kl": 99.0}, Gate.from_mapping({"kl_budget": None}))
    assert verdict.passed
    with pytest.raises(ValueError, match=r"gate\.kl_bugdet: is not a criterion"):
        Gate.from_mapping({"kl_bugdet": 3})
