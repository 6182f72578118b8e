"""Losses of reward models: tensors in, per-example losses out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid


def bradley_terry(
    chosen: Tensor,
    rejected: Tensor,
    *,
    soft_label: Tensor | float = 1.0,
    margin: Tensor | float = 0.0,
    label_smoothing: float = 0.0,
    strength: Tensor | float = 1.0,
    centre: float = 0.0,
) -> Tensor:
    """-log s(r_w - r_l - margin) with soft labels (R1; Bradley and Terry 1952; arXiv 2203.02155 eq.
    1).

    Tensors of one shape `(..., P)`. `soft_label` p mixes both orders, so a tie (1/2) gives log 2 at
    a zero gap; `label_smoothing` e makes it p(1 - e) + (1 - p)e; `strength` m multiplies the loss
    (scaled Bradley-Terry, arXiv 2410.01257 eq. 3); `centre` c adds c (r_w + r_l)^2 (arXiv
    2312.09244 eq. 2).
    """
    p = soft_label * (1.0 - 2.0 * label_smoothing) + label_smoothing
    z = chosen - rejected - margin
    loss = -strength * (p * logsigmoid(z) + (1.0 - p) * logsigmoid(-z))
    if centre:
        loss = loss + centre * (chosen + rejected) ** 2
    return loss


def reaction(score: Tensor, label: Tensor, *, bias: Tensor | float = 0.0) -> Tensor:
    """Binary cross-entropy of P(liked) = s(score + bias) (R6, arXiv 2505.14946), elementwise."""
    logits = score + bias
    return binary_cross_entropy_with_logits(
        logits, label.to(logits.dtype).expand_as(logits), reduction="none"
    )


def combine(scores: Tensor, rule: str = "mean", k: float = 0.5) -> Tensor:
    """One reward from M heads `(M, ...)`: `mean`, `worst` (WCO), `uncertainty` mean - k var (UWO);
    arXiv 2310.02743.

    One head gives that head under every rule.
    """
    if rule == "mean":
        return scores.mean(0)
    if rule == "worst":
        return scores.min(0).values
    if rule == "uncertainty":
        return scores.mean(0) - k * scores.var(0, unbiased=False)
    raise ValueError(f"unknown rule {rule!r}; known: mean, worst, uncertainty")


def ensemble_spread(scores: Tensor) -> Tensor:
    """Standard deviation over the heads of `(M, ...)`, zero for one head."""
    return torch.sqrt(scores.var(0, unbiased=False))
