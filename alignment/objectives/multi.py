"""Several objectives: MODPO, MAH-DPO, DPA, min-norm weights, Lagrange multipliers (M1 to M5)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from .pairwise import dpo, log_ratio_gap, soft_logistic

MOST_OBJECTIVES = 10


def modpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    other_margin: Tensor,
    beta: float = 0.1,
    weight: float = 0.5,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """MODPO (arXiv 2310.03708 eq. 10), -log s((beta D - m)/weight), `(P,)`.

    The pairs are labelled on one objective of weight `weight`; m = `other_margin` `(P,)` is the
    weighted gap of the others' rewards, sum over k of w_k (r_k(chosen) - r_k(rejected)), weights
    summing to 1 with `weight`. weight = 1 and no others is DPO.
    """
    z = beta * log_ratio_gap(chosen, rejected, ref_chosen, ref_rejected) - other_margin
    return soft_logistic(z / weight, soft_label)


def mah_dpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    labels: Tensor,
    head_mask: Tensor,
    beta: float = 0.1,
) -> Tensor:
    """MAH-DPO: mean over H objectives of DPO by the head of each on one trunk, `(P,)`.

    `(H, P)` log-probabilities under the heads; `ref_*` `(P,)` or `(H, P)`. `labels[k, i]` is
    P(first answer preferred) on objective k, `head_mask` True where objective k judged pair i. A
    pair no objective judged gives 0. One objective is DPO.
    """
    losses = dpo(chosen, rejected, ref_chosen, ref_rejected, beta=beta, soft_label=labels)
    keep = head_mask.to(losses.dtype)
    return (losses * keep).sum(0) / keep.sum(0).clamp(min=1.0)


def mix_heads(logits: Tensor, weights: Tensor) -> Tensor:
    """Decoding logits of MAH-DPO: the heads' `(H, ..., V)` mixed by a user's weights `(H,)`."""
    return torch.tensordot(weights.to(logits.dtype), logits, dims=1)


def direction(angles: Sequence[float]) -> Tensor:
    """Unit vector from spherical angles in degrees, `(n + 1,)` float64; DPA's user preference
    (arXiv 2402.18571 section 3.1). One angle a gives (cos a, sin a).
    """
    radians = torch.deg2rad(torch.tensor(list(angles), dtype=torch.float64))
    parts, rest = [], torch.ones((), dtype=torch.float64)
    for angle in radians:
        parts.append(rest * torch.cos(angle))
        rest = rest * torch.sin(angle)
    return torch.stack([*parts, rest])


def direction_prompt(values: Sequence[float], names: Sequence[str]) -> str:
    """The direction as a line of a system prompt, in hundredths, as DPA's models read it."""
    parts = [f"{name}: {round(100 * float(v))}" for name, v in zip(names, values, strict=True)]
    return "You are a helpful assistant. Your response should maximise " + ", ".join(parts) + "."


def select_along(rewards: Tensor, directions: Tensor, mask: Tensor | None = None) -> Tensor:
    """Index of the best of K samples along each prompt's direction: DPA's rejection sampling,
    `(B,)`.

    `rewards` `(B, K, m)` on comparable scales, `directions` `(B, m)` or `(m,)`.
    """
    values = (rewards * directions.reshape(-1, 1, rewards.shape[2])).sum(2)
    if mask is not None:
        values = values.masked_fill(~mask, -torch.inf)
    return values.argmax(1)


def min_norm_weights(gradients: Tensor) -> Tensor:
    """Weights on the simplex of least |sum_k w_k g_k|, `(n,)`, for gradients `(n, d)` (Desideri
    2012, multiple-gradient descent).

    The minimiser's direction descends every objective, or is 0 where none can improve without
    another (Pareto stationary). Exact: on each set of objectives held positive the least norm has a
    closed form; the best feasible set is the answer. At most 10 objectives.
    """
    n = len(gradients)
    if n > MOST_OBJECTIVES:
        raise ValueError(f"min_norm_weights is exact for at most {MOST_OBJECTIVES} objectives")
    g = gradients.detach().to(torch.float64)
    gram = g @ g.T
    best, least = torch.full((n,), 1.0 / n, dtype=torch.float64), float("inf")
    for size in range(1, n + 1):
        for chosen in itertools.combinations(range(n), size):
            index = torch.tensor(chosen)
            part = gram[index][:, index]
            # Least norm with weights summing to 1: the Lagrange system, which stays solvable where
            # gradients oppose each other and the Gram matrix has no inverse.
            system = torch.zeros(size + 1, size + 1, dtype=torch.float64)
            system[:size, :size] = part
            system[:size, size] = system[size, :size] = 1.0
            right = torch.zeros(size + 1, 1, dtype=torch.float64)
            right[size] = 1.0
            w = (torch.linalg.pinv(system, hermitian=True) @ right)[:size, 0]
            if not abs(float(w.sum()) - 1.0) < 1e-9:
                continue
            if (w < -1e-12).any():
                continue
            value = float(w @ part @ w)
            if value < least - 1e-15:
                least = value
                best = torch.zeros(n, dtype=torch.float64)
                best[index] = w.clamp(min=0.0)
    return best.to(gradients.dtype)


def noon_advantages(advantages: Tensor) -> Tensor:
    """PAMA's advantages without negative parts, max(A, 0) (arXiv 2508.07768)."""
    return advantages.clamp(min=0.0)


def constrained_reward(
    rewards: Tensor, multipliers: Tensor, thresholds: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Lagrangian of rewards that must stay below their over-optimisation points (arXiv 2310.04373
    section 4), `(...)` from `(..., n)`: sum_k w_k r_k - mu_k (r_k - threshold_k).

    All multipliers 0 leave the weighted sum.
    """
    w = torch.ones_like(multipliers) if weights is None else weights
    return (w * rewards - multipliers * (rewards - thresholds)).sum(-1)


def update_multipliers(
    multipliers: Tensor,
    mean_rewards: Tensor,
    thresholds: Tensor,
    *,
    lr: float = 0.1,
    cap: float | None = None,
) -> Tensor:
    """One projected step of dual ascent, max(0, mu + lr (mean r - threshold)), at most `cap`,
    `(n,)`.

    A multiplier that is 0 stays 0 while its reward is under the threshold.
    """
    return (multipliers + lr * (mean_rewards - thresholds)).clamp(min=0.0, max=cap)
