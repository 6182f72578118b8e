"""A reward model on real comparisons: five Bradley-Terry heads on frozen features, calibrated.

    python -m alignment.examples.reward_model ../shared/data --set hh_rlhf_harmless

Features are computed once and kept in --cache, so a second run, or one with new judgments, takes
seconds. Pairs of one prompt are never divided between training and test.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from alignment.lab.real_data import SETS, Row, read
from alignment.rewards.calibration import fit_temperature
from alignment.rewards.features import Featurizer, prompt_text
from alignment.rewards.heads import HeadBank
from alignment.rewards.losses import bradley_terry, combine, ensemble_spread
from alignment.stats import ece, sigmoid, wilson


def part(row: Row) -> str:
    """A fifth of the prompts to test on, a fifth to calibrate on, the same ones in every run."""
    place = hashlib.sha256(str(row["group"]).encode()).digest()[0]
    return "test" if place < 51 else "calibrate" if place < 102 else "train"


def features(rows: list[Row], cache: Path | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Frozen features `(P, d)` of the chosen and of the rejected answers."""
    texts = [
        (prompt_text(json.loads(r["prompt"])), r[side])
        for side in ("chosen", "rejected")
        for r in rows
    ]
    both = torch.from_numpy(Featurizer(cache=cache)(texts)).float()
    return both[: len(rows)], both[len(rows) :]


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Train, test, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of the published sets")
    parser.add_argument("--set", default="hh_rlhf_harmless", choices=sorted(SETS))
    parser.add_argument("--limit", type=int, default=600, help="pairs read at most")
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps features")
    args = parser.parse_args(argv)

    rows = read(args.set, args.data)[0][: args.limit]
    parts = np.array([part(r) for r in rows])
    test, train = torch.tensor(parts == "test"), torch.tensor(parts == "train")
    chosen, rejected = features(rows, args.cache)
    every = torch.cat([chosen[train], rejected[train]])
    gap = (chosen - rejected) / every.std(0).clamp(min=1e-3) / every.shape[1] ** 0.5
    soft = torch.tensor([float(r["soft_label"]) for r in rows])

    torch.manual_seed(0)
    heads = HeadBank(gap.shape[1], members=5, bias=False)
    # Each member sees its own draw of the pairs: their spread says how far they can be trusted.
    counts = torch.distributions.Poisson(1.0).sample((5, int(train.sum())))
    optimiser = torch.optim.AdamW(heads.parameters(), lr=0.03, weight_decay=1.0)
    for _ in range(150):
        optimiser.zero_grad()
        r = heads(gap[train])[..., 0]
        losses = bradley_terry(r, torch.zeros_like(r), soft_label=soft[train])
        (losses * counts).mean().backward()
        optimiser.step()

    with torch.no_grad():
        members = heads(gap)[..., 0]
    margin = combine(members).numpy()
    # On pairs the heads were fitted to, every margin looks surer than it is.
    apart = parts == "calibrate"
    temperature = fit_temperature(margin[apart], np.clip(soft.numpy()[apart], 0.05, 0.95))
    unseen = margin[test.numpy()]
    right, n = int((unseen > 0).sum()), len(unseen)
    low, high = wilson(right, n)
    longer = np.array([len(str(r["chosen"])) > len(str(r["rejected"])) for r in rows])
    result = {
        "pairs": len(rows),
        "unseen": n,
        "accuracy": right / max(n, 1),
        "low": low,
        "high": high,
        "longer": float(longer[test.numpy()].mean()) if n else float("nan"),
        "ece": ece(sigmoid(unseen / temperature), np.ones(n)) if n else float("nan"),
        "spread": float(ensemble_spread(members)[test].mean()),
    }
    print(
        f"{args.set}: {result['pairs']} pairs, {n} of unseen prompts\n"
        f"accuracy {result['accuracy']:.3f} [{low:.3f}, {high:.3f}], "
        f"the longer answer {result['longer']:.3f}\n"
        f"temperature {temperature:.2f}, calibration error {result['ece']:.3f}, "
        f"spread of the five heads {result['spread']:.2f}"
    )
    return result


if __name__ == "__main__":
    main()
