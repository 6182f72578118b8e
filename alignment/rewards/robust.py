"""Noisy preferences (R15; Secrets of RLHF II, arXiv 2401.06080): strength measured by an ensemble,
labels flipped or softened, adaptive margin, contrastive term.
"""

from __future__ import annotations

import torch
from torch import Tensor


def strength(gaps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over M reward models of the gap r(chosen) - r(rejected), `(P,)`
    each from `(M, P)` (section 2.1). Models should not have seen the pair: use cross-fitted
    gaps.
    """
    return gaps.mean(0), torch.sqrt(gaps.var(0, unbiased=False))


def soft_targets(
    mean_gap: Tensor,
    *,
    flip_share: float = 0.1,
    soften_share: float = 0.1,
    below: float = 0.0,
) -> Tensor:
    """P(chosen preferred) a pair, `(P,)`: the weakest pairs flipped, the next softened to s(mean
    gap) (section 2.3).

    At most `flip_share` of all pairs, those of least strength, and only while it is under `below`,
    become 0; the next `soften_share`, while under `below` + 1, take the ensemble's probability.
    Pairs that the ensemble agrees with keep 1, so without noise this is R1.
    """
    n = len(mean_gap)
    order = mean_gap.argsort()
    target = torch.ones_like(mean_gap)
    flipped = order[: int(flip_share * n)]
    flipped = flipped[mean_gap[flipped] < below]
    softened = order[len(flipped) : len(flipped) + int(soften_share * n)]
    softened = softened[mean_gap[softened] < below + 1.0]
    target[softened] = torch.sigmoid(mean_gap[softened])
    target[flipped] = 0.0
    return target


def adaptive_margin(mean_gap: Tensor, scale: float = 1.0) -> Tensor:
    """Margin of a pair from its strength, scale x max(0, mean gap) (section 2.4): clear pairs must
    be told apart further. `(P,)`, for `losses.bradley_terry`.
    """
    return scale * mean_gap.detach().clamp(min=0.0)


def contrastive(first: Tensor, second: Tensor, *, temperature: float = 0.05) -> Tensor:
    """InfoNCE of two noisy views of the same rows `(N, d)` (section 3.1; SimCSE, arXiv 2104.08821
    eq. 1), `(N,)`: each row against all second views by cosine similarity.
    """
    a = first / first.norm(dim=1, keepdim=True).clamp(min=1e-9)
    b = second / second.norm(dim=1, keepdim=True).clamp(min=1e-9)
    return -(a @ b.T / temperature).log_softmax(1).diagonal()
