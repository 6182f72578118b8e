"""Which two models meet next: the pairs about which the leaderboard knows least."""

import numpy as np

from feedback.arena.bradley_terry import probabilities

#: Share of the battles that are drawn evenly, so that every pair keeps being met.
EVEN = 0.15


def pair_probabilities(
    theta: np.ndarray, delta: float | None, sd: np.ndarray, *, even: float = EVEN
) -> np.ndarray:
    """(m, m) upper triangle of draw probabilities that sum to 1.

    `theta` (m,) and `delta` are those of the fit, `sd` (m, m) its `difference_sd()`.

    A pair's weight is how much one more vote narrows the interval of its difference: with
    variance v of theta_i - theta_j and Fisher information I of a vote, v falls by
    v^2 I / (1 + v I). A part `even` is spread over all pairs alike.
    """
    m = len(theta)
    if m < 2:
        raise ValueError("a battle needs two models")
    i, j = np.triu_indices(m, 1)
    variance = sd[i, j] ** 2
    win, _, lose = probabilities(theta[i] - theta[j], delta)
    information = (win + lose - (win - lose) ** 2) / 4
    gain = variance**2 * information / (1 + variance * information)
    shares = gain / gain.sum() if gain.sum() > 0 else np.full(len(i), 1 / len(i))
    found = np.zeros((m, m))
    found[i, j] = even / len(i) + (1 - even) * shares
    return found
