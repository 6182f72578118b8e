"""Advantages of K sampled answers a prompt: RLOO, GRPO and its form without normalisation, ReMax,
GAE.

Rewards `(B, K)` tensors or arrays, one row a prompt; the result has the same shape.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def rloo(rewards: T) -> T:
    """r_i - mean of the other K - 1 (arXiv 2402.14740 eq. 8); the baseline leaves the gradient
    unbiased. K >= 2.
    """
    k = rewards.shape[1]
    if k < 2:
        raise ValueError("leave-one-out needs at least two answers a prompt")
    return (rewards - rewards.mean(1)[:, None]) * (k / (k - 1))


def grpo(rewards: T, eps: float = 1e-4, normalise: bool = True) -> T:
    """(r - mean) / (std + eps) over the group (arXiv 2402.03300 eq. 3).

    `normalise=False` is the form of Dr. GRPO (arXiv 2503.20783) without the division. The standard
    deviation is the sample one (K - 1), as in TRL.
    """
    centred = rewards - rewards.mean(1)[:, None]
    if not normalise:
        return centred
    k = rewards.shape[1]
    spread = ((centred**2).sum(1) / max(k - 1, 1)) ** 0.5
    return centred / (spread + eps)[:, None]


def remax(rewards: T, greedy: T) -> T:
    """r - reward of the greedy answer (arXiv 2310.10505 eq. 7); `greedy` is `(B,)`."""
    return rewards - greedy[:, None]


def gae(rewards: T, values: T, gamma: float = 1.0, lam: float = 0.95) -> T:
    """Generalised advantage estimation over tokens (arXiv 1506.02438 eq. 16), `(B, T)`.

    `values` `(B, T)`, V after the last token is 0. lam = 1: return minus value; lam = 0: one-step
    TD error.
    """
    out = rewards * 0.0
    running = rewards[:, 0] * 0.0
    following = rewards[:, 0] * 0.0
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * following - values[:, t]
        running = delta + gamma * lam * running
        out[:, t] = running
        following = values[:, t]
    return out


def leave_signal(rewards: T, tolerance: float = 0.0) -> T:
    """True for prompts whose K rewards are not all equal (to `tolerance`), `(B,)`: the others have
    no advantage and teach nothing (dynamic sampling of DAPO, arXiv 2503.14476 eq. 11).
    """
    return _highest(rewards) + _highest(-rewards) > tolerance


def pairwise(preference: T) -> T:
    """Mean over the other answers of P(i preferred over j) - 1/2, `(B, K)` from `(B, K, K)`
    (Pairwise-RL: the policy gradient reads comparisons, no reward). Sums to 0 for each prompt.
    """
    k = preference.shape[1]
    own = preference[:, range(k), range(k)]
    return (preference.sum(2) - own) / (k - 1) - 0.5


def token_rewards(scores: T, log_ratio: T, mask: T, *, beta: float, clip: float | None = None) -> T:
    """Reward of each token, -beta (log pi - log ref), the answer's score added at its last token
    (PPO-max, arXiv 2307.04964 section 5.1), `(N, T)`.

    `scores` `(N,)`, `log_ratio` `(N, T)` of the sampling policy, `mask` `(N, T)` True = keep, at
    the left. `clip` bounds the score.
    """
    out = -beta * log_ratio * mask
    for row in range(len(scores)):
        last = int(mask[row].sum()) - 1
        if last >= 0:
            score = scores[row]
            if clip is not None:
                score = min(max(float(score), -clip), clip)
            out[row, last] = out[row, last] + score
    return out


def _highest(values: T) -> T:
    return values.amax(1) if hasattr(values, "amax") else values.max(1)
