"""Rows of a policy run as token ids, and the batches of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from alignment.objectives.registry import Objective

from .context import Context
from .data import BadRow, Rows
from .generate import stable_seed
from .schema import FieldError
from .tokenise import ChatTokenizer


@dataclass
class Item:
    """One training row: its prompt, its answers (two for a pair, one and a mismatched one
    unpaired), its label.
    """

    prompt: list[int]
    answers: list[list[int]]
    weight: float
    soft_label: float
    margin: float
    split: str
    prompt_hash: str

    @property
    def tokens(self) -> int:
        """Positions a forward pass reads at most, the prompt shared."""
        return len(self.prompt) + sum(len(a) for a in self.answers)

    def sequences(self) -> list[tuple[list[int], list[int]]]:
        """(prompt, answer) of every answer."""
        return [(self.prompt, a) for a in self.answers]


def make_items(
    rows: Rows, objective: Objective, params: dict[str, Any], chat: ChatTokenizer, context: Context
) -> list[Item]:
    """Token ids of all rows; rows that the policy cannot read are left out with a warning."""
    items, refused = [], []
    kind = objective.inputs
    for index, row in enumerate(rows.rows):
        try:
            prompt = chat.prompt(row["messages"])
        except BadRow as error:
            refused.append(f"row {index}: {error}")
            continue
        if kind == "pairs":
            answers = [_answer(chat, row, side, prompt) for side in ("chosen", "rejected")]
            soft = row["soft_label"]
            if answers[0] == answers[1]:
                refused.append(f"row {index}: both answers are the same after truncation")
                continue
            margin = row["margin"] if row["margin"] is not None else row["strength"]
            if "margin" in objective.needs and params["objective_params"]["alpha"]:
                if margin is None:
                    raise FieldError("pairs", f"row {index} has no margin or strength for odpo")
                if margin <= 0:
                    refused.append(f"row {index}: the margin is not above 0")
                    continue
        else:
            answers = [chat.answer(row["completion"], len(prompt))]
            soft, margin = float(row["label"]), None
        items.append(
            Item(
                prompt,
                answers,
                row["weight"],
                soft,
                1.0 if margin is None else margin,
                row["split"],
                row["prompt_hash"],
            )
        )
    if refused:
        context.warnings.append(f"{kind}: left out {len(refused)} rows: " + "; ".join(refused[:20]))
    if kind == "unpaired":
        _mismatch(items)
    return items


def _answer(chat: ChatTokenizer, row: dict, side: str, prompt: list[int]) -> list[int]:
    ids = row[f"{side}_ids"]
    if ids is not None and max(ids) < len(chat.tokenizer) and min(ids) >= 0:
        return chat.fit(ids, len(prompt))
    return chat.answer(row[side], len(prompt))


def _mismatch(items: list[Item]) -> None:
    """Give every unpaired row the answer of another row, for KTO's estimate of the KL; fixed for
    the run.
    """
    own = [item.answers[0] for item in items]
    for index, item in enumerate(items):
        item.answers.append(own[(index + 1) % len(own)])


def epoch_order(n: int, seed: int, epoch: int) -> list[int]:
    """Order of rows in an epoch: a function of seed and epoch alone, so a resumed run sees the
    same.
    """
    generator = torch.Generator().manual_seed(stable_seed("order", seed, epoch))
    return torch.randperm(n, generator=generator).tolist()


def micro_batches(items: Sequence[Item], budget: int, padded: bool = True) -> list[list[int]]:
    """Groups of rows of similar length, at most `budget` tokens each, padding counted where there
    is any.
    """
    order = sorted(range(len(items)), key=lambda i: -items[i].tokens)
    groups: list[list[int]] = []
    longest = read = 0
    for i in order:
        tokens = items[i].tokens
        more = longest * (len(groups[-1]) + 1) if groups and padded else read + tokens
        if groups and more <= budget:
            groups[-1].append(i)
            read = more
        else:
            groups.append([i])
            longest = read = tokens
    return groups


def column(items: Sequence[Item], indices: Sequence[int], name: str, device: str) -> torch.Tensor:
    """A number of each chosen row, `(P,)` float32."""
    values = [getattr(items[i], name) for i in indices]
    return torch.tensor(values, dtype=torch.float32, device=device)
