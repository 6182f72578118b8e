"""Estimators of KL(pi, ref) from samples of pi (Schulman 2020, "Approximating KL divergence").

`log_ratio` is log pi(y) - log ref(y) of samples y ~ pi, a tensor or array of any shape; each
function returns one value a sample. k1 and k3 are unbiased; k3 is never negative and has less
spread when the two are close; k2 is biased of second order, never negative, and its gradient is
that of the KL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def k1(log_ratio: T) -> T:
    """log pi - log ref."""
    return log_ratio


def k2(log_ratio: T) -> T:
    """(log pi - log ref)^2 / 2."""
    return log_ratio**2 / 2


def k3(log_ratio: T) -> T:
    """ref/pi - 1 + log pi - log ref.

    Over whole sequences the ratio has a heavy tail: sum token values of k3 there, rather than the
    value of sums.
    """
    return _expm1(-log_ratio) + log_ratio


def chi_squared(log_ratio: T) -> T:
    """pi/ref - 1: unbiased for the chi-squared divergence sum pi^2/ref - 1."""
    return _expm1(log_ratio)


ESTIMATORS = ("k1", "k2", "k3", "chi_squared")


def per_answer(log_ratio: T, mask: T, estimator: str = "k1") -> T:
    """Sum over an answer's tokens of an estimator, `(N,)` from `(N, T)`, mask True = keep.

    For k1 and k3 the expectation over answers is the KL of the whole distributions (chain rule);
    `chi_squared` does not add up over tokens and is taken on the summed log-ratio.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; known: {', '.join(ESTIMATORS)}")
    if estimator == "chi_squared":
        return chi_squared((log_ratio * mask).sum(1))
    return (globals()[estimator](log_ratio) * mask).sum(1)


@dataclass
class KLBudget:
    """Stop rule: training may go on while the KL to the reference is within the budget.

    The upper end of an interval of the mean over `per_answer` values is compared, so a lucky small
    sample does not let training run on; `z` is the width in standard errors.
    """

    budget: float
    z: float = 1.0

    def exceeded(self, values: Any) -> bool:
        """Whether the KL, estimated from values of answers, may be above the budget."""
        values = np.asarray(values, dtype=np.float64)
        if not len(values):
            return False
        error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
        return bool(values.mean() + self.z * error > self.budget)


def _expm1(x):
    return x.expm1() if hasattr(x, "expm1") else np.expm1(x)
