"""Over-optimisation of a learned reward under label noise, and its cure by ensembles.

After Coste et al. (arXiv 2310.02743, row R12): 25 % of the labels are the wrong way round; the
policy is best of n, or DPO on pairs of its own answers that the proxy labels; gold reward against
the root of the KL to the reference. `single` is one network trained on all labels. The ensembles'
members saw bootstrap resamples of the labels (the product's `resample: bootstrap`), or all labels
from other initial weights (`init`, the paper's).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from alignment.lab.claims.base import Claim, Finding, Record, band, column, gained
from alignment.lab.proxy import ARMS, Proxies, Proxy, at_roots, best_of_n
from alignment.lab.tongue import Pairs, Shape, Tongue, Writer
from alignment.objectives import dpo
from alignment.rollouts import choose
from alignment.rollouts.selection import best_of_n_kl

ODD = Shape(zipf=2.0, taste=0.5, odd=1.2)
"""A language that punishes what it hardly ever says: so there is something to over-optimise."""


@dataclass(frozen=True)
class BestOfN:
    """`samples` answers of the reference a topic; n up to `sizes`' last; a seed is the mean of
    `draws` sets of labels.
    """

    shape: Shape = field(default_factory=lambda: ODD)
    proxy: Proxy = field(default_factory=Proxy)
    draws: int = 3
    samples: int = 16_384
    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


def measure_best_of_n(config: BestOfN, seed: int) -> Record:
    """Gold reward of the best of n by each proxy."""
    tongue = Tongue(config.shape, seed)
    proxies = [Proxies(tongue, config.proxy, seed, draw) for draw in range(config.draws)]
    rng = np.random.default_rng([seed, 3])
    curves: dict[str, list] = {arm: [] for arm in (*ARMS, "gold")}
    for topic in range(config.shape.topics):
        topics = np.full(config.samples, topic)
        answers = tongue.sample(tongue.ref, topics, rng)
        gold = tongue.gold_of(topics, answers)
        for proxy in proxies:
            for arm in ARMS:
                reward = proxy.reward(arm, topics, answers)
                curves[arm].append(best_of_n(reward, gold, config.sizes))
        curves["gold"].append(best_of_n(gold, gold, config.sizes))
    return {
        "accuracy": float(np.mean([proxy.accuracy for proxy in proxies])),
        "gold": {arm: np.mean(rows, axis=0).tolist() for arm, rows in curves.items()},
    }


@dataclass(frozen=True)
class Online:
    """DPO on the policy's own answers, `prompts` a step, `samples` to each; measured every `every`
    steps and read off at `roots`, the root of the KL; a seed is the mean of `draws` sets of labels.
    """

    shape: Shape = field(default_factory=lambda: ODD)
    proxy: Proxy = field(default_factory=Proxy)
    beta: float = 0.03
    draws: int = 2
    steps: int = 400
    prompts: int = 96
    samples: int = 4
    lr: float = 0.02
    every: int = 5
    roots: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
    arms: tuple[str, ...] = ("single", "WCO", "UWO", "WCO, init", "UWO, init")


def labelled_by_proxy(
    proxies: Proxies, arm: str, writer: Writer, config: Online, rng: np.random.Generator
) -> Pairs | None:
    """The best against the worst by the proxy of a few answers to each prompt."""
    tongue, k = proxies.tongue, config.samples
    topics = np.repeat(np.arange(config.prompts) % config.shape.topics, k)
    answers = tongue.sample(writer.now(), topics, rng)
    rewards = proxies.reward(arm, topics, answers)
    rows = []
    for at in range(0, len(topics), k):
        texts = [answers[at + i].tobytes() for i in range(k)]
        pair = choose(rewards[at : at + k], texts)
        if pair is not None:
            rows.append((at + pair.chosen, at + pair.rejected))
    if not rows:
        return None
    best, worst = np.array(rows).T
    return Pairs(topics[best], answers[best], answers[worst])


def trained(proxies: Proxies, arm: str, config: Online, seed: int) -> tuple[list, list]:
    """KL and gold reward along one run."""
    tongue = proxies.tongue
    rng = np.random.default_rng([seed, 4])
    writer = Writer(tongue)
    optimiser = torch.optim.Adam(writer.parameters(), lr=config.lr)
    kls, golds = [0.0], [tongue.mean_gold(tongue.ref)]
    for step in range(1, config.steps + 1):
        pairs = labelled_by_proxy(proxies, arm, writer, config, rng)
        if pairs is None:
            break
        optimiser.zero_grad()
        dpo(*writer.ends(pairs), beta=config.beta).mean().backward()
        optimiser.step()
        if step % config.every == 0:
            policy = writer.now()
            kls.append(tongue.kl(policy))
            golds.append(tongue.mean_gold(policy))
            if kls[-1] > config.roots[-1] ** 2:
                break
    return kls, golds


def measure_dpo(config: Online, seed: int) -> Record:
    """Gold reward of DPO against each proxy, by the root of the KL."""
    tongue = Tongue(config.shape, seed)
    curves: dict[str, list] = {arm: [] for arm in config.arms}
    accuracy = []
    for draw in range(config.draws):
        proxies = Proxies(tongue, config.proxy, seed, draw)
        accuracy.append(proxies.accuracy)
        for arm in config.arms:
            curves[arm].append(at_roots(*trained(proxies, arm, config, seed), config.roots))
    return {
        "accuracy": float(np.mean(accuracy)),
        "gold": {arm: np.mean(rows, axis=0).tolist() for arm, rows in curves.items()},
    }


def _judge(ends: str, records: Sequence[Record], arms: Sequence[str]) -> list[Finding]:
    gold = {arm: column(records, "gold", arm) for arm in arms}
    # The peak is that of the mean curve: each seed's own would be a peak by selection.
    peak = {arm: int(np.nanargmax(np.nanmean(rows, axis=0))) for arm, rows in gold.items()}
    last = {arm: rows[:, -1] for arm, rows in gold.items()}
    fall = {arm: gold[arm][:, peak[arm]] - last[arm] for arm in arms}
    out = [Finding(f"single: gold lost from its peak to {ends}", fall["single"], above=0.0)]
    for arm in ("WCO", "UWO"):
        out.append(Finding(f"{arm}: gold lost from its peak to {ends}", fall[arm]))
        gain = last[arm] - last["single"]
        out.append(Finding(f"{arm} minus single, gold at {ends}", gain, above=0.0))
        saved = fall["single"] - fall[arm]
        out.append(Finding(f"single's loss minus {arm}'s", saved, above=0.0))
    for arm in ("WCO, init", "UWO, init"):
        gain = last[arm] - last["single"]
        out.append(Finding(f"{arm} minus single, gold at {ends}", gain))
    out.append(Finding("accuracy of single on fresh pairs", column(records, "accuracy")))
    return out


def judge_best_of_n(config: BestOfN, records: Sequence[Record]) -> list[Finding]:
    """Loss from the peak, and gain of the ensembles, at the largest n."""
    return _judge(f"n = {config.sizes[-1]}", records, list(ARMS))


def judge_dpo(config: Online, records: Sequence[Record]) -> list[Finding]:
    """Loss from the peak, and gain of the ensembles, at the largest KL all runs reached."""
    rows = np.concatenate([column(records, "gold", arm) for arm in config.arms])
    ends = int(np.isfinite(rows).all(0).nonzero()[0][-1])
    cut = [
        r | {"gold": {arm: curve[: ends + 1] for arm, curve in r["gold"].items()}} for r in records
    ]
    return _judge(f"sqrt(KL) = {config.roots[ends]:g}", cut, config.arms)


def draw_best_of_n(axes, config: BestOfN, records: Sequence[Record]) -> None:
    """Gold reward against the root of the KL of best of n."""
    x = [best_of_n_kl(n) ** 0.5 for n in config.sizes]
    for place, arm in enumerate(ARMS):
        band(axes, x, gained(column(records, "gold", arm)), arm, place)
    axes.set_xlabel("root of the KL, (log n - (n - 1)/n)^½")
    axes.set_ylabel("gold reward gained")


def draw_dpo(axes, config: Online, records: Sequence[Record]) -> None:
    """Gold reward against the root of the KL of DPO."""
    for place, arm in enumerate(ARMS):
        if arm in config.arms:
            band(axes, config.roots, gained(column(records, "gold", arm)), arm, place)
    axes.set_xlabel("root of the KL to the reference")
    axes.set_ylabel("gold reward gained")


_TINY = {
    "shape": Shape(topics=2, words=6, length=4),
    "proxy": Proxy(labels=40, members=2, hidden=4, steps=20),
}

CLAIMS = (
    Claim(
        "best-of-n",
        "R12, E6",
        "Best of n over-optimises a reward model learned under 25 % label noise; WCO and UWO cure "
        "it.",
        BestOfN(),
        measure_best_of_n,
        judge_best_of_n,
        draw_best_of_n,
        _TINY | {"samples": 200, "draws": 1, "sizes": (1, 4, 16)},
    ),
    Claim(
        "dpo-overoptimisation",
        "R12, E6",
        "DPO on its own answers, labelled by the same reward models, over-optimises too; WCO and "
        "UWO cure it.",
        Online(),
        measure_dpo,
        judge_dpo,
        draw_dpo,
        _TINY | {"draws": 1, "steps": 6, "prompts": 8, "every": 2, "roots": (0.0, 0.02, 0.05)},
    ),
)
