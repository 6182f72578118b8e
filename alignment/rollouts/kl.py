"""Estimators of KL(pi, ref) from samples of pi (Schulman 2020, "Approximating KL divergence").

`log_ratio` is log pi(y) - log ref(y) of samples y ~ pi, a tensor or array of any shape; each
function returns one value a sample. k1 and k3 are unbiased; k3 is never negative and has less
spread when the two are close; k2 is biased of second order, never negative, and its gradient is
that of the KL.
"""

from __future__ import annotations

from typing import TypeVar

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


def _expm1(x):
    return x.expm1() if hasattr(x, "expm1") else np.expm1(x)
