"""Exact iterations on a game of A answers: what the losses of `nash` do without sampling error.

`preference` `(A, A)` float64, P[i, j] = P(i preferred over j), P + P.T = 1; policies `(A,)`
positive. The game regularised with strength beta is P(pi > pi') - beta KL(pi, ref) + beta KL(pi',
ref); beta = 0 is the plain one. No torch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def check(preference: np.ndarray) -> np.ndarray:
    """The matrix in float64; `ValueError` unless P + P.T = 1."""
    p = np.asarray(preference, dtype=np.float64)
    if p.ndim != 2 or p.shape[0] != p.shape[1] or not np.allclose(p + p.T, 1.0):
        raise ValueError("a preference matrix is square with P + P.T = 1")
    return p


def tilt(*factors: tuple[np.ndarray, float], by: np.ndarray | float = 0.0) -> np.ndarray:
    """The policy proportional to exp(by) times the product of policy^power."""
    logits = sum(power * np.log(policy) for policy, power in factors) + by
    weights = np.exp(logits - np.max(logits))
    return weights / weights.sum()


def nash_md_step(p: np.ndarray, pi: np.ndarray, ref: np.ndarray, beta: float, lr: float):
    """Nash-MD (arXiv 2312.00886 eq. 6): mirror descent from the mixture pi^(1 - beta lr) ref^(beta
    lr) against that mixture.
    """
    mixture = tilt((pi, 1.0 - beta * lr), (ref, beta * lr))
    return tilt((mixture, 1.0), by=lr * (p @ mixture))


def inpo_step(p: np.ndarray, pi: np.ndarray, ref: np.ndarray, beta: float, lr: float):
    """INPO (arXiv 2407.00617), with tau = beta and eta = 1/lr: online mirror descent against
    itself.
    """
    return tilt((ref, beta * lr), (pi, 1.0 - beta * lr), by=lr * (p @ pi))


def egpo_step(p: np.ndarray, pi: np.ndarray, ref: np.ndarray, beta: float, lr: float):
    """EGPO (arXiv 2503.08942 eq. 5 and 6): an extragradient step of logits, half step then full
    step from the same start.
    """
    half = inpo_step(p, pi, ref, beta, lr)
    return tilt((ref, beta * lr), (pi, 1.0 - beta * lr), by=lr * (p @ half))


def nash_mp_step(p: np.ndarray, pi: np.ndarray, ref: np.ndarray, beta: float, lr: float):
    """Nash mirror prox (arXiv 2505.19731): two proximal steps from the same start, the second
    against the first; the KL to the reference is taken implicitly.
    """
    own, anchor = 1.0 / (1.0 + beta * lr), beta * lr / (1.0 + beta * lr)
    step = lr / (1.0 + beta * lr)
    half = tilt((ref, anchor), (pi, own), by=step * (p @ pi))
    return tilt((ref, anchor), (pi, own), by=step * (p @ half))


def sppo_step(p: np.ndarray, pi: np.ndarray, ref: np.ndarray, beta: float, lr: float):
    """SPPO, SPO and soft DNO: multiplicative weights by win rate against itself (arXiv 2405.00675
    eq. 4.2). `ref` and `beta` are not used. The average policy converges; the last one circles.
    """
    return tilt((pi, 1.0), by=lr * (p @ pi))


STEPS: dict[str, Callable[..., np.ndarray]] = {
    "nash_md": nash_md_step,
    "inpo": inpo_step,
    "egpo": egpo_step,
    "nash_mp": nash_mp_step,
    "sppo": sppo_step,
}


def iterate(
    preference: np.ndarray,
    method: str,
    *,
    steps: int,
    lr: float,
    beta: float = 0.0,
    ref: np.ndarray | None = None,
    start: np.ndarray | None = None,
    refresh: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Last policy and average policy of `steps` exact updates.

    `refresh` makes the last policy the reference every so many steps: the limit of the regularised
    games' solutions is then a Nash policy of the plain game (COMAL, arXiv 2410.23223).
    """
    p = check(preference)
    if method not in STEPS:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(STEPS)}")
    uniform = np.full(len(p), 1.0 / len(p))
    ref = uniform if ref is None else np.asarray(ref, dtype=np.float64)
    pi = ref.copy() if start is None else np.asarray(start, dtype=np.float64)
    total = np.zeros(len(p))
    for step in range(1, steps + 1):
        pi = STEPS[method](p, pi, ref, beta, lr)
        total += pi
        if refresh and step % refresh == 0:
            ref = pi
    return pi, total / steps


def exploitability(preference: np.ndarray, pi: np.ndarray) -> float:
    """How much the best answer beats the policy by: max_i P(i > pi) - 1/2; 0 at a Nash policy."""
    return float((check(preference) @ pi).max() - 0.5)
