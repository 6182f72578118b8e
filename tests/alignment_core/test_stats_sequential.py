"""Sequential tests: by hand, by another route, and by looking after every observation."""

import math

import numpy as np
import pytest
from scipy import optimize
from scipy.special import betaln
from scipy.stats import beta

from alignment.stats.release import MEASURES, Rules, judge
from alignment.stats.sequential import (
    Tally,
    difference_sequence,
    log_evidence,
    log_evidence_of_difference,
    log_evidence_of_mismatch,
    rate_sequence,
)


def test_the_evidence_of_two_outcomes_is_what_a_hand_computes():
    # Uniform mixture, one 1 and one 0: B(2, 2) / B(1, 1) = 1/6 over theta (1 - theta) = 1/4.
    assert log_evidence(Tally(2, 1), 0.5, (1, 1)) == pytest.approx(math.log(4 / 6))


def test_the_evidence_has_mean_one_under_its_null():
    n, theta = 9, 0.3
    total = sum(
        math.comb(n, k) * theta**k * (1 - theta) ** (n - k)
        * math.exp(log_evidence(Tally(n, k), theta))
        for k in range(n + 1)
    )  # fmt: skip
    assert total == pytest.approx(1)


def test_the_evidence_is_the_integral_over_the_mixture():
    grid = (np.arange(200_000) + 0.5) / 200_000
    weights = beta.pdf(grid, 2, 3) * grid**7 * (1 - grid) ** 4
    expected = math.log(weights.mean() / (0.4**7 * 0.6**4))
    assert log_evidence(Tally(11, 7), 0.4, (2, 3)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("control", "candidate"),
    [(Tally(40, 10), Tally(30, 20)), (Tally(10, 0), Tally(12, 3)), (Tally(9, 9), Tally(5, 0))],
)
def test_the_least_evidence_over_a_line_of_rates_agrees_with_an_optimiser(control, candidate):
    for delta in (-0.3, -0.05, 0.0, 0.2, 0.45):
        low, high = max(0, -delta) + 1e-9, min(1, 1 - delta) - 1e-9

        def evidence(theta, delta=delta):
            return log_evidence(control, theta) + log_evidence(candidate, theta + delta)

        found = optimize.minimize_scalar(
            evidence, bounds=(low, high), method="bounded", options={"xatol": 1e-10}
        )
        got = log_evidence_of_difference(control, candidate, delta)
        assert got == pytest.approx(min(found.fun, evidence(low), evidence(high)), abs=1e-4)


def test_the_sequence_holds_the_differences_that_the_evidence_leaves():
    arms = Tally(200, 40), Tally(180, 60)
    low, high = difference_sequence(*arms, 0.05)
    assert low < 60 / 180 - 40 / 200 < high
    for edge in (low, high):
        assert log_evidence_of_difference(*arms, edge) == pytest.approx(math.log(20), abs=1e-6)


def test_nothing_seen_says_nothing():
    assert rate_sequence(Tally(0, 0)) == (0.0, 1.0)
    assert difference_sequence(Tally(0, 0), Tally(5, 5)) == (-1.0, 1.0)
    with pytest.raises(ValueError, match="is not a share"):
        Tally(1, 2)


def peeked(rates: tuple[float, float], share: float, runs: int, steps: int, alpha: float):
    """Share of runs in which looking after every conversation ever finds a difference; and
    the mean share that an ordinary two-proportion test at the same level would find."""
    rng = np.random.default_rng(7)
    arm = rng.random((runs, steps)) < share
    hit = rng.random((runs, steps)) < np.where(arm, rates[1], rates[0])
    n1, s1 = arm.cumsum(1), (arm & hit).cumsum(1)
    n0, s0 = (~arm).cumsum(1), (~arm & hit).cumsum(1)

    def mixture(s, n):
        return betaln(0.5 + s, 0.5 + n - s) - betaln(0.5, 0.5)

    def xlog(k, p):
        return np.where(k > 0, k * np.log(np.maximum(p, 1e-300)), 0.0)

    pooled = (s0 + s1) / (n0 + n1)
    log_e = mixture(s0, n0) + mixture(s1, n1)
    log_e -= xlog(s0 + s1, pooled) + xlog(n0 + n1 - s0 - s1, 1 - pooled)
    for row, column in ((0, 50), (3, steps - 1)):  # the same numbers as the product's own
        mine = log_evidence_of_difference(
            Tally(int(n0[row, column]), int(s0[row, column])),
            Tally(int(n1[row, column]), int(s1[row, column])),
        )
        assert log_e[row, column] == pytest.approx(mine, abs=1e-6)
    ever = (log_e >= -math.log(alpha)).any(1).mean()
    spread = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(n0, 1) + 1 / np.maximum(n1, 1)))
    z = np.abs(s1 / np.maximum(n1, 1) - s0 / np.maximum(n0, 1)) / np.maximum(spread, 1e-12)
    naive = (z[:, 40:] >= 1.96).any(1).mean()
    return float(ever), float(naive)


@pytest.mark.parametrize(("rate", "share"), [(0.2, 0.1), (0.5, 0.5), (0.02, 0.3)])
def test_looking_after_every_conversation_keeps_the_error_under_alpha(rate, share):
    ever, naive = peeked((rate, rate), share, runs=1000, steps=1500, alpha=0.05)
    assert ever <= 0.05
    assert naive > 0.15  # the fixed-sample test, looked at as often, is wrong much more often


def test_a_true_difference_is_found():
    ever, _ = peeked((0.2, 0.35), 0.3, runs=200, steps=1500, alpha=0.05)
    assert ever > 0.95


def test_a_share_that_is_not_dealt_as_meant_is_found_and_a_right_one_is_not():
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(300):
        dealt = (rng.random(2000) < 0.1).cumsum()
        log_e = [
            log_evidence_of_mismatch(int(k), n + 1 - int(k), 0.1)
            for n, k in enumerate(dealt)
            if n % 20 == 0
        ]
        wrong += max(log_e) >= math.log(20)
    assert wrong / 300 <= 0.05
    assert log_evidence_of_mismatch(300, 1700, 0.1) > math.log(1000)
    with pytest.raises(ValueError, match="between 0 and 1"):
        log_evidence_of_mismatch(1, 1, 1.0)


def counts(control: dict, candidate: dict, *, dealt=None, votes=None, share=0.5) -> dict:
    arms = {
        name: dict.fromkeys(("n", *MEASURES), 0) | given
        for name, given in (("control", control), ("candidate", candidate))
    }
    dealt = dealt or {name: arm["n"] for name, arm in arms.items()}
    return arms | {"dealt": dealt, "share": share, "votes": votes}


@pytest.mark.parametrize(
    ("control", "candidate", "more", "action"),
    [
        ({"n": 300, "loved": 60}, {"n": 300, "loved": 120}, {}, "promote"),
        ({"n": 300, "loved": 120}, {"n": 300, "loved": 60}, {}, "rollback"),
        ({"n": 60, "complained": 1}, {"n": 60, "complained": 20}, {}, "rollback"),
        ({"n": 60}, {"n": 60, "failed": 20}, {}, "rollback"),
        ({"n": 60}, {"n": 60, "slow": 20}, {}, "rollback"),
        ({"n": 30, "loved": 5}, {"n": 30, "loved": 6}, {}, "wait"),
        ({"n": 20, "loved": 2}, {"n": 20, "loved": 18}, {}, "wait"),  # clear, but too few
        ({"n": 150}, {"n": 150}, {"votes": {"wins": 90, "losses": 20, "ties": 4}}, "promote"),
        ({"n": 10}, {"n": 10}, {"votes": {"wins": 10, "losses": 60, "ties": 0}}, "rollback"),
        ({"n": 900, "loved": 100}, {"n": 900, "loved": 250}, {"share": 0.1}, "halt"),
        ({"n": 15_000, "loved": 3000}, {"n": 15_000, "loved": 3010}, {}, "undecided"),
    ],
)
def test_every_boundary_leads_to_its_action(control, candidate, more, action):
    outcome = judge(counts(control, candidate, **more))
    assert outcome.action == action, outcome.reason


def test_not_worse_is_enough_where_the_rules_say_so():
    seen = counts({"n": 4000, "loved": 800}, {"n": 4000, "loved": 815})
    assert judge(seen, Rules(promote="not_worse", tolerance=0.05)).action == "promote"
    assert judge(seen, Rules(promote="never")).action == "wait"


@pytest.mark.parametrize(
    ("given", "named"),
    [({"wish": 1}, "wish"), ({"alpha": 0}, "alpha"), ({"promote": "soon"}, "promote"),
     ({"min_conversations": 1.5}, "min_conversations"), ({"slow_margin": True}, "slow_margin")],
)  # fmt: skip
def test_a_rule_that_cannot_be_used_is_named(given, named):
    with pytest.raises(ValueError, match=named):
        Rules.from_mapping(given)
