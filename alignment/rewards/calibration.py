"""Calibration of scores as probabilities: one temperature, or an isotonic curve. Plain numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def fit_temperature(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """T > 0 of least cross-entropy of s(logit / T) (Guo et al. 2017, arXiv 1706.04599 section 4.2).

    `labels` in [0, 1], soft ones too. The loss is convex in 1/T, so its slope is bisected. Logits
    that separate the labels, or are worth nothing, end at the bounds 1e-3 and 1e3.
    """
    z, y, w = _columns(logits, labels, weights)

    def slope(scale: float) -> float:
        return float((w * z * (_sigmoid(scale * z) - y)).sum())

    low, high = 1e-3, 1e3
    if slope(low) >= 0.0:
        return 1.0 / low
    if slope(high) <= 0.0:
        return 1.0 / high
    for _ in range(200):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0.0 else (low, middle)
    return float(1.0 / (low * high) ** 0.5)


@dataclass(frozen=True)
class Isotonic:
    """A rising curve through `(K,)` knots, straight between them, constant beyond."""

    knots: np.ndarray
    values: np.ndarray

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities."""
        return np.interp(np.asarray(scores, dtype=np.float64), self.knots, self.values)


def fit_isotonic(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> Isotonic:
    """The rising curve of least weighted squared error, by pooling adjacent violators (Ayer et al.
    1955). Equal scores are one point.
    """
    x, y, w = _columns(scores, labels, weights)
    x, inverse = np.unique(x, return_inverse=True)
    mass = np.bincount(inverse, w)
    mean = np.bincount(inverse, w * y) / np.maximum(mass, 1e-300)
    # Blocks of (value, weight, number of points), merged while one is above the next.
    blocks: list[list[float]] = []
    for value, weight in zip(mean, mass, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            v, m, n = blocks.pop()
            last = blocks[-1]
            total = last[1] + m
            last[0] = (last[0] * last[1] + v * m) / total if total else last[0]
            last[1], last[2] = total, last[2] + n
    values = np.repeat([b[0] for b in blocks], [int(b[2]) for b in blocks])
    return Isotonic(x, values)


def _columns(x, y, w) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or not len(x):
        raise ValueError("scores and labels must be two columns of one length, not empty")
    return x, y, np.ones_like(x) if w is None else np.asarray(w, dtype=np.float64)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))
