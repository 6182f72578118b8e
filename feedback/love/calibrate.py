"""From scores to probabilities: isotonic regression where data allow, Platt's sigmoid elsewhere."""

from dataclasses import dataclass

import numpy as np

#: Fewer labels of either kind than this, and a step function would follow noise.
ISOTONIC_LEAST = 150


@dataclass(frozen=True)
class Calibration:
    """`kind` "isotonic" (steps at `x` with values `y`) or "platt" (sigmoid of x[0] + x[1] s)."""

    kind: str
    x: np.ndarray
    y: np.ndarray

    def __call__(self, score: np.ndarray) -> np.ndarray:
        score = np.asarray(score, dtype=float)
        if self.kind == "isotonic":
            return np.interp(score, self.x, self.y)
        return 1 / (1 + np.exp(-(self.x[0] + self.x[1] * score)))


def calibrate(
    score: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None, kind: str = "auto"
) -> Calibration:
    """Fit on scores that the model gave to examples it was not trained on."""
    score, y = np.asarray(score, dtype=float), np.asarray(y, dtype=float)
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=float)
    if kind == "auto":
        kind = "isotonic" if min(y.sum(), len(y) - y.sum()) >= ISOTONIC_LEAST else "platt"
    return isotonic(score, y, weight) if kind == "isotonic" else platt(score, y, weight)


def isotonic(score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Calibration:
    """The non-decreasing step function nearest in weighted squares (pool adjacent violators)."""
    order = np.argsort(score, kind="stable")
    places, first = np.unique(score[order], return_index=True)
    w = np.add.reduceat(weight[order], first)
    mean = np.add.reduceat((weight * y)[order], first) / np.maximum(w, 1e-12)
    blocks: list[list[float]] = []  # mean, weight, how many places
    for value, size in zip(mean, w, strict=True):
        blocks.append([value, size, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            value2, size2, n2 = blocks.pop()
            value1, size1, n1 = blocks.pop()
            total = max(size1 + size2, 1e-12)
            blocks.append([(value1 * size1 + value2 * size2) / total, size1 + size2, n1 + n2])
    fitted = np.concatenate([np.full(int(n), value) for value, _, n in blocks])
    return Calibration("isotonic", places, np.clip(fitted, 0.0, 1.0))


def platt(score: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Calibration:
    """Platt (1999): a sigmoid with smoothed targets, by Newton's method."""
    good, bad = float(weight @ y), float(weight @ (1 - y))
    target = np.where(y > 0.5, (good + 1) / (good + 2), 1 / (bad + 2))
    x = np.column_stack([np.ones(len(score)), score])
    params = np.array([np.log((good + 1) / (bad + 1)), 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ params, -30, 30)))
        gradient = x.T @ (weight * (target - p))
        hessian = x.T @ ((weight * p * (1 - p))[:, None] * x) + 1e-9 * np.eye(2)
        move = np.linalg.solve(hessian, gradient)
        params = params + move
        if np.abs(move).max() < 1e-10:
            break
    return Calibration("platt", params, np.zeros(0))
