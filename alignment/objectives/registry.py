"""One registry of objectives: the trainer, the console's form, the commands and the pages read it.

Importing this module loads no torch; `Objective.function` does, on first use.

An objective is a pure function of tensors; `needs` names those it takes by keyword. P rows, B lists
of K answers, T tokens, masks True = keep:

    chosen, rejected           (P,) summed log-probabilities of the two answers under the policy
    ref_*, last_*              the same under the reference, under the last iterate
    chosen_tokens, rejected_tokens   (P,) numbers of answer tokens
    soft_label                 (P,) P(chosen preferred), 1 for a plain pair, 1/2 for a tie
    margin                     (P,) gap of the two answers' scores, > 0
    other_margin               (P,) weighted gap of the other objectives' rewards
    wins_chosen, wins_rejected, wins   (P,) P(answer preferred over an opponent's)
    probe, ref_probe           (P,) log-probabilities of one further answer a row
    target, target_tokens      (P,) those of a supervised answer
    logps, ref_logps, label    (P,) one answer a row; label True = liked
    kl                         scalar estimate of KL(policy, reference) on mismatched rows
    rate                       (P,) share of liked answers to the row's prompt
    advantages                 (P,) reward minus the prompt's value
    logps, ref_logps, scores, mask, tokens   (B, K) for lists; sample_logps of the sampling policy
    *_token_logps, *_mask      (P, T) values of single tokens; (B, K, T) and token_mask for lists
    old_*                      the same under the policy that sampled
    scope                      (P,) 0 in scope, 1 near, 2 outside
    labels, head_mask          (H, P) per objective
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from .declare import Objective, Param
from .entries_judged import JUDGED
from .entries_pairs import PAIRS
from .entries_samples import SAMPLES

_ALL = (*PAIRS, *JUDGED, *SAMPLES)

REGISTRY: dict[str, Objective] = {o.name: o for o in _ALL}

__all__ = ["REGISTRY", "Objective", "Param", "get", "names", "trainable"]


def get(name: str) -> Objective:
    """The objective of that name; `KeyError` that lists the known names."""
    try:
        return REGISTRY[name]
    except KeyError:
        raise KeyError(f"unknown objective {name!r}; known: {', '.join(REGISTRY)}") from None


def names(inputs: str | None = None) -> list[str]:
    """Names of the objectives, of one kind of input (`pairs`, `lists`, ...) or of all."""
    return [o.name for o in _ALL if inputs is None or o.inputs == inputs]


def trainable(supplied: Mapping[str, Set[str]]) -> list[str]:
    """Names of the objectives a caller can run that supplies these tensors for each kind of
    input.
    """
    return [o.name for o in _ALL if o.inputs in supplied and supplied[o.inputs].issuperset(o.needs)]
