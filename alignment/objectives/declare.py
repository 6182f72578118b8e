"""How an objective is declared: its function, the tensors it reads, its numbers, its source.

Loads no torch; `Objective.function` does, on first use.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = ("pairs", "lists", "unpaired", "samples", "text")


@dataclass(frozen=True)
class Param:
    """A number or choice of an objective: default, bounds and one line of help."""

    default: float | str | None
    help: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Objective:
    """Declaration of one loss.

    `target` is module.function in `alignment.objectives`, `inputs` one of KINDS, `needs` the
    tensors taken by keyword, `method` the row of the method catalogue, `source` paper and equation,
    `reference` what the tests compare with. `fresh`: needs samples of the present policy.
    `surrogate`: only the gradient is meant, the value is no objective. `batchwise`: losses depend
    on the other rows of the batch, which is therefore judged whole.
    """

    name: str
    title: str
    target: str
    inputs: str
    needs: tuple[str, ...]
    params: Mapping[str, Param] = field(default_factory=dict)
    method: str = ""
    source: str = ""
    reference: str = ""
    fresh: bool = False
    surrogate: bool = False
    batchwise: bool = False

    @property
    def needs_reference(self) -> bool:
        """Whether log-probabilities of a reference model are read."""
        return any(n.startswith("ref_") for n in self.needs)

    @property
    def needs_last(self) -> bool:
        """Whether log-probabilities of the last iterate, the policy that sampled, are read."""
        return any(n.startswith(("last_", "old_")) for n in self.needs)

    @property
    def needs_scores(self) -> bool:
        """Whether rewards, graded labels, margins or win rates are read."""
        return not SCORES.isdisjoint(self.needs)

    @property
    def needs_tokens(self) -> bool:
        """Whether values of single tokens are read rather than sums over answers."""
        return any("token_logps" in n for n in self.needs)

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself (imports torch)."""
        module, name = self.target.rsplit(".", 1)
        return getattr(importlib.import_module(f"alignment.objectives.{module}"), name)

    def defaults(self) -> dict[str, Any]:
        """Default value of each parameter."""
        return {name: p.default for name, p in self.params.items()}


@dataclass(frozen=True)
class Piece:
    """A public function or class that is part of a method without being a loss of the registry.

    `target` is its full dotted path; the other fields are as in `Objective`.
    """

    method: str
    target: str
    source: str
    reference: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.target.rsplit(".", 1)[1]

    def load(self) -> Any:
        """The function or class itself (imports torch)."""
        module, name = self.target.rsplit(".", 1)
        return getattr(importlib.import_module(module), name)


SCORES = frozenset(
    {
        "margin",
        "scores",
        "advantages",
        "wins",
        "wins_chosen",
        "wins_rejected",
        "other_margin",
        "rate",
    }
)
BETA = Param(0.1, "strength of the pull to the reference (inverse temperature)", above=0.0)
SMOOTHING = Param(0.0, "share of labels believed flipped", low=0.0, high=0.499)
PAIR = ("chosen", "rejected", "ref_chosen", "ref_rejected")
LIST = ("logps", "ref_logps", "scores", "mask")


def weight(default: float, of: str) -> Param:
    """A weight that is not negative."""
    return Param(default, f"weight of {of}", low=0.0)


def choice(help: str, *choices: str) -> Param:
    """A choice; the first is the default."""
    return Param(choices[0], help, choices=choices)
