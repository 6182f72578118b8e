"""Rows of a policy run as token ids, and the batches of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from alignment.objectives.registry import Objective

from .context import Context
from .data import BadRow, Rows
from .generate import stable_seed
from .schema import FieldError
from .tokenise import ChatTokenizer

Sequence_ = tuple[list[int], list[int]]
#: An answer that is read for an estimate and never trained on.
MISMATCH = "mismatch"


@dataclass
class Item:
    """One training row: a prompt and its K answers (two of a pair, one unpaired), further sequences
    by name, and what is known about them.
    """

    prompt: list[int]
    answers: list[list[int]]
    weight: float = 1.0
    split: str = "train"
    prompt_hash: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    others: dict[str, Sequence_] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Positions a forward pass reads at most, the prompt shared."""
        total = len(self.prompt) + sum(len(a) for a in self.answers)
        for name, (prompt, answer) in self.others.items():
            if name != MISMATCH:
                total += len(answer) + (0 if prompt is self.prompt else len(prompt))
        return total

    def sequences(self, apart: bool = True) -> list[Sequence_]:
        """(prompt, answer) of every answer, then of the others; with `apart` also those that are
        never trained on, which come last.
        """
        others = [s for name, s in self.others.items() if name != MISMATCH]
        if apart and MISMATCH in self.others:
            others.append(self.others[MISMATCH])
        return [(self.prompt, a) for a in self.answers] + others

    def place(self, role: int | str) -> int | None:
        """Index in `sequences` of an answer or of a named sequence; None where there is none."""
        if isinstance(role, int):
            return role if role < len(self.answers) else None
        names = [n for n in self.others if n != MISMATCH]
        if role == MISMATCH:
            return len(self.answers) + len(names)
        return len(self.answers) + names.index(role) if role in names else None

    def key(self) -> tuple:
        """Everything a checkpoint of a run on this row depends on."""
        return (self.prompt, self.answers, self.weight, self.split, self.values, self.others)


def make_items(
    rows: Rows, objective: Objective, params: dict[str, Any], chat: ChatTokenizer, context: Context
) -> list[Item]:
    """Token ids of all rows; rows that the policy cannot read are left out with a warning."""
    items, refused = [], []
    kind = objective.inputs
    for index, row in enumerate(rows.rows):
        try:
            items.append(_item(row, chat))
        except BadRow as error:
            refused.append(f"row {index}: {error}")
            continue
        if "margin" in objective.needs and not _margin(items[-1], params, index):
            refused.append(f"row {index}: the margin is not above 0")
            items.pop()
    if refused:
        context.warnings.append(f"{kind}: left out {len(refused)} rows: " + "; ".join(refused[:20]))
    if "kl" in objective.needs:
        for item, other in zip(items, items[1:] + items[:1], strict=True):
            # The answer of another row, for KTO's estimate of the KL; fixed for the run.
            item.others[MISMATCH] = (item.prompt, other.answers[0])
    return items


def _item(row: dict, chat: ChatTokenizer) -> Item:
    prompt = chat.prompt(row["messages"])
    answers, values = [], dict(row["values"])
    for at, (text, ids) in enumerate(row["answers"]):
        answers.append(_answer(chat, text, ids, len(prompt)))
        if at in row.get("rewards", {}):
            values[f"token_rewards_{at}"] = _rewards(
                chat, row["rewards"][at], text, len(answers[-1])
            )
    if len(answers) == 2 and answers[0] == answers[1]:
        raise BadRow("both answers are the same after truncation")
    others = {}
    for name, text in row.get("others", {}).items():
        own = prompt
        if name == "rationale":
            own = chat.prompt(_asked_why(row))
        others[name] = (own, chat.answer(text, len(own)))
    return Item(prompt, answers, row["weight"], row["split"], row["prompt_hash"], values, others)


def _answer(chat: ChatTokenizer, text: str, ids: list[int] | None, prompt: int) -> list[int]:
    if ids is not None and max(ids) < len(chat.tokenizer) and min(ids) >= 0:
        return chat.fit(ids, prompt)
    return chat.answer(text, prompt)


def _rewards(chat: ChatTokenizer, given: tuple[str, list], text: str, n: int) -> list[float]:
    """A value for each of an answer's n tokens, from values by token or from spans of the text."""
    form, found = given
    if form == "tokens":
        if len(found) not in (n, n - 1):
            raise BadRow(f"{len(found)} token rewards for {n} tokens")
        return [*found, 0.0][:n]
    out = [0.0] * n
    for at, (start, end) in enumerate(chat.offsets(text)[:n]):
        out[at] = sum(s["value"] for s in found if start < s["end"] and end > s["start"])
    return out


def _asked_why(row: dict) -> list[dict[str, str]]:
    """The prompt with both answers and the question which rationales answer (arXiv 2407.14477)."""
    (better, _), (worse, _) = row["answers"]
    question = f"First answer: {better}\nSecond answer: {worse}\nWhy is the first answer better?"
    *before, last = row["messages"]
    if last["role"] != "user":
        return [*row["messages"], {"role": "user", "content": question}]
    return [*before, {"role": "user", "content": f"{last['content']}\n\n{question}"}]


def _margin(item: Item, params: dict[str, Any], index: int) -> bool:
    """Whether a row's margin can be used; an objective that gives it no weight needs none."""
    margin = item.values["margin"]
    if params["objective_params"].get("alpha", 1.0):
        if margin is None:
            raise FieldError("pairs", f"row {index} has no margin or strength for odpo")
        return margin > 0
    item.values["margin"] = 1.0 if margin is None else margin
    return True


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
