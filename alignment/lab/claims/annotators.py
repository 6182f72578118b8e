"""Labels of people who differ in worth: soft labels with reliability weights against hard votes
under adversaries (row W6), and mending noisy labels (row R15; arXiv 2401.06080).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from alignment.lab.claims.base import Claim, Finding, Record, column, points
from alignment.lab.proxy import accuracy, judged, judged_right, problem, reward_tables
from alignment.lab.tongue import Pairs, Shape, Tongue
from alignment.rewards import linear
from alignment.rewards.robust import soft_targets, strength
from annotation.quality.labels import labels_of
from annotation.quality.reliability import Reliability, fitted


@dataclass(frozen=True)
class Crowd:
    """`people` annotators, a share `adversaries` of whom say the opposite of what they think; each
    of `pairs` is judged by `each` of them.
    """

    shape: Shape = field(default_factory=Shape)
    people: int = 20
    adversaries: float = 0.3
    pairs: int = 600
    each: int = 3
    test: int = 4000


def votes(tongue: Tongue, config: Crowd, pairs: Pairs, rng: np.random.Generator):
    """Who judged each pair `(P, each)`, and 1.0 where they said the first is better; the second
    array is what the same people would have said without an adversary among them.
    """
    who = np.stack([rng.permutation(config.people)[: config.each] for _ in range(len(pairs))])
    gap = np.repeat(tongue.gap(pairs), config.each)
    honest = judged(gap, rng).reshape(who.shape)
    adversary = who < round(config.adversaries * config.people)
    return who, np.where(adversary, 1.0 - honest, honest), honest


def trusted(who: np.ndarray, said: np.ndarray) -> tuple[Reliability, np.ndarray, np.ndarray]:
    """The fitted reliability of the people, P(first is better) of each pair `(P,)` by it, and the
    weight of each vote `(P, each)`.
    """
    labels = labels_of(
        (at, int(person), int(vote))
        for at in range(len(who))
        for person, vote in zip(who[at], said[at], strict=True)
    )
    found = fitted(labels)
    weight_of = found.weight_of(labels)
    soft = found.soft[np.argsort(labels.units), labels.values.index(1)]
    return found, soft, np.vectorize(weight_of.__getitem__)(who)


def measure_crowd(config: Crowd, seed: int) -> Record:
    """Accuracy of reward models from the same judgments, counted in several ways."""
    tongue = Tongue(config.shape, seed)
    rng = np.random.default_rng([seed, 2])
    pairs = tongue.pairs(tongue.ref, config.pairs, rng)
    who, said, honest = votes(tongue, config, pairs, rng)
    trust, soft, weights = trusted(who, said)
    arms = {
        "hard": ((said.mean(1) > 0.5).astype(float), None),
        "shares": (said.mean(1), None),
        "weighted": ((weights * said).sum(1) / weights.sum(1), weights.mean(1)),
        "soft": (soft, None),
        "no adversaries": ((honest.mean(1) > 0.5).astype(float), None),
        "no adversaries, shares": (honest.mean(1), None),
        "no adversaries, soft": (trusted(who, honest)[1], None),
    }
    test = tongue.pairs(tongue.ref, config.test, rng)
    found = {
        name: accuracy(
            tongue, reward_tables(tongue, problem(tongue, pairs, label, weight), seed=seed)[0], test
        )
        for name, (label, weight) in arms.items()
    }
    bad = round(config.adversaries * config.people)
    return {
        "accuracy": found,
        "method": trust.method,
        "weight of adversaries": float(weights[who < bad].mean()),
        "weight of the others": float(weights[who >= bad].mean()),
    }


def judge_crowd(config: Crowd, records: Sequence[Record]) -> list[Finding]:
    """Gain over hard votes, and cost against a crowd without adversaries."""
    names = list(records[0]["accuracy"])
    share = {name: 100 * column(records, "accuracy", name) for name in names}
    cost = share["no adversaries, soft"] - share["soft"]
    out = [
        Finding("soft labels of the fitted model minus hard votes, points", _d(share, "soft"), 0.0),
        Finding(
            "shares and weights by reliability minus hard votes, points", _d(share, "weighted"), 0.0
        ),
        Finding("cost of the adversaries with soft labels, points", cost, below=2.0),
        Finding("cost with hard votes, points", share["no adversaries"] - share["hard"]),
        Finding("shares of all votes alike minus hard votes, points", _d(share, "shares")),
        Finding("weight of an adversary", column(records, "weight of adversaries")),
        Finding("weight of another", column(records, "weight of the others")),
    ]
    return out + [Finding(f"accuracy, {name}, %", share[name]) for name in names]


def _d(share: dict[str, np.ndarray], name: str) -> np.ndarray:
    return share[name] - share["hard"]


def draw_crowd(axes, config: Crowd, records: Sequence[Record]) -> None:
    """Accuracy by way of counting."""
    names = ("hard", "shares", "weighted", "soft", "no adversaries, soft")
    rows = [100 * column(records, "accuracy", n) for n in names]
    points(axes, ("hard votes", "shares", "weights", "soft labels", "no adversary"), rows)
    axes.set_ylabel("fresh pairs in order, %")


@dataclass(frozen=True)
class Noisy:
    """`pairs` with a share `flips` of the labels wrong; strength by `models` cross-fitted ones; the
    shares flipped and softened are the defaults of `soft_targets`.
    """

    shape: Shape = field(default_factory=Shape)
    pairs: int = 600
    flips: float = 0.25
    models: int = 4
    flip_share: float = 0.1
    soften_share: float = 0.1
    test: int = 4000


def measure_noisy(config: Noisy, seed: int) -> Record:
    """Accuracy of the plain fit and of the fit on mended labels, and how many labels are right."""
    tongue = Tongue(config.shape, seed)
    rng = np.random.default_rng([seed, 2])
    pairs = tongue.pairs(tongue.ref, config.pairs, rng)
    label = judged_right(tongue.gap(pairs), rng, config.flips)
    keep = label[:, None] > 0.5
    ordered = Pairs(
        pairs.topics,
        np.where(keep, pairs.first, pairs.second),
        np.where(keep, pairs.second, pairs.first),
    )
    plain = problem(tongue, ordered, np.ones(len(pairs)))
    l2, _ = linear.cross_validate(plain, 5, seed=seed)
    gaps = torch.stack(
        [linear.out_of_fold(plain, l2, 5, seed=100 * seed + m) for m in range(config.models)]
    )
    mean_gap, _ = strength(gaps)
    target = soft_targets(
        mean_gap, flip_share=config.flip_share, soften_share=config.soften_share
    ).numpy()
    right = tongue.gap(ordered) > 0
    test = tongue.pairs(tongue.ref, config.test, rng)

    def scored(fit: linear.Problem) -> float:
        return accuracy(tongue, reward_tables(tongue, fit, seed=seed)[0], test)

    return {
        "plain": scored(plain),
        "mended": scored(problem(tongue, ordered, target)),
        "clean": scored(problem(tongue, pairs, (tongue.gap(pairs) > 0).astype(float))),
        "labels right": float(right.mean()),
        "mended right": float(((target > 0.5) == right).mean()),
    }


def judge_noisy(config: Noisy, records: Sequence[Record]) -> list[Finding]:
    """Gain of mending over the plain fit, in points."""
    share = {name: 100 * column(records, name) for name in records[0]}
    return [
        Finding("mended minus plain, points", share["mended"] - share["plain"], above=0.0),
        Finding("labels right before, %", share["labels right"]),
        Finding("labels right after, %", share["mended right"]),
        Finding("accuracy, plain, %", share["plain"]),
        Finding("accuracy, mended, %", share["mended"]),
        Finding("accuracy without noise, %", share["clean"]),
    ]


def draw_noisy(axes, config: Noisy, records: Sequence[Record]) -> None:
    """Accuracy of the fits."""
    names = ("plain", "mended", "clean")
    points(axes, ("plain", "mended", "no noise"), [100 * column(records, n) for n in names])
    axes.set_ylabel("fresh pairs in order, %")


_SMALL = Shape(topics=2, words=6, length=4)

CLAIMS = (
    Claim(
        "soft-labels",
        "W6",
        "Soft labels with reliability weights beat hard votes under 30 % adversarial annotators, "
        "who cost less than two points.",
        Crowd(),
        measure_crowd,
        judge_crowd,
        draw_crowd,
        {"shape": _SMALL, "people": 6, "pairs": 24, "test": 50},
    ),
    Claim(
        "noise-aware",
        "R15",
        "With 25 % flipped labels, flipping and softening the weakest beats Bradley-Terry.",
        Noisy(),
        measure_noisy,
        judge_noisy,
        draw_noisy,
        {"shape": _SMALL, "pairs": 24, "models": 2, "test": 50},
        note="On linear heads with a ridge, the product's default.",
    ),
)
