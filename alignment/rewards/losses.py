"""Losses of reward models: tensors in, per-example losses out, unweighted.

`weighted_mean` reduces them with the reliability of annotators or reactions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from alignment.objectives.listwise import plackett_luce


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


def strength_loss(
    chosen: Tensor, rejected: Tensor, strength: Tensor, *, form: str = "scaled"
) -> Tensor:
    """The three uses of a graded preference in HelpSteer2-Preference (R3, arXiv 2410.01257),
    `(P,)`.

    `strength` m is 1, 2 or 3 (slightly, clearly, much). "scaled": -m log s(gap); "margin": -log
    s(gap - m); "plain": -log s(gap). At m = 1 the scaled form is R1. The paper starts from the
    regression model of `attribute_mse`.
    """
    if form == "scaled":
        return bradley_terry(chosen, rejected, strength=strength)
    if form == "margin":
        return bradley_terry(chosen, rejected, margin=strength)
    if form == "plain":
        return bradley_terry(chosen, rejected)
    raise ValueError(f"unknown form {form!r}; known: scaled, margin, plain")


def attribute_mse(predicted: Tensor, ratings: Tensor, mask: Tensor) -> Tensor:
    """Squared error of attribute ratings, mean over those given (R2, arXiv 2311.09528), `(P,)`.

    `(P, A)`, mask True = rated; a row without ratings gives 0. Values under a False mask may be
    anything, NaN too.
    """
    error = (predicted - torch.where(mask, ratings, torch.zeros_like(ratings))) ** 2
    keep = mask.to(predicted.dtype)
    return (error * keep).sum(1) / keep.sum(1).clamp(min=1.0)


def ranking(
    rewards: Tensor, scores: Tensor, *, mask: Tensor | None = None, ties: str = "average"
) -> Tensor:
    """-log Plackett-Luce probability of a ranking (R4, ListMLE), `(B,)` from `(B, K)`.

    `scores` order the answers, the highest first, equal ones tied; K = 2 is R1, a tie its soft
    label 1/2. See `alignment.objectives.listwise.plackett_luce`.
    """
    return plackett_luce(rewards, scores, mask=mask, ties=ties)


def reaction(
    score: Tensor,
    label: Tensor,
    *,
    bias: Tensor | float = 0.0,
    exposure: Tensor | float = 1.0,
    positive_weight: Tensor | float = 1.0,
) -> Tensor:
    """Binary cross-entropy of P(liked) = s(score + bias) (R6, arXiv 2505.14946), elementwise.

    `exposure` divides a row by the probability that its reaction was seen at all (inverse
    propensity); `positive_weight` weighs liked rows, against rare reactions.
    """
    logits = score + bias
    label = label.to(logits.dtype).expand_as(logits)
    loss = binary_cross_entropy_with_logits(logits, label, reduction="none")
    weight = torch.as_tensor(positive_weight, dtype=logits.dtype) * label + (1.0 - label)
    return loss * weight / exposure


def preference(logit: Tensor, soft_label: Tensor | float = 1.0) -> Tensor:
    """Cross-entropy of a pairwise model, P(first preferred) = s(logit(first, second)) (R13, arXiv
    2312.00886 section 3), elementwise.
    """
    return -(soft_label * logsigmoid(logit) + (1.0 - soft_label) * logsigmoid(-logit))


def length_decorrelated(
    quality: Tensor, length_part: Tensor, tokens: Tensor, *, weight: float = 1.0
) -> Tensor:
    """ODIN's penalty (arXiv 2402.07319 eq. 6 and 7), a scalar: weight (1 - corr(length head,
    tokens) + |corr(quality head, tokens)|) over a batch `(N,)`.

    Added to the Bradley-Terry loss of quality + length heads; afterwards the quality head alone is
    the reward.
    """
    corr = _correlation(length_part, tokens), _correlation(quality, tokens)
    return weight * (1.0 - corr[0] + corr[1].abs())


def _correlation(x: Tensor, y: Tensor) -> Tensor:
    x, y = x - x.mean(), y.to(x.dtype) - y.to(x.dtype).mean()
    return (x * y).sum() / (x.norm() * y.norm()).clamp(min=1e-12)


def weighted_mean(losses: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of losses over the last axis by reliability weights; all-zero weights give 0."""
    if weights is None:
        return losses.mean(-1)
    return (losses * weights).sum(-1) / weights.sum(-1).clamp(min=1e-12)


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
