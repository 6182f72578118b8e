"""One registry of objectives: the trainer, the console's form, the commands and the pages read it.

Importing this module loads no torch; `Objective.function` does, on first use.

An objective is a pure function of `(P,)` tensors. `needs` names the tensors it takes by keyword:

    chosen, rejected           summed log-probabilities of the two answers under the policy
    ref_chosen, ref_rejected   the same under the reference
    chosen_tokens, rejected_tokens   numbers of answer tokens
    soft_label                 P(chosen preferred), 1 for a plain pair, 1/2 for a tie
    margin                     gap of the two answers' scores, > 0
    logps, ref_logps, label    one answer a row, for unpaired objectives
    kl                         scalar estimate of KL(policy, reference) on mismatched rows
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


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
    """Declaration of one loss: where the function is, what it needs, where it comes from."""

    name: str
    title: str
    target: str
    inputs: str
    needs: tuple[str, ...]
    params: Mapping[str, Param] = field(default_factory=dict)
    method: str = ""
    source: str = ""

    @property
    def needs_reference(self) -> bool:
        """Whether log-probabilities of a reference model are read."""
        return any(n.startswith("ref_") for n in self.needs)

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself (imports torch)."""
        module, name = self.target.rsplit(".", 1)
        return getattr(importlib.import_module(f"alignment.objectives.{module}"), name)

    def defaults(self) -> dict[str, Any]:
        """Default value of each parameter."""
        return {name: p.default for name, p in self.params.items()}


BETA = Param(0.1, "strength of the pull to the reference (inverse temperature)", above=0.0)
SMOOTHING = Param(0.0, "share of labels believed flipped", low=0.0, high=0.499)
PAIR = ("chosen", "rejected", "ref_chosen", "ref_rejected")

_ALL = (
    Objective(
        "dpo",
        "DPO",
        "pairwise.dpo",
        "pairs",
        (*PAIR, "soft_label"),
        {"beta": BETA, "label_smoothing": SMOOTHING},
        "P1",
        "arXiv 2305.18290 eq. 7; conservative form: Mitchell 2023, eq. 3",
    ),
    Objective(
        "robust_dpo",
        "Robust DPO",
        "pairwise.robust_dpo",
        "pairs",
        PAIR,
        {"beta": BETA, "label_smoothing": Param(0.1, SMOOTHING.help, low=0.0, high=0.499)},
        "P1",
        "arXiv 2403.00409 eq. 12",
    ),
    Objective(
        "odpo",
        "DPO with an offset",
        "pairwise.odpo",
        "pairs",
        (*PAIR, "soft_label", "margin"),
        {
            "beta": BETA,
            "alpha": Param(1.0, "weight of the offset", low=0.0),
            "scale": Param(
                "log", "offset is alpha times this of the margin", choices=("log", "linear")
            ),
        },
        "P1",
        "arXiv 2402.10571 eq. 7",
    ),
    Objective(
        "ipo",
        "IPO",
        "pairwise.ipo",
        "pairs",
        (*PAIR, "soft_label", "chosen_tokens", "rejected_tokens"),
        {
            "tau": Param(0.1, "regularisation; the target gap is 1/(2 tau)", above=0.0),
            "per": Param(
                "sum", "log-ratios summed over tokens or averaged", choices=("sum", "token")
            ),
        },
        "P2",
        "arXiv 2310.12036 eq. 17; per-token form as in TRL",
    ),
    Objective(
        "hinge",
        "Hinge (SLiC, RSO)",
        "pairwise.hinge",
        "pairs",
        (*PAIR, "soft_label"),
        {"beta": BETA},
        "P3",
        "arXiv 2309.06657 eq. 10",
    ),
    Objective(
        "f_dpo",
        "f-DPO",
        "pairwise.f_dpo",
        "pairs",
        (*PAIR, "soft_label"),
        {
            "beta": BETA,
            "divergence": Param(
                "reverse_kl",
                "divergence to the reference",
                choices=("reverse_kl", "forward_kl", "js", "alpha", "chi2"),
            ),
            "alpha": Param(0.5, "of the alpha divergence", above=0.0, high=0.999),
        },
        "P4",
        "arXiv 2309.16240 eq. 6 and table 1; chi-squared mixed with KL arXiv 2407.13399",
    ),
    Objective(
        "simpo",
        "SimPO",
        "reference_free.simpo",
        "pairs",
        ("chosen", "rejected", "chosen_tokens", "rejected_tokens", "soft_label"),
        {
            "beta": Param(2.0, "scale of the per-token reward", above=0.0),
            "gamma_ratio": Param(0.5, "target margin over beta", low=0.0),
        },
        "P6",
        "arXiv 2405.14734 eq. 6",
    ),
    Objective(
        "orpo",
        "ORPO",
        "reference_free.orpo",
        "pairs",
        ("chosen", "rejected", "chosen_tokens", "rejected_tokens"),
        {"lam": Param(0.1, "weight of the odds-ratio term", low=0.0)},
        "P6",
        "arXiv 2403.07691 eq. 6 and 7",
    ),
    Objective(
        "cpo",
        "CPO",
        "reference_free.cpo",
        "pairs",
        ("chosen", "rejected", "chosen_tokens", "soft_label"),
        {"beta": BETA, "nll_weight": Param(1.0, "weight of the chosen answer's NLL", low=0.0)},
        "P6",
        "arXiv 2401.08417 eq. 5",
    ),
    Objective(
        "kto",
        "KTO (reactions)",
        "unpaired.kto",
        "unpaired",
        ("logps", "ref_logps", "label", "kl"),
        {
            "beta": BETA,
            "desirable_weight": Param(1.0, "weight of liked answers", low=0.0),
            "undesirable_weight": Param(1.0, "weight of disliked answers", low=0.0),
        },
        "P5",
        "arXiv 2402.01306 eq. 8",
    ),
)

REGISTRY: dict[str, Objective] = {o.name: o for o in _ALL}


def get(name: str) -> Objective:
    """The objective of that name; `KeyError` that lists the known names."""
    try:
        return REGISTRY[name]
    except KeyError:
        raise KeyError(f"unknown objective {name!r}; known: {', '.join(REGISTRY)}") from None


def names(inputs: str | None = None) -> list[str]:
    """Names of the objectives, of one kind of input (`pairs`, `unpaired`) or of all."""
    return [o.name for o in _ALL if inputs is None or o.inputs == inputs]
