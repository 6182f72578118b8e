"""Rewards away from where they were learned: DPO's implicit reward under shift (row R17), and PAR
against the raw reward in policy optimisation (row W2; arXiv 2502.18770).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from alignment.lab.claims.base import Claim, Finding, Record, band, column, gained, points
from alignment.lab.proxy import (
    Proxies,
    Proxy,
    accuracy,
    at_roots,
    in_order,
    judged,
    problem,
    reward_tables,
)
from alignment.lab.tongue import Pairs, Shape, Tongue, Writer
from alignment.objectives import dpo
from alignment.rewards.likelihood import implicit_reward
from alignment.rewards.processing import par
from alignment.rollouts import rloo


@dataclass(frozen=True)
class Shift:
    """`labels` pairs of the reference; tested on its pairs and on those of a policy that flattens
    its words by `heat`: rarer words in other orders.
    """

    shape: Shape = field(default_factory=Shape)
    labels: int = 600
    steps: int = 400
    batch: int = 64
    beta: float = 0.1
    lr: float = 0.02
    heat: float = 2.5
    test: int = 6000


def measure_shift(config: Shift, seed: int) -> Record:
    """Accuracy of both rewards where they were learned and away from there."""
    tongue = Tongue(config.shape, seed)
    rng = np.random.default_rng([seed, 2])
    pairs = tongue.pairs(tongue.ref, config.labels, rng)
    ordered = in_order(pairs, judged(tongue.gap(pairs), rng))
    explicit = reward_tables(tongue, problem(tongue, ordered, np.ones(len(pairs))), seed=seed)[0]
    writer = Writer(tongue)
    optimiser = torch.optim.Adam(writer.parameters(), lr=config.lr)
    for _ in range(config.steps):
        rows = rng.integers(0, len(pairs), config.batch)
        batch = Pairs(ordered.topics[rows], ordered.first[rows], ordered.second[rows])
        optimiser.zero_grad()
        dpo(*writer.ends(batch), beta=config.beta).mean().backward()
        optimiser.step()
    # The implicit reward is a sum over words, so it is a table as well.
    now, ref = torch.from_numpy(writer.now()), torch.from_numpy(tongue.ref)
    implicit = implicit_reward(now, ref, beta=config.beta).numpy()
    hot = tongue.ref / config.heat
    hot = hot - np.logaddexp.reduce(hot, axis=2, keepdims=True)
    tests = {
        "at home": tongue.pairs(tongue.ref, config.test, rng),
        "away": tongue.pairs(hot, config.test, rng),
    }
    return {
        where: {
            "explicit": accuracy(tongue, explicit, test),
            "implicit": accuracy(tongue, implicit, test),
        }
        for where, test in tests.items()
    }


def judge_shift(config: Shift, records: Sequence[Record]) -> list[Finding]:
    """How much more the implicit reward drops, in points."""
    share = {
        (where, kind): 100 * column(records, where, kind)
        for where in ("at home", "away")
        for kind in ("explicit", "implicit")
    }
    drop = {k: share["at home", k] - share["away", k] for k in ("explicit", "implicit")}
    out = [
        Finding(
            "drop of the implicit reward minus drop of the reward model, points",
            drop["implicit"] - drop["explicit"],
            above=0.0,
        )
    ]
    out += [Finding(f"drop, {kind}, points", values) for kind, values in drop.items()]
    return out + [
        Finding(f"accuracy {where}, {kind}, %", values) for (where, kind), values in share.items()
    ]


def draw_shift(axes, config: Shift, records: Sequence[Record]) -> None:
    """Accuracy of both in both places."""
    cases = [(w, k) for w in ("at home", "away") for k in ("explicit", "implicit")]
    names = [f"{k},\n{w}" for w, k in cases]
    points(axes, names, [100 * column(records, w, k) for w, k in cases])
    axes.set_ylabel("fresh pairs in order, %")


@dataclass(frozen=True)
class Shaping:
    """REINFORCE with leave-one-out baselines on the proxy, raw or by PAR against `references`
    answers of the reference; steps of `prompts` by `samples`.
    """

    shape: Shape = field(default_factory=lambda: Shape(zipf=2.0, taste=0.5, odd=1.2))
    proxy: Proxy = field(default_factory=Proxy)
    draws: int = 2
    steps: int = 400
    prompts: int = 96
    samples: int = 4
    references: int = 10
    lr: float = 0.02
    every: int = 5
    roots: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)


def _optimised(proxies: Proxies, shaped: bool, config: Shaping, seed: int) -> list[float]:
    tongue = proxies.tongue
    rng = np.random.default_rng([seed, 5])
    writer = Writer(tongue)
    optimiser = torch.optim.Adam(writer.parameters(), lr=config.lr)
    few = np.repeat(np.arange(config.shape.topics), config.references)
    held = proxies.reward("single", few, tongue.sample(tongue.ref, few, rng))
    held = held.reshape(config.shape.topics, config.references)
    kls, golds = [0.0], [tongue.mean_gold(tongue.ref)]
    short = np.arange(config.prompts) % config.shape.topics
    for step in range(1, config.steps + 1):
        topics = np.repeat(short, config.samples)
        answers = tongue.sample(writer.now(), topics, rng)
        reward = proxies.reward("single", topics, answers).reshape(config.prompts, -1)
        if shaped:
            reward = par(torch.from_numpy(reward), torch.from_numpy(held[short])).numpy()
        advantage = rloo(reward)
        spread = advantage.std()
        logps, _ = writer.logps(topics, answers)
        weights = torch.from_numpy(np.asarray(advantage / (spread or 1.0))).reshape(-1)
        optimiser.zero_grad()
        (-(weights * logps)).mean().backward()
        optimiser.step()
        if step % config.every == 0:
            policy = writer.now()
            kls.append(tongue.kl(policy))
            golds.append(tongue.mean_gold(policy))
            if kls[-1] > config.roots[-1] ** 2:
                break
    return at_roots(kls, golds, config.roots)


def measure_shaping(config: Shaping, seed: int) -> Record:
    """Gold reward by the root of the KL, both ways."""
    tongue = Tongue(config.shape, seed)
    rows: dict[str, list] = {"raw": [], "PAR": []}
    for draw in range(config.draws):
        proxies = Proxies(tongue, config.proxy, seed, draw)
        rows["raw"].append(_optimised(proxies, False, config, seed))
        rows["PAR"].append(_optimised(proxies, True, config, seed))
    return {"gold": {arm: np.mean(values, axis=0).tolist() for arm, values in rows.items()}}


def judge_shaping(config: Shaping, records: Sequence[Record]) -> list[Finding]:
    """Where gold peaks, and what is left at the largest KL that all runs reached."""
    gold = {arm: column(records, "gold", arm) for arm in ("raw", "PAR")}
    both = np.concatenate(list(gold.values()))
    end = int(np.isfinite(both).all(0).nonzero()[0][-1])
    roots = np.array(config.roots)
    peak = {arm: roots[np.nanargmax(rows[:, : end + 1], axis=1)] for arm, rows in gold.items()}
    last = gold["PAR"][:, end] - gold["raw"][:, end]
    return [
        Finding(
            "PAR minus raw, sqrt(KL) at the peak of gold", peak["PAR"] - peak["raw"], above=0.0
        ),
        Finding(f"PAR minus raw, gold at sqrt(KL) = {roots[end]:g}", last, above=0.0),
        Finding("raw: sqrt(KL) at the peak", peak["raw"]),
        Finding("PAR: sqrt(KL) at the peak", peak["PAR"]),
    ]


def draw_shaping(axes, config: Shaping, records: Sequence[Record]) -> None:
    """Gold reward against the root of the KL."""
    for place, arm in enumerate(("PAR", "raw")):
        band(axes, config.roots, gained(column(records, "gold", arm)), arm, place)
    axes.set_xlabel("root of the KL to the reference")
    axes.set_ylabel("gold reward gained")


_SMALL = Shape(topics=2, words=6, length=4)

CLAIMS = (
    Claim(
        "implicit-reward",
        "R17",
        "The implicit reward of a DPO policy drops more under shift than a reward model.",
        Shift(),
        measure_shift,
        judge_shift,
        draw_shift,
        {"shape": _SMALL, "labels": 24, "steps": 6, "batch": 8, "test": 60},
    ),
    Claim(
        "par",
        "W2",
        "Preference as reward delays hacking against the raw reward.",
        Shaping(),
        measure_shaping,
        judge_shaping,
        draw_shaping,
        {
            "shape": _SMALL,
            "proxy": Proxy(labels=40, members=2, hidden=4, steps=20),
            "draws": 1,
            "steps": 6,
            "prompts": 6,
            "every": 2,
            "roots": (0.0, 0.02, 0.05),
        },
    ),
)
