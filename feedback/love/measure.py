"""How good probabilities are: ranking, calibration, with intervals that respect groups."""

from collections.abc import Callable

import numpy as np


def auroc(y: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """P(score of a random good > score of a random bad), ties half; nan without both kinds."""
    y = np.asarray(y, dtype=bool)
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=float)
    order = np.argsort(score, kind="stable")
    y, weight, score = y[order], weight[order], np.asarray(score, dtype=float)[order]
    _, tied = np.unique(score, return_inverse=True)
    bad = np.bincount(tied, weights=weight * ~y)
    good = np.bincount(tied, weights=weight * y)
    below = np.cumsum(bad) - bad
    total = good.sum() * bad.sum()
    return float((good * (below + bad / 2)).sum() / total) if total else float("nan")


def brier(y: np.ndarray, p: np.ndarray) -> float:
    """Mean squared error of the probabilities."""
    return float(np.mean((np.asarray(p) - np.asarray(y)) ** 2))


def ece(y: np.ndarray, p: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins that hold equally many (Nixon et al. 2019)."""
    order = np.argsort(p)
    y, p = np.asarray(y, dtype=float)[order], np.asarray(p, dtype=float)[order]
    parts = [part for part in np.array_split(np.arange(len(y)), bins) if len(part)]
    return float(sum(len(one) * abs(y[one].mean() - p[one].mean()) for one in parts) / len(y))


def interval(
    measure: Callable[..., float], *columns: np.ndarray, group: np.ndarray, draws: int = 200,
    seed: int = 0,
) -> tuple[float, float, float]:  # fmt: skip
    """(value, low, high): a 95 % percentile bootstrap that draws whole groups (people, talks)."""
    rng = np.random.default_rng(seed)
    _, group = np.unique(group, return_inverse=True)
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    found = []
    for _ in range(draws):
        chosen = rng.integers(len(members), size=len(members))
        rows = np.concatenate([members[one] for one in chosen])
        value = measure(*(column[rows] for column in columns))
        if np.isfinite(value):
            found.append(value)
    low, high = np.percentile(found, [2.5, 97.5]) if found else (float("nan"),) * 2
    return float(measure(*columns)), float(low), float(high)
