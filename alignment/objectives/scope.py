"""C3PO: learn one verbal rule where it applies and stay as before elsewhere (P14)."""

from __future__ import annotations

import torch
from torch import Tensor

from .pairwise import dpo


def c3po(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    scope: Tensor,
    chosen_tokens: Tensor,
    beta: float = 0.1,
    out_weight: float = 0.2,
    near_weight: float = 0.2,
    keep: str = "sft",
) -> Tensor:
    """C3PO (arXiv 2402.10893): DPO on prompts within the rule's scope, the old model's own answers
    kept on the others, `(P,)`.

    `scope` `(P,)` is 0 for a pair in scope (chosen follows the rule), 1 near it and 2 outside; for
    the latter two `chosen` is an answer of the old model and `rejected` is not read. Their term is
    weight x NLL a token (`keep="sft"`, the paper's) or weight x log(ref/pi) a token ("kl"), an
    estimate of KL(old, pi) with the same gradient that is 0 at the old model: a rule of empty scope
    then changes nothing.
    """
    if keep == "sft":
        stay = -chosen / chosen_tokens
    elif keep == "kl":
        stay = (ref_chosen - chosen) / chosen_tokens
    else:
        raise ValueError(f"unknown keep {keep!r}; known: sft, kl")
    weight = torch.where(scope == 1, near_weight, out_weight)
    inside = dpo(chosen, rejected, ref_chosen, ref_rejected, beta=beta)
    return torch.where(scope == 0, inside, weight * stay)
