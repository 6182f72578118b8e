"""Pair losses with a further supervised signal (P7): degree, rationale, token rewards. Each adds to
`(P,)` losses of a base objective, so weight 0 is that objective.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .pairwise import dpo


def degree_dpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    degree_logits: Tensor,
    degree: Tensor,
    beta: float = 0.1,
    weight: float = 0.1,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """DPO with self-supervised preference degree (arXiv 2409.17791): + weight x cross-entropy of
    the degree, `(P,)`.

    `degree_logits` `(P, C)` come from a classifier head on the policy's representation of an answer
    from which a graded share of key content was removed, `degree` `(P,)` is that grade.
    """
    ends = (chosen, rejected, ref_chosen, ref_rejected)
    extra = cross_entropy(degree_logits, degree, reduction="none")
    return dpo(*ends, beta=beta, soft_label=soft_label) + weight * extra


def rationale_dpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    rationale: Tensor,
    rationale_tokens: Tensor,
    beta: float = 0.1,
    weight: float = 2.0,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """Rationale-enriched DPO (arXiv 2407.14477): + weight x NLL a token of the reason why the
    chosen answer is better, given prompt and both answers, `(P,)`.

    `rationale` `(P,)` is its summed log-probability; rows without one have 0 tokens and add
    nothing.
    """
    ends = (chosen, rejected, ref_chosen, ref_rejected)
    nll = -rationale / rationale_tokens.clamp(min=1.0)
    nll = torch.where(rationale_tokens > 0, nll, torch.zeros_like(nll))
    return dpo(*ends, beta=beta, soft_label=soft_label) + weight * nll


def token_regularised_dpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    chosen_token_logps: Tensor,
    rejected_token_logps: Tensor,
    chosen_token_rewards: Tensor,
    rejected_token_rewards: Tensor,
    chosen_mask: Tensor,
    rejected_mask: Tensor,
    beta: float = 0.1,
    weight: float = 0.25,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """DPO with token-reward regularisation after T-REG (arXiv 2412.02685), `(P,)`.

    - weight x (mean over the tokens of both answers of reward x log pi(token)): tokens that the
    model itself, asked for a better and for a worse answer, finds better are raised, in whichever
    answer they stand. Token tensors `(P, T)`, masks True = keep; rewards from `contrast_rewards`.
    """
    ends = (chosen, rejected, ref_chosen, ref_rejected)
    kept = chosen_mask.sum(1) + rejected_mask.sum(1)
    weighted = (chosen_token_rewards * chosen_token_logps * chosen_mask).sum(1)
    weighted = weighted + (rejected_token_rewards * rejected_token_logps * rejected_mask).sum(1)
    regulariser = -weighted / kept.clamp(min=1)
    return dpo(*ends, beta=beta, soft_label=soft_label) + weight * regulariser


def contrast_rewards(better_logps: Tensor, worse_logps: Tensor) -> Tensor:
    """Token rewards in (-1/2, 1/2) from contrastive prompting: s(log p(token | asked for a better
    answer) - log p(token | asked for a worse one)) - 1/2, elementwise, no gradient.
    """
    return torch.sigmoid(better_logps - worse_logps).detach() - 0.5
