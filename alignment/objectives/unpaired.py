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


def nft(
    logps: Tensor,
    ref_logps: Tensor,
    label: Tensor,
    *,
    rate: Tensor,
    floor: float = 1e-3,
    normalise: str = "none",
) -> Tensor:
    """Negative-aware fine-tuning (arXiv 2505.18116 eq. 10; dp_actor.py of its code), elementwise.

    R = pi/old with `ref_logps` of the policy that sampled, `rate` the share r of liked answers to
    the prompt. Liked: -log R. Disliked: -log((1 - r R)/(1 - r)), the likelihood under the implied
    policy of bad answers. Shapes agree: `(P,)` for whole answers, `(P, T)` for tokens (with `label`
    and `rate` broadcast), as the published code takes them. Ratios are held above `floor` in value,
    not in gradient; rates within [0.02, 0.98]. `normalise="rate"` multiplies by 1 - r, "grpo" by
    sqrt((1 - r)/r), which weighs prompts as GRPO does. On policy a liked answer pulls by 1 and a
    disliked one pushes by r/(1 - r).
    """
    r = rate.clamp(0.02, 0.98)
    ratio = (logps - ref_logps).clamp(max=10.0).exp()
    liked = -_straight(ratio, floor).log()
    disliked = -_straight((1.0 - r * ratio) / (1.0 - r), floor).log()
    loss = torch.where(label.bool(), liked, disliked)
    if normalise == "none":
        return loss
    if normalise == "rate":
        return loss * (1.0 - r)
    if normalise == "grpo":
        return loss * ((1.0 - r) / r) ** 0.5
    raise ValueError(f"unknown normalise {normalise!r}; known: none, rate, grpo")


def _straight(x: Tensor, floor: float) -> Tensor:
    """x held at `floor` from below, with the gradient of x; exact for large x too, where adding and
    taking away would round the floor to 0.
    """
    return x.clamp(min=floor).detach() + (x - x.detach())


def balance(label: Tensor) -> tuple[float, float]:
    """Weights of liked and disliked answers that give both classes equal mass (KTO, arXiv
    2402.01306 section 4.3): n/(2 n_class); a class that is absent has weight 0.
    """
    n, liked = label.numel(), int(label.bool().sum())
    share = [n / (2.0 * count) if count else 0.0 for count in (liked, n - liked)]
    return share[0], share[1]
