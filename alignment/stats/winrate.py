"""Win rates of one policy over another, plain and controlled for length. Pure numpy."""

from __future__ import annotations

import numpy as np

from .classification import sigmoid
from .intervals import bootstrap, bootstrap_mean, clusters_of


def wins(a, b, tie: float = 0.0) -> np.ndarray:
    """1 where a beats b by more than `tie`, 0 where it loses, 1/2 otherwise; `(n,)`."""
    gap = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    return np.where(gap > tie, 1.0, np.where(gap < -tie, 0.0, 0.5))


def win_rate(outcomes, clusters=None, *, level: float = 0.95, draws: int = 2000, seed: int = 0):
    """Mean of outcomes in [0, 1] and its bootstrap interval by cluster: (rate, low, high)."""
    mean, low, high = bootstrap_mean(outcomes, clusters, level=level, draws=draws, seed=seed)
    return mean, max(low, 0.0), min(high, 1.0)


def length_controlled(
    outcomes,
    length_gap,
    clusters=None,
    *,
    ridge: float = 0.1,
    level: float = 0.95,
    draws: int = 400,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Win rate with the two answers' lengths made equal: (rate, low, high).

    The logistic model of AlpacaEval 2 (arXiv 2404.04475 eq. 1) without its prompt-difficulty term,
    which needs a population of models: P(win) = s(theta + phi tanh(gap / sd(gap))), read at gap =
    0. `outcomes` (n,) in [0, 1], `length_gap` (n,) tokens of a minus tokens of b. A small ridge on
    phi alone keeps separable data finite.
    """
    outcomes = np.asarray(outcomes, dtype=float)
    gap = np.asarray(length_gap, dtype=float)
    if len(outcomes) == 0:
        return float("nan"), float("nan"), float("nan")
    spread = gap.std()
    x = np.tanh(gap / spread) if spread > 0 else np.zeros_like(gap)
    index = np.arange(len(outcomes)) if clusters is None else clusters_of(clusters)
    rate = float(sigmoid(_intercept(x, outcomes, np.ones_like(x), ridge)))

    def statistic(weights: np.ndarray) -> float:
        return float(sigmoid(_intercept(x, outcomes, weights[index].astype(float), ridge)))

    low, high = bootstrap(statistic, int(index.max()) + 1, level=level, draws=draws, seed=seed)
    return rate, max(low, 0.0), min(high, 1.0)


def _intercept(x: np.ndarray, y: np.ndarray, w: np.ndarray, ridge: float) -> float:
    """Intercept of a weighted logistic regression of y on (1, x), by damped Newton steps."""
    design = np.stack([np.ones_like(x), x], 1)
    # A pseudo-observation each way keeps the intercept finite when every comparison is won.
    prior = np.diag([1e-3, ridge])
    theta = np.zeros(2)
    for _ in range(50):
        p = sigmoid(design @ theta)
        gradient = design.T @ (w * (y - p)) - prior @ theta
        hessian = (design * (w * p * (1 - p))[:, None]).T @ design + prior
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        theta = theta + step
        if np.abs(step).max() < 1e-9:
            break
    return float(theta[0])
