"""Which samples are learned from: best of n (RAFT), super-batches (SuperHF), rejection sampling
(RSO), policy filtration (PF-PPO). Plain numpy; indices out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def best_of(rewards: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Index of the best of K samples a prompt, `(B,)` from `(B, K)`: RAFT (arXiv 2304.06767). A
    prompt without a kept sample has -1 (mask True = keep).
    """
    rewards = np.asarray(rewards, dtype=np.float64)
    if mask is None:
        return rewards.argmax(1)
    held = np.where(mask, rewards, -np.inf)
    return np.where(np.asarray(mask).any(1), held.argmax(1), -1)


def top_share(rewards: np.ndarray, share: float) -> np.ndarray:
    """Indices of the best share of all samples of a batch `(N,)`, best first: RAFT's global
    ranking, and SuperHF's super-batch (arXiv 2310.16763) where N covers many prompts.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError("share is above 0 and at most 1")
    rewards = np.asarray(rewards, dtype=np.float64)
    return np.argsort(-rewards, kind="stable")[: max(1, int(np.ceil(share * len(rewards))))]


def best_of_n_kl(n: int) -> float:
    """KL of best-of-n to the sampling policy, log n - (n - 1)/n (Stiennon et al. 2020, app. G.3);
    an upper bound where samples can repeat.
    """
    return float(np.log(n) - (n - 1) / n)


def rejection_sample(
    rewards: np.ndarray, size: int, beta: float, rng: np.random.Generator
) -> np.ndarray:
    """Indices of `size` samples drawn from the reward-tilted policy exp(r/beta) ref among
    candidates of the reference, without repetition (statistical rejection sampling, arXiv
    2309.06657 alg. 1), in the order of acceptance.

    Each pass accepts candidate i with probability exp((r_i - r_max)/beta), r_max the best one left.
    Fewer are returned only if there are fewer candidates. beta to 0 takes the best, to infinity
    any.
    """
    rewards = np.asarray(rewards, dtype=np.float64)
    left = list(range(len(rewards)))
    taken: list[int] = []
    size = min(size, len(left))
    while len(taken) < size:
        best = rewards[left].max()
        for i in list(left):
            if rng.random() < np.exp((rewards[i] - best) / beta):
                taken.append(i)
                left.remove(i)
                if len(taken) == size:
                    break
    return np.array(taken, dtype=int)


def acceptance_rate(rewards: np.ndarray, beta: float) -> float:
    """Expected share of candidates accepted in one pass, mean of exp((r - r_max)/beta)."""
    rewards = np.asarray(rewards, dtype=np.float64)
    return float(np.exp((rewards - rewards.max()) / beta).mean())


def rso_pairs(
    rewards: np.ndarray,
    count: int,
    beta: float,
    rng: np.random.Generator,
) -> list[tuple[int, int]]:
    """(chosen, rejected) among rejection-sampled answers of one prompt, labelled by their rewards
    (RSO-sample-rank, arXiv 2309.06657 section 3.3): `count` samples are paired at random; equal
    rewards give no pair. For the losses `hinge` and `dpo`.
    """
    drawn = rng.permutation(rejection_sample(rewards, count, beta, rng))
    pairs = []
    for a, b in zip(drawn[::2], drawn[1::2], strict=False):
        if rewards[a] != rewards[b]:
            best, worst = (a, b) if rewards[a] > rewards[b] else (b, a)
            pairs.append((int(best), int(worst)))
    return pairs


#: Shares of the ranked samples that each strategy keeps: best, random, worst (arXiv 2409.06957).
FILTERS = ("best_random", "best_worst", "best", "all")


def filter_ranked(
    rewards: np.ndarray, keep: int, strategy: str, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Indices of `keep` of N samples of a prompt by PF-PPO's strategies, best first: those whose
    rewards are reliable, without the middle (arXiv 2409.06957 section 3).

    "best_worst": half from each end; "best_random": the best half and others at random; "best": the
    best; "all": everything.
    """
    rewards = np.asarray(rewards, dtype=np.float64)
    order = np.argsort(-rewards, kind="stable")
    if strategy == "all":
        return order
    if not 1 <= keep <= len(order):
        raise ValueError(f"keep is from 1 to the number of samples, {len(order)}")
    if strategy == "best":
        return order[:keep]
    top = (keep + 1) // 2
    if strategy == "best_worst":
        return np.concatenate([order[:top], order[len(order) - (keep - top) :]])
    if strategy == "best_random":
        rng = rng or np.random.default_rng(0)
        others = np.sort(rng.choice(np.arange(top, len(order)), keep - top, replace=False))
        return np.concatenate([order[:top], order[others]])
    raise ValueError(f"unknown strategy {strategy!r}; known: {', '.join(FILTERS)}")


def r_squared(rewards: np.ndarray, outcomes: np.ndarray) -> float:
    """R^2 of the least-squares line of true scores on rewards: how far rewards can be trusted on
    these samples; nan for equal rewards or outcomes.
    """
    r, y = np.asarray(rewards, dtype=np.float64), np.asarray(outcomes, dtype=np.float64)
    if r.std() == 0 or y.std() == 0:
        return float("nan")
    return float(np.corrcoef(r, y)[0, 1] ** 2)


def choose_filter(
    rewards: Sequence[np.ndarray],
    outcomes: Sequence[np.ndarray],
    keep: int,
    strategies: Sequence[str] = FILTERS,
    seed: int = 0,
) -> tuple[str, dict[str, float]]:
    """The strategy under which rewards explain true scores best, and the R^2 of each (arXiv
    2409.06957 section 3.2): a small set of prompts with checked samples decides.
    """
    table: dict[str, float] = {}
    for strategy in strategies:
        rng = np.random.default_rng(seed)
        kept = [filter_ranked(r, min(keep, len(r)), strategy, rng) for r in rewards]
        r = np.concatenate([x[i] for x, i in zip(rewards, kept, strict=True)])
        y = np.concatenate([x[i] for x, i in zip(outcomes, kept, strict=True)])
        table[strategy] = r_squared(r, y)
    known = {s: v for s, v in table.items() if not np.isnan(v)}
    if not known:
        raise ValueError("no strategy leaves samples whose rewards and outcomes vary")
    return max(known, key=known.get), table
