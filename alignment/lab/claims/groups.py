"""More than one taste (row R14; MaxMin-RLHF, arXiv 2402.08925): a mixture of rewards by EM against
one reward for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from alignment.lab.claims.base import Claim, Finding, Record, column, points
from alignment.lab.proxy import accuracy, judged, problem, reward_tables
from alignment.lab.tongue import Shape, Tongue
from alignment.rewards.pluralistic import fit_mixture


@dataclass(frozen=True)
class Groups:
    """`users`, a share `minority` of whom has the opposite taste; each judges `each` pairs. Nobody
    is told who belongs to which.
    """

    shape: Shape = field(default_factory=Shape)
    users: int = 40
    minority: float = 0.25
    each: int = 40
    l2: float = 10.0
    test: int = 4000


def measure(config: Groups, seed: int) -> Record:
    """Accuracy for each group of one reward, and of the mixture with each user's own weights."""
    most = Tongue(config.shape, seed)
    few = Tongue(config.shape, seed)
    few.gold = 2.0 * most.gold.mean() - most.gold
    rng = np.random.default_rng([seed, 2])
    pairs = most.pairs(most.ref, config.users * config.each, rng)
    user = np.arange(len(pairs)) // config.each
    rare = user < round(config.minority * config.users)
    gap = np.where(rare, few.gap(pairs), most.gap(pairs))
    by_pair = problem(most, pairs, judged(gap, rng))
    by_user = replace(by_pair, pair_cluster=torch.from_numpy(user))
    one = reward_tables(most, by_pair, l2=config.l2)[0]
    weights, share, _ = fit_mixture(by_user, 2, config.l2, seed=seed)
    tables = [most.table(w) for w in weights.double().numpy()]
    test = most.pairs(most.ref, config.test, rng)
    of_minority = share[: round(config.minority * config.users)].double().numpy()
    of_majority = share[round(config.minority * config.users) :].double().numpy()

    def own(tongue: Tongue, shares: np.ndarray) -> float:
        tilted = [sum(s * t for s, t in zip(row, tables, strict=True)) for row in shares]
        return float(np.mean([accuracy(tongue, table, test) for table in tilted]))

    return {
        "minority": {"one": accuracy(few, one, test), "mixture": own(few, of_minority)},
        "majority": {"one": accuracy(most, one, test), "mixture": own(most, of_majority)},
    }


def judge(config: Groups, records: Sequence[Record]) -> list[Finding]:
    """Gain of both groups, in points."""
    share = {
        (group, kind): 100 * column(records, group, kind)
        for group in ("minority", "majority")
        for kind in ("one", "mixture")
    }
    gain = {g: share[g, "mixture"] - share[g, "one"] for g in ("minority", "majority")}
    return [
        Finding("minority: mixture minus one reward, points", gain["minority"], above=0.0),
        Finding("majority: mixture minus one reward, points", gain["majority"], above=-1.0),
        *(Finding(f"accuracy, {g}, {k}, %", values) for (g, k), values in share.items()),
    ]


def draw(axes, config: Groups, records: Sequence[Record]) -> None:
    """Accuracy for both groups."""
    cases = [(g, k) for g in ("minority", "majority") for k in ("one", "mixture")]
    names = [f"{g},\n{k}" for g, k in cases]
    points(axes, names, [100 * column(records, g, k) for g, k in cases])
    axes.set_ylabel("fresh pairs in order, %")


CLAIMS = (
    Claim(
        "mixture",
        "R14",
        "A mixture of rewards raises the minority's accuracy and keeps the majority's.",
        Groups(),
        measure,
        judge,
        draw,
        {"shape": Shape(topics=2, words=6, length=4), "users": 4, "each": 6, "test": 50},
        note="The majority keeps its own when it loses less than a point.",
    ),
)
