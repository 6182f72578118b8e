"""A leaderboard from pairwise choices: Bradley-Terry with ties, intervals and covariates; Elo.

Bradley and Terry (1952); ties count half to each side; intervals by the sandwich estimator of the
logistic likelihood, clustered (by task or person) where clusters are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Board:
    """`scores` `(items,)` in log-odds with mean 0 and 95 % intervals `low`, `high`; `effects`
    `(covariates,)` and theirs: how much a unit of each covariate moves the log-odds."""

    scores: np.ndarray
    low: np.ndarray
    high: np.ndarray
    effects: np.ndarray
    effects_low: np.ndarray
    effects_high: np.ndarray


def bradley_terry(
    first: Sequence[int],
    second: Sequence[int],
    share: Sequence[float],
    *,
    items: int | None = None,
    weights: Sequence[float] | None = None,
    covariates: np.ndarray | None = None,
    clusters: Sequence | None = None,
    ridge: float = 1e-3,
) -> Board:
    """The most likely scores: P(first beats second) = s(v_first - v_second + x b).

    `share` `(n,)` is 1 where the first won, 0 where the second did, 1/2 for a tie. `covariates`
    `(n, c)` are differences first less second, such as of length, so that scores hold at equal
    style. `ridge` keeps items that never lost at a finite height. By Newton's method.
    """
    first, second = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    share = np.asarray(share, dtype=float)
    n = len(first)
    items = items or int(max(first.max(), second.max())) + 1
    weights = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    from scipy import sparse

    row = np.arange(n)
    design = sparse.csr_matrix(
        (np.repeat([1.0, -1.0], n), (np.tile(row, 2), np.concatenate([first, second]))),
        shape=(n, items),
    )
    if covariates is not None:
        extra = np.asarray(covariates, dtype=float).reshape(n, -1)
        design = sparse.csr_matrix(sparse.hstack([design, extra]))
    beta = np.zeros(design.shape[1])
    pull = ridge * np.eye(len(beta))
    for _ in range(100):
        p = 0.5 * (1.0 + np.tanh(0.5 * (design @ beta)))
        gradient = design.T @ (weights * (share - p)) - ridge * beta
        slopes = sparse.diags_array(weights * p * (1 - p))
        curvature = (design.T @ slopes @ design).toarray() + pull
        step = np.linalg.solve(curvature, gradient)
        step *= min(1.0, 5.0 / max(np.abs(step).max(), 1e-12))
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    residual = sparse.diags_array(weights * (share - p)) @ design
    if clusters is not None:
        _, group = np.unique(np.asarray(clusters), return_inverse=True)
        gather = sparse.csr_matrix((np.ones(n), (group, row)), shape=(group.max() + 1, n))
        residual = gather @ residual
    inverse = np.linalg.inv(curvature)
    covariance = inverse @ (residual.T @ residual).toarray() @ inverse
    # Scores are compared with their mean, so their spread is that of the difference.
    centre = np.eye(len(beta))
    centre[:items, :items] -= 1.0 / items
    beta = centre @ beta
    reach = 1.96 * np.sqrt(np.clip(np.diag(centre @ covariance @ centre.T), 0.0, None))
    low, high = beta - reach, beta + reach
    return Board(beta[:items], low[:items], high[:items], beta[items:], low[items:], high[items:])


def elo(games: Iterable[tuple[int, int, float]], *, items: int, step: float = 4.0) -> np.ndarray:
    """Elo ratings (1978) from 1000 after a sequence of (first, second, share); order matters, so
    use `bradley_terry` unless people get better over time."""
    ratings = np.full(items, 1000.0)
    for first, second, share in games:
        expected = 1.0 / (1.0 + 10.0 ** ((ratings[second] - ratings[first]) / 400.0))
        ratings[first] += step * (share - expected)
        ratings[second] -= step * (share - expected)
    return ratings
