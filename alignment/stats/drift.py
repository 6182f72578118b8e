"""Whether two sets of embeddings come from one distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shift:
    """`distance` is the energy distance (0: the same), `p` how often chance alone gives as much."""

    distance: float
    p: float
    before: int
    after: int


def energy_shift(
    before: np.ndarray, after: np.ndarray, *, draws: int = 200, seed: int = 0
) -> Shift:
    """The energy distance 2 E|X-Y| - E|X-X'| - E|Y-Y'| (Szekely and Rizzo 2013) of `(n, d)` and
    `(m, d)`, with a permutation test; p = (1 + draws at least as far) / (1 + draws).
    """
    n, m = len(before), len(after)
    if n < 2 or m < 2:
        return Shift(0.0, 1.0, n, m)
    both = np.concatenate([before, after]).astype(np.float64)
    squares = (both**2).sum(1)
    gaps = np.sqrt(np.maximum(squares[:, None] + squares - 2 * both @ both.T, 0.0))
    rng = np.random.default_rng(seed)

    def distance(order: np.ndarray) -> float:
        sign = np.full(n + m, -1.0 / m)
        sign[order[:n]] = 1.0 / n
        return float(-(sign @ gaps @ sign))

    seen = distance(np.arange(n + m))
    far = sum(distance(rng.permutation(n + m)) >= seen - 1e-12 for _ in range(draws))
    return Shift(max(0.0, seen), (1 + far) / (1 + draws), n, m)
