"""Policy gradients on K scored samples of a prompt, as objectives on lists (L2); PPO with a value
function is in `alignment.rollouts`.

Token tensors `(B, K, T)`, `token_mask` True on an answer's tokens; `scores` and `mask` `(B, K)`;
`old_*` of the policy that sampled. Losses `(B,)`, the mean over a prompt's answers.
"""

from __future__ import annotations

import torch
from torch import Tensor


def grpo(
    token_logps: Tensor,
    old_token_logps: Tensor,
    ref_token_logps: Tensor,
    scores: Tensor,
    *,
    mask: Tensor,
    token_mask: Tensor,
    clip: float = 0.2,
    clip_high: float = 0.2,
    kl_weight: float = 0.04,
    normalise: str = "deviation",
    per: str = "answer",
    length: float = 512.0,
) -> Tensor:
    """GRPO (arXiv 2402.03300 eq. 3), `(B,)`: PPO's clipped surrogate with A = (r - mean)/(std +
    1e-4) of the group, plus kl_weight x k3 to the reference a token.

    `clip_high` above `clip` is DAPO's clip-higher. `normalise="none"` with `per="length"` (token
    sums over a constant `length`) is Dr. GRPO (arXiv 2503.20783), free of the bias by length. A
    group of equal scores has no advantage: only the KL is left.
    """
    advantages = _group(scores, mask, normalise)[:, :, None]
    ratio = (token_logps - old_token_logps).clamp(max=20.0).exp()
    held = ratio.clamp(1.0 - clip, 1.0 + clip_high)
    losses = -torch.minimum(ratio * advantages, held * advantages)
    gap = (ref_token_logps - token_logps).clamp(max=20.0)
    losses = losses + kl_weight * (torch.expm1(gap) - gap)
    return _over_answers(_over_tokens(losses, token_mask, per, length), mask)


def rloo(
    logps: Tensor, ref_logps: Tensor, scores: Tensor, *, mask: Tensor, kl_weight: float = 0.05
) -> Tensor:
    """REINFORCE with the other K - 1 answers as baseline (arXiv 2402.14740 eq. 8), `(B,)`.

    -A log pi of whole answers, A = R - mean of the others' R, held constant; the KL enters the
    reward as in the paper, R = r - kl_weight log(pi/ref). The value is a surrogate. A single answer
    has no baseline and gives 0.
    """
    keep = mask.to(logps.dtype)
    rewards = (scores.to(logps.dtype) - kl_weight * (logps.detach() - ref_logps)) * keep
    n = keep.sum(1, keepdim=True)
    rest = (rewards.sum(1, keepdim=True) - rewards) / (n - 1.0).clamp(min=1.0)
    advantages = torch.where(n > 1.0, rewards - rest, torch.zeros_like(rewards))
    return _over_answers(-advantages * logps, mask)


def _group(scores: Tensor, mask: Tensor, normalise: str) -> Tensor:
    keep = mask.to(scores.dtype)
    n = keep.sum(1, keepdim=True)
    centred = (scores - (scores * keep).sum(1, keepdim=True) / n.clamp(min=1.0)) * keep
    if normalise == "none":
        return centred
    if normalise == "deviation":
        variance = (centred**2).sum(1, keepdim=True) / (n - 1.0).clamp(min=1.0)
        return centred / (variance.sqrt() + 1e-4)
    raise ValueError(f"unknown normalise {normalise!r}; known: deviation, none")


def _over_tokens(values: Tensor, mask: Tensor, per: str, length: float) -> Tensor:
    keep = mask.to(values.dtype)
    total = (values * keep).sum(2)
    if per == "answer":
        return total / keep.sum(2).clamp(min=1.0)
    if per == "length":
        return total / length
    raise ValueError(f"unknown per {per!r}; known: answer, length")


def _over_answers(values: Tensor, mask: Tensor) -> Tensor:
    keep = mask.to(values.dtype)
    return (values * keep).sum(1) / keep.sum(1).clamp(min=1.0)
