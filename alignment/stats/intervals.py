"""Intervals: Wilson for shares, bootstrap by cluster for anything averaged. Pure numpy."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np


def wilson(successes: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a share (Wilson 1927); (0, 1) for n = 0. `successes` may count ties
    as halves.
    """
    if n <= 0:
        return 0.0, 1.0
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n = {n}, got {successes}")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    p = successes / n
    denominator = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / denominator
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / denominator
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return float(low), float(high)


def clusters_of(labels) -> np.ndarray:
    """Cluster index `(n,)` of each label, 0..C-1 in order of the sorted labels."""
    return np.unique(np.asarray(labels, dtype=object).astype(str), return_inverse=True)[1]


def cluster_means(values: np.ndarray, clusters: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts of `values` (n,) by cluster, both `(C,)`; each row its own cluster where
    None.
    """
    values = np.asarray(values, dtype=float)
    if clusters is None:
        return values, np.ones_like(values)
    size = int(clusters.max()) + 1 if len(clusters) else 0
    return (
        np.bincount(clusters, weights=values, minlength=size),
        np.bincount(clusters, minlength=size).astype(float),
    )


def bootstrap_mean(
    values,
    clusters=None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Mean of `values` (n,) and its percentile bootstrap interval, whole clusters resampled
    (prompts, people).

    For a paired comparison pass the differences. Returns (mean, low, high); NaN for no value; the
    interval of a single cluster is the whole line, since nothing is known about the spread.
    """
    values = np.asarray(values, dtype=float)
    if len(values) == 0:
        return float("nan"), float("nan"), float("nan")
    sums, counts = cluster_means(values, None if clusters is None else clusters_of(clusters))
    mean = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return mean, float("-inf"), float("inf")
    rng = np.random.default_rng(seed)
    resampled = np.empty(draws)
    for start in range(0, draws, 256):
        stop = min(draws, start + 256)
        pick = rng.integers(0, len(sums), size=(stop - start, len(sums)))
        resampled[start:stop] = sums[pick].sum(1) / counts[pick].sum(1)
    low, high = np.quantile(resampled, [0.5 - level / 2, 0.5 + level / 2])
    return mean, float(low), float(high)


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    n_clusters: int,
    *,
    level: float = 0.95,
    draws: int = 500,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of any statistic of cluster weights.

    `statistic` gets an integer `(n_clusters,)` array, how often each cluster was drawn, and returns
    a number.
    """
    if n_clusters < 2:
        return float("-inf"), float("inf")
    rng = np.random.default_rng(seed)
    p = np.full(n_clusters, 1 / n_clusters)
    values = np.array([statistic(rng.multinomial(n_clusters, p)) for _ in range(draws)])
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return float("-inf"), float("inf")
    low, high = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)
