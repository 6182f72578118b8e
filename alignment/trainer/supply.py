"""The tensors objectives ask for, made from what a batch was read as. See `contract.py` for the
columns they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .batches import Item

Role = int | str


@dataclass
class Scores:
    """Fixed log-probabilities of every row's sequences, by id(item): sums, and values by token
    where an objective reads them.
    """

    sums: dict[int, np.ndarray] = field(default_factory=dict)
    tokens: dict[int, list[np.ndarray]] = field(default_factory=dict)


@dataclass
class Given:
    """One batch of rows and what was computed on it.

    `sums` `(S,)` and `tokens` (S tensors) are of the rows' sequences, row after row as
    `Item.sequences(apart=False)` lists them; under several heads `(H, S)`. `states` are the last
    hidden states of the sequences `(S, D)`.
    """

    rows: Sequence[Item]
    sums: Tensor
    tokens: Sequence[Tensor] = ()
    states: Tensor | None = None
    reference: Scores | None = None
    last: Scores | None = None
    kl: float = 0.0
    classifier: torch.nn.Module | None = None

    def __post_init__(self) -> None:
        sizes = [len(r.sequences(apart=False)) for r in self.rows]
        self.starts = np.cumsum([0, *sizes])[:-1].tolist()
        self.device = self.sums.device

    def arguments(self, kind: str, needs: Sequence[str]) -> dict[str, Any]:
        """The tensors of an objective by name."""
        return {name: MAKERS[kind][name](self) for name in needs}

    # -- by row

    def own(self, role: Role) -> Tensor:
        """Log-probability of one of each row's sequences, `(P,)` or `(H, P)`; 0 where a row has
        none.
        """
        places = [r.place(role) for r in self.rows]
        index = [0 if p is None else s + p for s, p in zip(self.starts, places, strict=True)]
        found = self.sums[..., torch.tensor(index, device=self.device)]
        if None not in places:
            return found
        there = torch.tensor([p is not None for p in places], device=self.device)
        return torch.where(there, found, torch.zeros_like(found))

    def fixed(self, scores: Scores, role: Role) -> Tensor:
        """The same under a fixed model, `(P,)`."""
        places = [r.place(role) for r in self.rows]
        pairs = zip(self.rows, places, strict=True)
        return self._numbers([0.0 if p is None else scores.sums[id(r)][p] for r, p in pairs])

    def count(self, role: Role) -> Tensor:
        """Number of tokens of one of each row's sequences, `(P,)`."""
        sizes = []
        for row in self.rows:
            place = row.place(role)
            sizes.append(0 if place is None else len(row.sequences()[place][1]))
        return self._numbers(sizes)

    def column(self, name: str) -> Tensor:
        """A number of each row, `(P,)`."""
        return self._numbers([r.values[name] for r in self.rows])

    def by_token(self, role: int, scores: Scores | None = None) -> Tensor:
        """Token values of one answer of each row `(P, T)`, 0 beyond its end."""
        if scores is not None:
            parts = [torch.from_numpy(scores.tokens[id(r)][role]) for r in self.rows]
            return pad_sequence(parts, batch_first=True).to(self.device)
        parts = [self.tokens[s + role] for s in self.starts]
        return pad_sequence(parts, batch_first=True)

    def token_mask(self, role: int) -> Tensor:
        """True on the tokens of an answer, `(P, T)`."""
        sizes = torch.tensor([len(r.answers[role]) for r in self.rows], device=self.device)
        return torch.arange(int(sizes.max()), device=self.device)[None] < sizes[:, None]

    def token_column(self, role: int) -> Tensor:
        """What the row says of each token of an answer, `(P, T)`."""
        parts = [torch.tensor(r.values[f"token_rewards_{role}"]) for r in self.rows]
        return pad_sequence(parts, batch_first=True).to(self.device)

    # -- lists

    def grid(self, values: Callable[[Item, int, int], Any]) -> Tensor:
        """`(B, K)` numbers of every answer, 0 where a list is shorter."""
        width = max(len(r.answers) for r in self.rows)
        table = torch.zeros(len(self.rows), width)
        for b, row in enumerate(self.rows):
            for k in range(len(row.answers)):
                table[b, k] = float(values(row, b, k))
        return table.to(self.device)

    def own_grid(self) -> Tensor:
        """Log-probabilities of every answer, `(B, K)`, with gradient."""
        parts = [
            self.sums[s : s + len(r.answers)] for s, r in zip(self.starts, self.rows, strict=True)
        ]
        return pad_sequence(parts, batch_first=True)

    def token_grid(self, scores: Scores | None = None) -> Tensor:
        """Token values of every answer, `(B, K, T)`, 0 outside."""
        width = max(len(r.answers) for r in self.rows)
        longest = max(len(a) for r in self.rows for a in r.answers)
        parts = []
        for start, row in zip(self.starts, self.rows, strict=True):
            for k in range(width):
                if k >= len(row.answers):
                    parts.append(self.sums.new_zeros(longest))
                    continue
                own = (
                    self.tokens[start + k]
                    if scores is None
                    else torch.from_numpy(scores.tokens[id(row)][k]).to(self.device)
                )
                parts.append(torch.nn.functional.pad(own, (0, longest - len(own))))
        return torch.stack(parts).reshape(len(self.rows), width, longest)

    def token_grid_mask(self) -> Tensor:
        """True on the tokens of every answer, `(B, K, T)`."""
        longest = max(len(a) for r in self.rows for a in r.answers)
        sizes = self.grid(lambda row, b, k: len(row.answers[k]))
        return torch.arange(longest, device=self.device) < sizes[:, :, None]

    def list_mask(self) -> Tensor:
        """True where a list has an answer, `(B, K)`."""
        return self.grid(lambda row, b, k: 1.0) > 0

    # -- objectives with modules of their own

    def labels(self) -> Tensor:
        """P(first answer preferred) on each objective, `(H, P)`; 1/2 where it was not judged."""
        table = [[0.5 if v is None else v for v in r.values["labels"]] for r in self.rows]
        return torch.tensor(table, device=self.device).T

    def head_mask(self) -> Tensor:
        """True where an objective judged a pair, `(H, P)`."""
        table = [[v is not None for v in r.values["labels"]] for r in self.rows]
        return torch.tensor(table, device=self.device).T

    def degree_logits(self) -> Tensor:
        """What the classifier says of the state at the end of the degraded answer, `(P, C)`."""
        index = [s + r.place("degraded") for s, r in zip(self.starts, self.rows, strict=True)]
        return self.classifier(self.states[torch.tensor(index, device=self.device)].float())

    def _numbers(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(np.array(values), dtype=torch.float32, device=self.device)


def _pair() -> dict[str, Callable[[Given], Any]]:
    made: dict[str, Callable[[Given], Any]] = {}
    for at, side in enumerate(("chosen", "rejected")):
        made[side] = lambda g, at=at: g.own(at)
        made[f"ref_{side}"] = lambda g, at=at: g.fixed(g.reference, at)
        made[f"last_{side}"] = lambda g, at=at: g.fixed(g.last, at)
        made[f"{side}_tokens"] = lambda g, at=at: g.count(at)
        made[f"{side}_token_logps"] = lambda g, at=at: g.by_token(at)
        made[f"{side}_mask"] = lambda g, at=at: g.token_mask(at)
        made[f"{side}_token_rewards"] = lambda g, at=at: g.token_column(at)
    for name in ("soft_label", "margin", "other_margin", "wins_chosen", "wins_rejected", "scope"):
        made[name] = lambda g, name=name: g.column(name)
    made |= {
        "probe": lambda g: g.own("probe"),
        "ref_probe": lambda g: g.fixed(g.reference, "probe"),
        "target": lambda g: g.own("target"),
        "target_tokens": lambda g: g.count("target"),
        "rationale": lambda g: g.own("rationale"),
        "rationale_tokens": lambda g: g.count("rationale"),
        "labels": Given.labels,
        "head_mask": Given.head_mask,
        "degree": lambda g: g.column("degree").long(),
        "degree_logits": Given.degree_logits,
    }
    return made


#: How each tensor of `contract.READS` is made.
MAKERS: dict[str, dict[str, Callable[[Given], Any]]] = {
    "pairs": _pair(),
    "lists": {
        "logps": Given.own_grid,
        "ref_logps": lambda g: g.grid(lambda row, b, k: g.reference.sums[id(row)][k]),
        "scores": lambda g: g.grid(lambda row, b, k: row.values["scores"][k]),
        "sample_logps": lambda g: g.grid(lambda row, b, k: row.values["sample_logps"][k]),
        "tokens": lambda g: g.grid(lambda row, b, k: len(row.answers[k])).clamp(min=1.0),
        "mask": Given.list_mask,
        "token_logps": Given.token_grid,
        "old_token_logps": lambda g: g.token_grid(g.last),
        "ref_token_logps": lambda g: g.token_grid(g.reference),
        "token_mask": Given.token_grid_mask,
    },
    "unpaired": {
        "logps": lambda g: g.own(0),
        "ref_logps": lambda g: g.fixed(g.reference, 0),
        "label": lambda g: g.column("label") > 0.5,
        "rate": lambda g: g.column("rate"),
        "kl": lambda g: g.kl,
    },
    "samples": {
        "logps": lambda g: g.own(0),
        "ref_logps": lambda g: g.fixed(g.reference, 0),
        "advantages": lambda g: g.column("advantages"),
        "wins": lambda g: g.column("wins"),
    },
    "text": {
        "token_logps": lambda g: g.by_token(0),
        "ref_token_logps": lambda g: g.by_token(0, g.reference),
        "mask": lambda g: g.token_mask(0),
        "feedback_mask": lambda g: g.token_column(0) > 0,
    },
}


# -- numbers for the log


@torch.no_grad()
def watched(kind: str, given: Given, beta: float) -> dict[str, Tensor]:
    """Detached numbers `(P,)` of a batch: accuracy, margin and implicit rewards where the kind has
    them, and the length of the answers.
    """
    lengths = [np.mean([len(a) for a in r.answers]) for r in given.rows]
    logs = {"tokens_an_answer": given._numbers(lengths)}

    def implicit(role: int) -> Tensor:
        own = given.own(role)
        own = own.mean(0) if own.dim() == 2 else own
        return own - given.fixed(given.reference, role) if given.reference else own

    if kind == "pairs":
        chosen, rejected = implicit(0), implicit(1)
        gap = chosen - rejected
        logs |= {"accuracy": (gap > 0).float() + 0.5 * (gap == 0).float(), "margin": beta * gap}
        logs |= {"chosen": beta * chosen, "rejected": beta * rejected}
    elif kind == "lists":
        u = given.own_grid()
        if given.reference:
            u = u - MAKERS["lists"]["ref_logps"](given)
        scores, keep = MAKERS["lists"]["scores"](given), given.list_mask()
        better = (scores[:, :, None] > scores[:, None, :]) & keep[:, :, None] & keep[:, None, :]
        gap = u[:, :, None] - u[:, None, :]
        right = (gap > 0).float() + 0.5 * (gap == 0).float()
        n = better.sum((1, 2)).clamp(min=1)
        none = better.sum((1, 2)) == 0
        logs["accuracy"] = torch.where(none, 0.5, (right * better).sum((1, 2)) / n)
        logs["margin"] = beta * (gap * better).sum((1, 2)) / n
    elif kind == "unpaired":
        h, label = beta * implicit(0), MAKERS["unpaired"]["label"](given)
        logs |= {"accuracy": ((h > 0) == label).float(), "margin": torch.where(label, h, -h)}
    else:
        logs["logp_a_token"] = given.own(0) / given.count(0).clamp(min=1.0)
    return logs
