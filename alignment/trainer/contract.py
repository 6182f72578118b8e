"""Which columns of an input file answer the tensors an objective asks for. Loads no torch.

A policy run reads one file of rows, of the kind its objective declares (`pairs`, `lists`,
`unpaired`, `samples`, `text`). Every kind becomes the same thing: a prompt, K answers to it
(a pair has two, a single answer is K = 1), further texts, and numbers of the row.
"""

from __future__ import annotations

from collections.abc import Iterable

from alignment.objectives.registry import Objective

from .schema import FieldError

#: Columns every file of a kind has; one of those joined by | suffices.
REQUIRED: dict[str, tuple[str, ...]] = {
    "pairs": ("prompt", "chosen", "rejected"),
    "lists": ("prompt", "answers|completions|text|completion"),
    "unpaired": ("prompt", "completion", "label"),
    "samples": ("prompt", "text|completion"),
    "text": ("prompt", "completion|text|parts"),
}

SCORE = "advantage|score|reward_mean"
#: For each kind, the tensors that can be made of it and the columns each needs besides.
READS: dict[str, dict[str, tuple[str, ...]]] = {
    "pairs": {
        **dict.fromkeys(("chosen", "rejected", "ref_chosen", "ref_rejected"), ()),
        **dict.fromkeys(("last_chosen", "last_rejected", "soft_label"), ()),
        **dict.fromkeys(("chosen_tokens", "rejected_tokens"), ()),
        **dict.fromkeys(("chosen_token_logps", "rejected_token_logps"), ()),
        **dict.fromkeys(("chosen_mask", "rejected_mask"), ()),
        "margin": ("margin|strength",),
        "other_margin": ("other_margin",),
        "wins_chosen": ("wins_chosen",),
        "wins_rejected": ("wins_rejected",),
        **dict.fromkeys(("probe", "ref_probe"), ("probe",)),
        **dict.fromkeys(("target", "target_tokens"), ("target",)),
        **dict.fromkeys(("rationale", "rationale_tokens"), ("rationale",)),
        "scope": ("scope",),
        **dict.fromkeys(("labels", "head_mask"), ("labels",)),
        "degree": ("degree",),
        "degree_logits": ("degraded", "degree"),
        "chosen_token_rewards": ("chosen_token_rewards|chosen_spans",),
        "rejected_token_rewards": ("rejected_token_rewards|rejected_spans",),
    },
    "lists": {
        **dict.fromkeys(("logps", "ref_logps", "mask", "tokens"), ()),
        **dict.fromkeys(("token_logps", "old_token_logps", "ref_token_logps", "token_mask"), ()),
        "scores": ("scores|ranking|places|score|reward_mean",),
        "sample_logps": ("logprobs|logprob",),
    },
    "unpaired": dict.fromkeys(("logps", "ref_logps", "label", "kl", "rate"), ()),
    "samples": {
        **dict.fromkeys(("logps", "ref_logps"), ()),
        "advantages": (SCORE,),
        "wins": ("wins",),
    },
    "text": {
        **dict.fromkeys(("token_logps", "ref_token_logps", "mask"), ()),
        "feedback_mask": ("parts",),
    },
}

#: Tensors the policy task computes, by kind of input: it runs every objective these suffice for.
SUPPLIED: dict[str, frozenset[str]] = {kind: frozenset(reads) for kind, reads in READS.items()}


def columns_of(objective: Objective) -> list[str]:
    """Columns an objective reads, `a|b` where either serves, those of its kind first."""
    found = list(REQUIRED[objective.inputs])
    for need in objective.needs:
        found += READS[objective.inputs][need]
    return list(dict.fromkeys(found))


def check_columns(objective: Objective, present: Iterable[str], file: str) -> None:
    """`FieldError` that names the first column the objective reads and the file lacks."""
    present = set(present)
    kind = objective.inputs
    for column in columns_of(objective):
        if present.isdisjoint(column.split("|")):
            own = column in REQUIRED[kind]
            why = "" if own else f"; the objective {objective.name} reads it"
            name = " or ".join(repr(c) for c in column.split("|"))
            raise FieldError(kind, f"column {name} is missing from {file}{why}")
