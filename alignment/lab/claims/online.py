"""Online beats offline at equal labels (row O1; RLHF Workflow, arXiv 2405.07863, and Guo et al.,
arXiv 2402.04792).

People of the Bradley-Terry model judge pairs of answers. Offline, all pairs come from the
reference; online, each round's pairs come from the policy as it is then. Labels, optimiser steps,
batches, beta and the reference of the loss are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from alignment.lab.claims.base import Claim, Finding, Record, band, column, gained
from alignment.lab.proxy import in_order, judged
from alignment.lab.tongue import Pairs, Shape, Tongue, Writer
from alignment.objectives import dpo


@dataclass(frozen=True)
class Loop:
    """`labels` in all, online over `rounds`; `steps` of `batch` pairs in all."""

    shape: Shape = field(default_factory=Shape)
    labels: int = 512
    rounds: int = 8
    steps: int = 400
    batch: int = 64
    beta: float = 0.1
    lr: float = 0.02


def _together(parts: Sequence[Pairs]) -> Pairs:
    return Pairs(
        np.concatenate([p.topics for p in parts]),
        np.concatenate([p.first for p in parts]),
        np.concatenate([p.second for p in parts]),
    )


def run(tongue: Tongue, config: Loop, rounds: int, seed: int) -> dict[str, list[float]]:
    """KL and gold reward after each eighth of the steps, the labels spread over `rounds`."""
    rng = np.random.default_rng([seed, 2])
    writer = Writer(tongue)
    optimiser = torch.optim.Adam(writer.parameters(), lr=config.lr)
    seen: list[Pairs] = []
    kls, golds = [0.0], [tongue.mean_gold(tongue.ref)]
    marks = {round(config.steps * i / 8) for i in range(1, 9)}
    starts = {round(config.steps * r / rounds) for r in range(rounds)}
    for step in range(config.steps):
        if step in starts:
            pairs = tongue.pairs(writer.now(), config.labels // rounds, rng)
            seen.append(in_order(pairs, judged(tongue.gap(pairs), rng)))
            pool = _together(seen)
        rows = rng.integers(0, len(pool), config.batch)
        batch = Pairs(pool.topics[rows], pool.first[rows], pool.second[rows])
        optimiser.zero_grad()
        dpo(*writer.ends(batch), beta=config.beta).mean().backward()
        optimiser.step()
        if step + 1 in marks:
            policy = writer.now()
            kls.append(tongue.kl(policy))
            golds.append(tongue.mean_gold(policy))
    return {"kl": kls, "gold": golds}


def measure(config: Loop, seed: int) -> Record:
    """Both arms from the same start."""
    tongue = Tongue(config.shape, seed)
    return {
        "offline": run(tongue, config, 1, seed),
        "online": run(tongue, config, config.rounds, seed),
    }


def judge(config: Loop, records: Sequence[Record]) -> list[Finding]:
    """Gain at the end, and of the best checkpoint over the other arm's best."""
    gold = {arm: column(records, arm, "gold") for arm in ("offline", "online")}
    kl = {arm: column(records, arm, "kl")[:, -1] for arm in gold}
    last = gold["online"][:, -1] - gold["offline"][:, -1]
    best = gold["online"].max(1) - gold["offline"].max(1)
    start = gold["offline"][:, :1]
    return [
        Finding("online minus offline, gold at the end", last, above=0.0),
        Finding("online minus offline, gold of each one's best checkpoint", best, above=0.0),
        Finding("offline: gold gained", (gold["offline"] - start)[:, -1]),
        Finding("online: gold gained", (gold["online"] - start)[:, -1]),
        Finding("offline: KL at the end, nats", kl["offline"]),
        Finding("online: KL at the end, nats", kl["online"]),
    ]


def draw(axes, config: Loop, records: Sequence[Record]) -> None:
    """Gold reward along the steps."""
    steps = [round(config.steps * i / 8) for i in range(9)]
    for place, arm in enumerate(("online", "offline")):
        band(axes, steps, gained(column(records, arm, "gold")), arm, place)
    axes.set_xlabel(f"steps; {config.labels} labels in both arms")
    axes.set_ylabel("gold reward gained")


CLAIMS = (
    Claim(
        "online-dpo",
        "O1",
        "Online DPO beats offline DPO at equal labels.",
        Loop(),
        measure,
        judge,
        draw,
        {"shape": Shape(topics=2, words=6, length=4), "labels": 16, "steps": 8, "batch": 4},
    ),
)
