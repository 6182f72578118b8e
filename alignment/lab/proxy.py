"""The proxy pipeline of the small language: labels by simulated people, reward models, best of n.

The reward models are the product's linear heads, chosen and fitted as a round does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from alignment.lab.tongue import Pairs, Tongue
from alignment.rewards import linear
from alignment.rewards.heads import HeadBank
from alignment.rewards.losses import bradley_terry, combine
from alignment.stats import sigmoid


def judged(gap: np.ndarray, rng: np.random.Generator, flips: float = 0.0) -> np.ndarray:
    """1.0 where a person prefers the first answer, `(P,)`: by the Bradley-Terry model of the gold
    gap, then the other way round with probability `flips`.
    """
    prefers = rng.random(len(gap)) < sigmoid(gap)
    return (prefers ^ (rng.random(len(gap)) < flips)).astype(float)


def judged_right(gap: np.ndarray, rng: np.random.Generator, flips: float) -> np.ndarray:
    """1.0 where a person prefers the first answer: the better one, or with probability `flips` the
    other (the label noise of arXiv 2310.02743).
    """
    return ((gap > 0) ^ (rng.random(len(gap)) < flips)).astype(float)


def in_order(pairs: Pairs, first_preferred: np.ndarray) -> Pairs:
    """The pairs with the preferred answer first."""
    keep = first_preferred[:, None] >= 0.5
    return Pairs(
        pairs.topics,
        np.where(keep, pairs.first, pairs.second),
        np.where(keep, pairs.second, pairs.first),
    )


def problem(
    tongue: Tongue, pairs: Pairs, label: np.ndarray, weight: np.ndarray | None = None
) -> linear.Problem:
    """The reward fit of pairs with P(first preferred) `label` `(P,)` and weights `(P,)`; each pair
    is a prompt of its own.
    """
    n = len(pairs)
    first = tongue.features(pairs.topics, pairs.first)
    return linear.Problem(
        chosen=first,
        rejected=tongue.features(pairs.topics, pairs.second),
        soft_label=torch.tensor(label, dtype=torch.float32),
        pair_weight=torch.ones(n) if weight is None else torch.tensor(weight, dtype=torch.float32),
        strength=torch.ones(n),
        rows=first[:0],
        label=torch.zeros(0),
        row_weight=torch.zeros(0),
        pair_cluster=torch.arange(n),
        row_cluster=torch.zeros(0, dtype=torch.long),
    )


def reward_tables(
    tongue: Tongue,
    fit: linear.Problem,
    *,
    members: int = 1,
    seed: int = 0,
    folds: int = 5,
    l2: float | None = None,
) -> np.ndarray:
    """Reward tables `(M, topics, words + 1, words)` of an ensemble by bootstrap over pairs; one
    member is the plain fit. The ridge is the one of least held-out log-loss unless given.
    """
    if l2 is None:
        l2, _ = linear.cross_validate(fit, folds, seed=seed)
    weights, _ = linear.fit(fit, l2, linear.bootstrap_counts(members, fit.n_clusters, seed))
    return np.stack([tongue.table(w) for w in weights.double().numpy()])


def neural_rewards(
    tongue: Tongue,
    pairs: Pairs,
    label: np.ndarray,
    *,
    counts: torch.Tensor,
    hidden: int,
    steps: int,
    lr: float,
    batch: int,
    seed: int,
) -> HeadBank:
    """Two-layer reward heads without a ridge, trained until they fit their labels: what a
    fine-tuned network does with few of them. Members differ in their initial weights and, by
    `counts` `(M, P)`, in how often each saw a pair.
    """
    first = tongue.features(pairs.topics, pairs.first)
    second = tongue.features(pairs.topics, pairs.second)
    soft = torch.tensor(label, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        bank = HeadBank(first.shape[1], len(counts), 1, hidden)
    optimiser = torch.optim.Adam(bank.parameters(), lr=lr)
    for _ in range(steps):
        rows = torch.randint(len(pairs), (batch,), generator=generator)
        ends = bank(first[rows])[..., 0], bank(second[rows])[..., 0]
        losses = bradley_terry(*ends, soft_label=soft[rows])
        optimiser.zero_grad()
        (counts[:, rows] * losses).mean(1).sum().backward()
        optimiser.step()
    return bank


def member_scores(
    tongue: Tongue, bank: HeadBank, topics: np.ndarray, answers: np.ndarray
) -> np.ndarray:
    """Rewards of answers by every member, `(M, N)`."""
    out = []
    with torch.no_grad():
        for at in range(0, len(topics), 8192):
            rows = slice(at, at + 8192)
            out.append(bank(tongue.features(topics[rows], answers[rows]))[..., 0].double().numpy())
    return np.concatenate(out, axis=1)


def joined(
    by_member: np.ndarray, topics: np.ndarray, rule: str, k: float, centre: np.ndarray
) -> np.ndarray:
    """One reward `(N,)` from members' rewards `(M, N)` by a rule of `combine`.

    `centre` `(M, topics)` are their mean rewards for a topic: what a member adds to every answer of
    a topic carries no preference, so it counts as no disagreement.
    """
    return combine(torch.from_numpy(by_member - centre[:, topics]), rule, k).numpy()


def centres(by_member: np.ndarray, topics: np.ndarray, count: int) -> np.ndarray:
    """Mean reward by each member for each topic, `(M, topics)`."""
    return np.stack([by_member[:, topics == x].mean(1) for x in range(count)], axis=1)


def accuracy(tongue: Tongue, table: np.ndarray, pairs: Pairs) -> float:
    """Share of pairs a reward table orders as the gold reward does."""
    gap = tongue.value(table, pairs.topics, pairs.first)
    gap = gap - tongue.value(table, pairs.topics, pairs.second)
    return float(((gap > 0) == (tongue.gap(pairs) > 0)).mean())


def best_of_n(proxy: np.ndarray, gold: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Expected gold reward of the best by proxy of n of N samples, for each n, exactly: sum over
    samples in order of the proxy of gold x C(i - 1, n - 1) / C(N, n) (arXiv 2112.09332 app. I).
    """
    count = len(proxy)
    sorted_gold = np.asarray(gold, dtype=np.float64)[np.argsort(proxy, kind="stable")]
    out = []
    for n in sizes:
        if not 1 <= n <= count:
            raise ValueError(f"n is from 1 to the number of samples, {count}")
        # Weight of the i-th of the sorted: n/N for the last, times (i - n + 1)/i going down.
        i = np.arange(count - 1, 0, -1)
        steps = np.log(np.maximum(i - n + 1, 1e-300)) - np.log(i)
        steps[i < n] = -np.inf
        logs = np.concatenate([[np.log(n / count)], np.log(n / count) + np.cumsum(steps)])
        out.append(float((np.exp(logs[::-1]) * sorted_gold).sum()))
    return np.array(out)


def at_roots(kls: Sequence[float], golds: Sequence[float], roots: Sequence[float]) -> list[float]:
    """Gold reward where the root of the KL first reaches each value, NaN where it never does."""
    root = np.maximum.accumulate(np.sqrt(np.maximum(kls, 0.0)))
    keep = np.concatenate([[True], np.diff(root) > 0])
    found = np.interp(roots, root[keep], np.asarray(golds)[keep])
    return np.where(np.asarray(roots) <= root[-1] + 1e-12, found, np.nan).tolist()


ARMS = {
    "single": ("all", "mean"),
    "mean": ("bootstrap", "mean"),
    "WCO": ("bootstrap", "worst"),
    "UWO": ("bootstrap", "uncertainty"),
    "WCO, init": ("init", "worst"),
    "UWO, init": ("init", "uncertainty"),
}
"""Name of a proxy: the ensemble it reads, and the rule that joins its members."""


@dataclass(frozen=True)
class Proxy:
    """How the proxy is made; `uwo` is the weight of the variance, the paper's for best of n."""

    labels: int = 400
    flips: float = 0.25
    members: int = 5
    hidden: int = 32
    steps: int = 300
    lr: float = 3e-3
    batch: int = 64
    uwo: float = 0.5


class Proxies:
    """The reward models of one seed; `reward` is what an arm optimises."""

    def __init__(self, tongue: Tongue, proxy: Proxy, seed: int, draw: int) -> None:
        self.tongue, self.proxy = tongue, proxy
        rng = np.random.default_rng([seed, 2, draw])
        seed = 1000 * seed + draw
        pairs = tongue.pairs(tongue.ref, proxy.labels, rng)
        label = judged_right(tongue.gap(pairs), rng, proxy.flips)
        counts = {
            "all": torch.ones(1, len(pairs)),
            "init": torch.ones(proxy.members, len(pairs)),
            "bootstrap": linear.bootstrap_counts(proxy.members, len(pairs), seed),
        }
        self.banks = {
            name: neural_rewards(
                tongue,
                pairs,
                label,
                counts=count,
                hidden=proxy.hidden,
                steps=proxy.steps,
                lr=proxy.lr,
                batch=proxy.batch,
                seed=seed,
            )
            for name, count in counts.items()
        }
        probe = np.arange(400 * tongue.shape.topics) % tongue.shape.topics
        answers = tongue.sample(tongue.ref, probe, rng)
        self.centres = {
            name: centres(member_scores(tongue, bank, probe, answers), probe, tongue.shape.topics)
            for name, bank in self.banks.items()
        }
        fresh = tongue.pairs(tongue.ref, 2000, rng)
        gap = self.reward("single", fresh.topics, fresh.first)
        gap = gap - self.reward("single", fresh.topics, fresh.second)
        self.accuracy = float(((gap > 0) == (tongue.gap(fresh) > 0)).mean())

    def reward(self, arm: str, topics: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Proxy reward of answers, `(N,)`."""
        bank, rule = ARMS[arm]
        by_member = member_scores(self.tongue, self.banks[bank], topics, answers)
        return joined(by_member, topics, rule, self.proxy.uwo, self.centres[bank])
