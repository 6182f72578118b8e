"""Rewards read off a language model's own probabilities: yes against no, follow-ups, a tuned
policy.
"""

from __future__ import annotations

import torch
from torch import Tensor


def yes_no(yes: Tensor, no: Tensor) -> Tensor:
    """logit of "does the answer satisfy the principle": log p(yes) - log p(no) (R8, RLBFF, arXiv
    2509.21319), elementwise.

    Log-probabilities or logits of the two tokens after (prompt, answer, principle); exchanging them
    negates the score. Trained by `losses.reaction` on the verdicts.
    """
    return yes - no


def yes_no_tokens(logits: Tensor, yes_ids: Tensor, no_ids: Tensor) -> Tensor:
    """`yes_no` where either word has several tokens ("Yes", " yes"), from next-token logits `(...,
    V)`: the log-odds of the summed probabilities.
    """
    return logits[..., yes_ids].logsumexp(-1) - logits[..., no_ids].logsumexp(-1)


def follow_up(
    positive: Tensor, negative: Tensor, *, tokens: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Follow-up likelihood (R9, arXiv 2409.13948): mean log p of a set of pleased next user turns
    minus that of displeased ones, given the dialogue, `(B,)`.

    `positive` `(B, P)`, `negative` `(B, N)` summed log-probabilities; with `tokens` (their numbers
    `(P,)`, `(N,)`) means a token are taken. Needs no labels.
    """
    if tokens is not None:
        positive, negative = positive / tokens[0], negative / tokens[1]
    return positive.mean(-1) - negative.mean(-1)


def implicit_reward(logps: Tensor, ref_logps: Tensor, *, beta: float = 0.1) -> Tensor:
    """beta log(pi/ref), the reward a DPO policy implies (R17, arXiv 2305.18290 eq. 5), up to a
    function of the prompt. Its gap is P1's margin. Elementwise: sums give answers, tokens give
    tokens (arXiv 2404.12358 eq. 7).
    """
    return beta * (logps - ref_logps)


def prefix_rewards(token_rewards: Tensor, mask: Tensor) -> Tensor:
    """Sum of token rewards up to each token, `(B, T)`: what `implicit_reward` says of a prefix; its
    last kept value is the answer's reward. Mask True = keep.
    """
    return torch.cumsum(token_rewards * mask.to(token_rewards.dtype), 1)
