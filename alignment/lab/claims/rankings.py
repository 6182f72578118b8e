"""What rankings are worth: LiPO-lambda against DPO (row P8; arXiv 2402.01878), and one K-ranking
against K - 1 pairs in a reward model (row R4).

Rankings of K answers are drawn from the Plackett-Luce model of the gold reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from alignment.lab.claims.base import Claim, Finding, Record, band, column, points
from alignment.lab.proxy import accuracy
from alignment.lab.tongue import Shape, Tongue, Writer
from alignment.objectives import dpo, lipo, list_mle
from alignment.rewards.losses import ranking


@dataclass(frozen=True)
class Lists:
    """`lists` rankings of `k` answers, `batch` of them a step; each method runs at every beta."""

    shape: Shape = field(default_factory=Shape)
    lists: int = 200
    k: int = 8
    steps: int = 200
    batch: int = 16
    betas: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    lr: float = 0.02


def ranked(
    tongue: Tongue, lists: int, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Topics `(L,)`, answers `(L, K, length)` with the best first, by Gumbel noise on the gold
    reward, and labels `(L, K)` from 1 for the best to 0 for the worst.
    """
    topics = np.arange(lists) % tongue.shape.topics
    wide = np.repeat(topics, k)
    answers = tongue.sample(tongue.ref, wide, rng)
    seen = tongue.gold_of(wide, answers) + rng.gumbel(size=len(wide))
    order = np.argsort(-seen.reshape(lists, k), axis=1)
    answers = answers.reshape(lists, k, -1)[np.arange(lists)[:, None], order]
    return topics, answers, np.tile(np.linspace(1.0, 0.0, k), (lists, 1))


def _pairwise(h: Tensor, ref: Tensor, first: list[int], second: list[int], beta: float) -> Tensor:
    ends = (h[:, first], h[:, second], ref[:, first], ref[:, second])
    return dpo(*(e.reshape(-1) for e in ends), beta=beta).mean()


def _loss(method: str, h: Tensor, ref: Tensor, labels: Tensor, beta: float) -> Tensor:
    k = h.shape[1]
    if method == "DPO, best and worst":
        return _pairwise(h, ref, [0], [k - 1], beta)
    if method == "DPO, all pairs":
        both = [(i, j) for i in range(k) for j in range(i + 1, k)]
        return _pairwise(h, ref, [i for i, _ in both], [j for _, j in both], beta)
    if method == "DPO, Plackett-Luce":
        return list_mle(h, ref, labels, beta=beta).mean()
    return lipo(h, ref, labels, beta=beta).mean()


METHODS = ("DPO, best and worst", "DPO, all pairs", "DPO, Plackett-Luce", "LiPO-lambda")


def measure_lists(config: Lists, seed: int) -> Record:
    """Final gold reward of every method at every beta, the same lists and batches for all."""
    tongue = Tongue(config.shape, seed)
    topics, answers, labels = ranked(
        tongue, config.lists, config.k, np.random.default_rng([seed, 2])
    )
    gold: dict[str, list[float]] = {}
    for method in METHODS:
        gold[method] = []
        for beta in config.betas:
            rng = np.random.default_rng([seed, 3])
            writer = Writer(tongue)
            optimiser = torch.optim.Adam(writer.parameters(), lr=config.lr)
            for _ in range(config.steps):
                rows = rng.integers(0, config.lists, config.batch)
                wide = np.repeat(topics[rows], config.k)
                h, ref = writer.logps(wide, answers[rows].reshape(len(wide), -1))
                shape = (config.batch, config.k)
                score = torch.from_numpy(labels[rows])
                optimiser.zero_grad()
                _loss(method, h.view(shape), ref.view(shape), score, beta).backward()
                optimiser.step()
            gold[method].append(tongue.mean_gold(writer.now()))
    return {"gold": gold, "start": tongue.mean_gold(tongue.ref)}


def at_others_best(rows: np.ndarray) -> np.ndarray:
    """Each seed's value at the setting that is best on average over the other seeds, `(S,)` from
    `(S, settings)`: chosen without looking at the seed itself.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if len(rows) < 2:
        return rows[:, 0]
    others = (rows.sum(0) - rows) / (len(rows) - 1)
    return rows[np.arange(len(rows)), others.argmax(1)]


def judge_lists(config: Lists, records: Sequence[Record]) -> list[Finding]:
    """LiPO against each form of DPO, every one at its own best beta."""
    best = {m: at_others_best(column(records, "gold", m)) for m in METHODS}
    ours = best["LiPO-lambda"]
    out = [
        Finding(
            f"LiPO-lambda minus {m}",
            ours - best[m],
            above=0.0 if m != "DPO, Plackett-Luce" else None,
        )
        for m in METHODS[:-1]
    ]
    out += [Finding(f"{m}: gold gained", best[m] - column(records, "start")) for m in METHODS]
    return out


def draw_lists(axes, config: Lists, records: Sequence[Record]) -> None:
    """Gold reward by beta."""
    for place, method in enumerate(METHODS):
        band(axes, config.betas, column(records, "gold", method), method, place)
    axes.set_xscale("log")
    axes.set_xlabel("beta")
    axes.set_ylabel(f"gold reward after {config.steps} steps")


@dataclass(frozen=True)
class Labels:
    """`lists` questions with `k` answers each, either ranked or judged in k - 1 random pairs; the
    ridge of each fit from `ridges` by the held-out fifth of its own labels.
    """

    shape: Shape = field(default_factory=Shape)
    lists: int = 120
    k: int = 4
    ridges: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0)
    test: int = 4000


def fit_lists(features: Tensor, ridges: Sequence[float]) -> np.ndarray:
    """Linear reward `(d,)` from ranked answers `(L, K, d)`, best first, under `losses.ranking`."""
    labels = -torch.arange(features.shape[1], dtype=torch.float64).expand(features.shape[:2])

    def fit(rows: slice | Tensor, ridge: float) -> Tensor:
        weights = torch.zeros(features.shape[2], dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimiser.zero_grad()
            value = ranking(features[rows] @ weights, labels[rows]).sum()
            value = value + 0.5 * ridge * (weights**2).sum()
            value.backward()
            return value

        optimiser.step(closure)
        return weights.detach()

    held = torch.arange(len(features)) % 5 == 0
    losses = [
        float(ranking(features[held] @ fit(~held, ridge), labels[held]).sum()) for ridge in ridges
    ]
    return fit(slice(None), ridges[int(np.argmin(losses))]).numpy()


def measure_labels(config: Labels, seed: int) -> Record:
    """Accuracy of the two fits on fresh pairs."""
    tongue = Tongue(config.shape, seed)
    rng = np.random.default_rng([seed, 2])
    topics, answers, _ = ranked(tongue, config.lists, config.k, rng)
    wide = np.repeat(topics, config.k)
    flat = tongue.features(wide, answers.reshape(len(wide), -1)).double()
    features = flat.view(config.lists, config.k, -1)
    both = [(i, j) for i in range(config.k) for j in range(i + 1, config.k)]
    pairs = []
    for at in range(config.lists):
        for pick in rng.choice(len(both), config.k - 1, replace=False):
            i, j = both[pick]
            # A pair is judged on its own: new noise, the same person.
            gap = float(np.diff(tongue.gold_of(topics[[at, at]], answers[at, [j, i]]))[0])
            first, second = (i, j) if rng.random() < 1 / (1 + np.exp(-gap)) else (j, i)
            pairs.append(features[at, [first, second]])
    # Dealt out by question, as the lists are, so that a held-out fifth holds whole questions.
    by_list = torch.stack(pairs).view(config.lists, config.k - 1, 2, -1).transpose(0, 1)
    test = tongue.pairs(tongue.ref, config.test, rng)
    found = {
        "ranking": fit_lists(features, config.ridges),
        "pairs": fit_lists(by_list.reshape(-1, *by_list.shape[2:]), config.ridges),
    }
    return {name: accuracy(tongue, tongue.table(w), test) for name, w in found.items()}


def judge_labels(config: Labels, records: Sequence[Record]) -> list[Finding]:
    """Difference of the accuracies, in points."""
    ours, pairs = 100 * column(records, "ranking"), 100 * column(records, "pairs")
    return [
        Finding(f"one ranking of {config.k} minus {config.k - 1} pairs, points", ours - pairs, 0.0),
        Finding("accuracy from rankings, %", ours),
        Finding("accuracy from pairs, %", pairs),
    ]


def draw_labels(axes, config: Labels, records: Sequence[Record]) -> None:
    """Accuracy of both."""
    names = (f"rankings of {config.k}", f"{config.k - 1} pairs each")
    points(axes, names, [100 * column(records, n) for n in ("ranking", "pairs")])
    axes.set_ylabel("fresh pairs in order, %")


_SMALL = Shape(topics=2, words=6, length=4)

CLAIMS = (
    Claim(
        "lipo",
        "P8",
        "LiPO-lambda beats DPO on the same rankings.",
        Lists(),
        measure_lists,
        judge_lists,
        draw_lists,
        {"shape": _SMALL, "lists": 8, "k": 4, "steps": 4, "batch": 4, "betas": (0.1, 0.3)},
        note="Each method at the beta that is best for it on the other seeds.",
    ),
    Claim(
        "ranking-labels",
        "R4",
        "One ranking of K teaches a reward model more than K - 1 random pairs.",
        Labels(),
        measure_labels,
        judge_labels,
        draw_labels,
        {"shape": _SMALL, "lists": 10, "test": 50},
    ),
)
