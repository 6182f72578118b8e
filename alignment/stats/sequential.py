"""Tests that may be looked at after every observation: confidence sequences and e-processes.

All of them rest on one martingale. For a stream of independent 0/1 outcomes with mean theta, of
which s were 1 and f were 0, and a Beta(a, b) mixture over alternatives,

    M(theta) = B(a + s, b + f) / B(a, b) / (theta^s (1 - theta)^f)

is a non-negative martingale with mean 1, so by Ville's inequality it ever reaches 1/alpha with
probability at most alpha (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021, arXiv
1810.08240, section 3). The rates for which it stays below 1/alpha are a confidence sequence: it
covers the truth at all times at once, however often and whenever one looks. Pure Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

#: The mixture's prior: Jeffreys', which is quick for rare outcomes such as complaints.
PRIOR = (0.5, 0.5)
_STEPS = 60


@dataclass(frozen=True)
class Tally:
    """How many independent 0/1 outcomes were seen, and how many of them were 1."""

    n: int
    ones: int

    def __post_init__(self) -> None:
        if not 0 <= self.ones <= self.n:
            raise ValueError(f"{self.ones} of {self.n} is not a share")

    @property
    def zeros(self) -> int:
        """How many were 0."""
        return self.n - self.ones

    @property
    def rate(self) -> float | None:
        """The share of ones; None before the first outcome."""
        return self.ones / self.n if self.n else None


def log_evidence(tally: Tally, theta: float, prior: tuple[float, float] = PRIOR) -> float:
    """log M(theta), the evidence against the mean theta; infinite where theta is impossible."""
    mixture = _log_beta(prior[0] + tally.ones, prior[1] + tally.zeros) - _log_beta(*prior)
    return mixture - _log_likelihood(tally, theta)


def rate_sequence(
    tally: Tally, alpha: float = 0.05, prior: tuple[float, float] = PRIOR
) -> tuple[float, float]:
    """Confidence sequence of one rate at this moment: (low, high); (0, 1) before any outcome."""
    if not tally.n:
        return 0.0, 1.0
    limit = -math.log(alpha)
    best = tally.ones / tally.n

    def outside(theta: float) -> bool:
        return log_evidence(tally, theta, prior) >= limit

    low = 0.0 if tally.ones == 0 else _edge(outside, 0.0, best)
    high = 1.0 if tally.zeros == 0 else _edge(outside, 1.0, best)
    return low, high


def log_evidence_of_difference(
    control: Tally, candidate: Tally, delta: float = 0.0, prior: tuple[float, float] = PRIOR
) -> float:
    """Log of an e-process against 'the candidate's rate minus the control's is delta'.

    The product of the two arms' martingales is a martingale for any pair of rates, in whatever
    order the arms grow; its least value over the pairs that differ by delta is therefore an
    e-process for all of them. For delta 0 that is at the pooled rate.
    """
    return (
        sum(
            _log_beta(prior[0] + arm.ones, prior[1] + arm.zeros) - _log_beta(*prior)
            for arm in (control, candidate)
        )
        - _profile(control, candidate, delta)[1]
    )


def difference_sequence(
    control: Tally, candidate: Tally, alpha: float = 0.05, prior: tuple[float, float] = PRIOR
) -> tuple[float, float]:
    """Confidence sequence of the candidate's rate minus the control's: (low, high).

    The region of pairs of rates is convex, so the differences it holds are one interval.
    """
    if not control.n or not candidate.n:
        return -1.0, 1.0
    limit = -math.log(alpha)
    best = candidate.ones / candidate.n - control.ones / control.n

    def outside(delta: float) -> bool:
        return log_evidence_of_difference(control, candidate, delta, prior) >= limit

    return _edge(outside, -1.0, best), _edge(outside, 1.0, best)


def log_evidence_of_mismatch(
    candidate: int, control: int, share: float, strength: float = 100.0
) -> float:
    """Log e-value against 'units go to the candidate with probability `share`'.

    The two-arm case of the sequential multinomial test of Lindon and Malek (2022, arXiv
    2011.03567, eq. 5), its Beta mixture centred at the share meant.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    prior = (strength * share, strength * (1 - share))
    return log_evidence(Tally(candidate + control, candidate), share, prior)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_likelihood(tally: Tally, theta: float) -> float:
    total = 0.0
    for count, chance in ((tally.ones, theta), (tally.zeros, 1.0 - theta)):
        if count:
            if chance <= 0:
                return -math.inf
            total += count * math.log(chance)
    return total


def _profile(control: Tally, candidate: Tally, delta: float) -> tuple[float, float]:
    """The control's rate that is likeliest when the rates differ by delta, and its likelihood.

    The log-likelihood is concave along the line, so its slope is followed to its zero.
    """
    low, high = max(0.0, -delta), min(1.0, 1.0 - delta)

    def slope(theta: float) -> float:
        total = 0.0
        for arm, rate in ((control, theta), (candidate, theta + delta)):
            rate = min(max(rate, 1e-15), 1 - 1e-15)
            total += arm.ones / rate - arm.zeros / (1 - rate)
        return total

    a, b = low, high
    for _ in range(_STEPS):
        middle = (a + b) / 2
        if slope(middle) > 0:
            a = middle
        else:
            b = middle

    def likelihood(theta: float) -> float:
        other = min(1.0, max(0.0, theta + delta))
        return _log_likelihood(control, theta) + _log_likelihood(candidate, other)

    # Where one arm saw only ones or zeros the best rate is an end of the line itself.
    best = max((low, high, (a + b) / 2), key=likelihood)
    return best, likelihood(best)


def _edge(outside: Callable[[float], bool], far: float, inside: float) -> float:
    """Where a set that holds `inside` ends towards `far`; just outside, so that it is covered."""
    if not outside(far):
        return far
    for _ in range(_STEPS):
        middle = (far + inside) / 2
        if outside(middle):
            far = middle
        else:
            inside = middle
    return far
