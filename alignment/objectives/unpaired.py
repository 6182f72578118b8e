"""Objectives on single answers with a yes/no label, such as reactions."""

from __future__ import annotations

import torch
from torch import Tensor


def kto(
    logps: Tensor,
    ref_logps: Tensor,
    label: Tensor,
    *,
    kl: Tensor | float,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Tensor:
    """KTO (arXiv 2402.01306 eq. 8), `(P,)`.

    w_d (1 - s(beta (h - z))) for liked and w_u (1 - s(beta (z - h))) for disliked answers; `label`
    is a bool `(P,)`, True = liked; z = max(0, `kl`) is held constant (no gradient), `kl` an
    estimate of KL(pi, ref) from prompts joined with other prompts' answers. At pi = ref the loss is
    half the weight. A class of weight 0 adds nothing.
    """
    h = logps - ref_logps
    z = torch.as_tensor(kl, dtype=h.dtype, device=h.device).detach().clamp(min=0.0)
    liked = desirable_weight * (1.0 - torch.sigmoid(beta * (h - z)))
    disliked = undesirable_weight * (1.0 - torch.sigmoid(beta * (z - h)))
    return torch.where(label.bool(), liked, disliked)


def mismatched_kl(logps: Tensor, ref_logps: Tensor) -> Tensor:
    """z of KTO: mean of log pi - log ref over mismatched rows, not below 0; a scalar."""
    return (logps - ref_logps).mean().clamp(min=0.0)
