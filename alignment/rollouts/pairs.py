"""Preference pairs from scored samples. Plain Python and numpy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Pair:
    """Indices of the two answers among a prompt's samples, with the gap of their scores and its
    spread.
    """

    chosen: int
    rejected: int
    margin: float
    spread: float
    agreement: float


def choose(
    scores: np.ndarray,
    texts: Sequence[str],
    strategy: str = "best_worst",
    margin: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Pair | None:
    """One pair among the answers of one prompt, or None where none is left.

    `scores` `(n, M)`: rewards by each of M heads. `best_worst` (arXiv 2405.07863, section 4) takes
    the answers of highest and lowest mean; `random` two at random. Equal texts and gaps not above
    `margin` give None: a tie teaches nothing. `agreement` is the share of heads that prefer the
    chosen answer.
    """
    scores = np.asarray(scores, dtype=float)
    if scores.ndim == 1:
        scores = scores[:, None]
    if len(scores) < 2:
        return None
    mean = scores.mean(1)
    if strategy == "best_worst":
        best, worst = int(mean.argmax()), int(mean.argmin())
    elif strategy == "random":
        rng = rng or np.random.default_rng(0)
        i, j = (int(x) for x in rng.choice(len(scores), 2, replace=False))
        best, worst = (i, j) if mean[i] >= mean[j] else (j, i)
    else:
        raise ValueError(f"unknown strategy {strategy!r}; known: best_worst, random")
    if best == worst or texts[best] == texts[worst] or not mean[best] - mean[worst] > margin:
        return None
    gaps = scores[best] - scores[worst]
    return Pair(best, worst, float(gaps.mean()), float(gaps.std()), float((gaps > 0).mean()))


def most_disputed(scores: np.ndarray, texts: Sequence[str]) -> Pair | None:
    """The pair of different answers on which the heads disagree most: largest std of the gap over
    the heads.
    """
    scores = np.asarray(scores, dtype=float)
    best: Pair | None = None
    for i in range(len(scores)):
        for j in range(i):
            if texts[i] == texts[j]:
                continue
            gaps = scores[i] - scores[j]
            a, b = (i, j) if gaps.mean() >= 0 else (j, i)
            gaps = scores[a] - scores[b]
            spread = float(gaps.std())
            if best is None or spread > best.spread:
                best = Pair(a, b, float(gaps.mean()), spread, float((gaps > 0).mean()))
    return best


def preference_row(
    sample_chosen: dict[str, Any], sample_rejected: dict[str, Any], pair: Pair, soft: bool = False
) -> dict[str, Any]:
    """A row of a preference file from two rows of a samples file; `soft` labels it by the heads'
    agreement.
    """
    prompt = sample_chosen["prompt"]
    return {
        "prompt": prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False),
        "chosen": sample_chosen["text"],
        "rejected": sample_rejected["text"],
        "weight": 1.0,
        "soft_label": max(pair.agreement, 0.5) if soft else 1.0,
        "strength": None,
        "source": "sampled",
        "prompt_hash": sample_chosen["prompt_hash"],
        "split": "train",
        "margin": pair.margin,
        "spread": pair.spread,
        "group": sample_chosen.get("group"),
        "prompt_id": sample_chosen.get("prompt_id"),
        "chosen_ids": sample_chosen.get("token_ids"),
        "rejected_ids": sample_rejected.get("token_ids"),
    }


def by_prompt(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of a samples file grouped by prompt_id, in the order of their first sample."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row["prompt_id"]), []).append(row)
    return groups
