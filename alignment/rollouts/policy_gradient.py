"""Policy-gradient losses on sampled answers (L1 to L3): PPO and its value loss, the GRPO family,
P3O.

Token tensors `(N, T)`, `mask` True = keep; `old_logps` are those of the policy that sampled. Losses
are scalars unless said otherwise, since how tokens and answers are averaged is part of the method.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .kl import k3

AGGREGATES = ("sequence", "token", "constant")


def aggregate(
    values: Tensor, mask: Tensor, how: str = "sequence", *, length: int | None = None
) -> Tensor:
    """Mean of token values, a scalar.

    "sequence": mean over answers of their token means (GRPO, arXiv 2402.03300 eq. 3); "token": mean
    over all tokens (DAPO, arXiv 2503.14476 eq. 8); "constant": sum over `length` x answers (Dr.
    GRPO, arXiv 2503.20783): a token counts the same in a short answer as in a long one, so there is
    no bias by length.
    """
    keep = mask.to(values.dtype)
    if how == "sequence":
        return ((values * keep).sum(1) / keep.sum(1).clamp(min=1.0)).mean()
    if how == "token":
        return (values * keep).sum() / keep.sum().clamp(min=1.0)
    if how == "constant":
        if length is None:
            raise ValueError("the constant aggregate needs length, the most tokens of an answer")
        return (values * keep).sum() / (len(values) * length)
    raise ValueError(f"unknown aggregate {how!r}; known: {', '.join(AGGREGATES)}")


def clipped(
    logps: Tensor,
    old_logps: Tensor,
    advantages: Tensor,
    *,
    clip: float = 0.2,
    clip_high: float | None = None,
    dual: float | None = None,
) -> Tensor:
    """PPO's surrogate, -min(rho A, clip(rho, 1 - clip, 1 + clip_high) A) (arXiv 1707.06347 eq. 7),
    elementwise; rho = pi/old.

    `clip_high` > `clip` is DAPO's clip-higher (arXiv 2503.14476 section 3.1). `dual` c > 1 bounds
    the loss of bad tokens of large ratio by -c A (dual clip, arXiv 1912.09729 eq. 5). A
    sequence-level ratio is had by passing sums over tokens (mean: GSPO, arXiv 2507.18071 eq. 7).
    """
    ratio = (logps - old_logps).exp()
    high = clip if clip_high is None else clip_high
    loss = -torch.minimum(ratio * advantages, ratio.clamp(1.0 - clip, 1.0 + high) * advantages)
    if dual is not None:
        loss = torch.where(advantages < 0, torch.minimum(loss, -dual * advantages), loss)
    return loss


def ppo(
    logps: Tensor,
    old_logps: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip: float = 0.2,
    clip_high: float | None = None,
    dual: float | None = None,
    ref_logps: Tensor | None = None,
    kl_weight: float = 0.0,
    weights: Tensor | None = None,
    how: str = "token",
    length: int | None = None,
) -> Tensor:
    """The clipped surrogate, times importance `weights` of engine against trainer, plus kl_weight x
    k3 to the reference, averaged by `aggregate`; a scalar.

    `advantages` `(N, T)`, or `(N,)` for one value an answer (GRPO, RLOO, ReMax). PPO-max keeps the
    KL in the reward instead (`advantages.token_rewards`) and adds a likelihood of pretraining text
    to the loss (arXiv 2307.04964 section 5.3).
    """
    if advantages.dim() == 1:
        advantages = advantages[:, None]
    losses = clipped(logps, old_logps, advantages, clip=clip, clip_high=clip_high, dual=dual)
    if weights is not None:
        losses = losses * weights
    if kl_weight:
        if ref_logps is None:
            raise ValueError("a KL weight needs ref_logps")
        losses = losses + kl_weight * k3((logps - ref_logps).clamp(min=-20.0))
    return aggregate(losses, mask, how, length=length)


def value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    *,
    clip: float | None = 0.2,
) -> Tensor:
    """Half the larger of the squared errors of the value and of the value held within `clip` of the
    old one, token mean (PPO-max, arXiv 2307.04964 section 5.3.2); a scalar.
    """
    error = (values - returns) ** 2
    if clip is not None:
        held = old_values + (values - old_values).clamp(-clip, clip)
        error = torch.maximum(error, (held - returns) ** 2)
    return 0.5 * aggregate(error, mask, "token")


def p3o(
    logps: Tensor,
    old_logps: Tensor,
    rewards: Tensor,
    *,
    clip: float = 0.2,
    form: str = "joint",
) -> Tensor:
    """P3O (arXiv 2310.00212), pairs of samples of one prompt: a policy gradient from the difference
    of their rewards, `(P,)`. All inputs `(P, 2)`, log-probabilities of whole answers.

    "separate": PPO's surrogate of each answer with A = +-(r_1 - r_2)/2. "joint": -A rho_1 rho_2 x
    log (pi_1/pi_2), the joint ratio held constant and the pair dropped once log(rho_1/rho_2) is
    past +-log(1 + clip) in the direction of A; a surrogate. Neither changes when a number is added
    to both rewards; on policy both have the gradient of leave-one-out with K = 2.
    """
    gap = (rewards[:, 0] - rewards[:, 1]) / 2.0
    if form == "separate":
        both = torch.stack([gap, -gap], 1)
        return clipped(logps, old_logps, both, clip=clip).sum(1)
    if form != "joint":
        raise ValueError(f"unknown form {form!r}; known: joint, separate")
    ratios = logps - old_logps
    weight = ratios.sum(1).detach().clamp(max=20.0).exp()
    moved = (ratios[:, 0] - ratios[:, 1]).detach() * gap.sign()
    inside = moved <= torch.log1p(torch.as_tensor(clip, dtype=logps.dtype))
    return torch.where(inside, -gap * weight * (logps[:, 0] - logps[:, 1]), gap * 0.0)


def clip_share(logps: Tensor, old_logps: Tensor, mask: Tensor, clip: float = 0.2) -> Tensor:
    """Share of kept tokens whose ratio is outside the window, a scalar without gradient."""
    ratio = (logps - old_logps).detach().exp()
    outside = ((ratio - 1.0).abs() > clip) & mask.bool()
    return outside.sum() / mask.sum().clamp(min=1)


def engine_weights(
    trainer_logps: Tensor,
    engine_logps: Tensor,
    mask: Tensor,
    *,
    level: str = "token",
    mode: str = "truncate",
    low: float | None = None,
    high: float | None = 3.0,
) -> Tensor:
    """Importance weights pi_trainer/pi_engine of sampled tokens, for an engine whose numbers differ
    from the trainer's; no gradient, 0 where masked.

    Both are log-probabilities of the same weights, before any update. `level="sequence"` gives all
    tokens of an answer the product. "truncate" holds weights within [low, high] (truncated
    importance sampling, Ionides 2008: bounded variance, bias only where the two disagree much),
    "mask" drops what is outside. NaN in `engine_logps`, a token without a value, has weight 1.
    """
    keep = mask.bool()
    gap = torch.nan_to_num(trainer_logps - engine_logps, nan=0.0).detach() * keep
    if level == "sequence":
        gap = gap.sum(1, keepdim=True).expand_as(gap)
    elif level != "token":
        raise ValueError(f"unknown level {level!r}; known: token, sequence")
    weights = gap.clamp(max=80.0).exp()
    if mode == "truncate":
        if low is not None or high is not None:
            weights = weights.clamp(min=low, max=high)
    elif mode == "mask":
        outside = weights > (torch.inf if high is None else high)
        outside = outside | (weights < (-torch.inf if low is None else low))
        weights = weights.masked_fill(outside, 0.0)
    else:
        raise ValueError(f"unknown mode {mode!r}; known: truncate, mask")
    return weights * keep


def effective_samples(weights: Tensor) -> Tensor:
    """(sum w)^2 / sum w^2 of importance weights: how many equal ones they are worth."""
    return weights.sum() ** 2 / (weights**2).sum().clamp(min=1e-30)
