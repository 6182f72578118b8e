"""What is done to rewards before they are optimised (W1 to W5), as functions that compose.

Shapes are free unless named; `(B, K)` is K answers of each of B prompts. None has a gradient to
parameters: rewards are data here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def compose(*steps: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """One function that applies the steps in order; none leaves rewards as they are."""

    def run(rewards: Tensor) -> Tensor:
        for step in steps:
            rewards = step(rewards)
        return rewards

    return run


# -- W1, W2: shaping against a reference answer


def log_sigmoid(rewards: Tensor, reference: Tensor | float = 0.0) -> Tensor:
    """log s(r - r_ref) (W1, arXiv 2402.00742 eq. 5): rising in r, flat once above the reference."""
    return logsigmoid(rewards - reference)


def conjunction(rewards: Tensor, references: Tensor, dim: int = -1) -> Tensor:
    """Sum over properties of `log_sigmoid` (arXiv 2402.00742 section 4): the log-probability that
    all are good, so one bad property cannot be bought off.
    """
    return log_sigmoid(rewards, references).sum(dim)


def par(rewards: Tensor, references: Tensor, k: float = 1.0) -> Tensor:
    """Preference as reward, mean over reference answers of s(k (r - r_ref)) (W2, arXiv 2502.18770),
    in (0, 1).

    `rewards` `(B, K)`, `references` `(B, J)` rewards of J reference answers to the same prompt.
    """
    return torch.sigmoid(k * (rewards[:, :, None] - references[:, None, :])).mean(2)


# -- W3: bounds and moments


def clip(rewards: Tensor, low: float, high: float) -> Tensor:
    """Values held within [low, high]."""
    return rewards.clamp(low, high)


def clip_steps(rewards: Tensor, threshold: float) -> Tensor:
    """min(r - threshold, 0) of step rewards (the Clip of arXiv 2410.15115): no step pays, so longer
    is never better.
    """
    return (rewards - threshold).clamp(max=0.0)


def delta_steps(rewards: Tensor, mask: Tensor) -> Tensor:
    """r_t - r_(t+1), the last step keeping its own (the Delta of arXiv 2410.15115), `(B, T)`, mask
    True = keep at the left. The sum telescopes to the first step's reward, however many steps
    there are.
    """
    keep = mask.to(rewards.dtype)
    kept = rewards * keep
    following = torch.cat([kept[:, 1:], torch.zeros_like(kept[:, :1])], 1)
    return (kept - following) * keep


def whiten(rewards: Tensor, mask: Tensor | None = None, *, keep_mean: bool = False) -> Tensor:
    """(r - mean) / std over kept values, sample std; `keep_mean` adds the mean back. What is masked
    is 0 (True = keep). Equal values give 0.
    """
    keep = torch.ones_like(rewards, dtype=torch.bool) if mask is None else mask
    values = rewards[keep]
    mean = values.mean()
    std = values.std() if len(values) > 1 else values.new_ones(())
    out = (rewards - mean) / std.clamp(min=1e-8)
    return torch.where(keep, out + mean if keep_mean else out, torch.zeros_like(out))


def renormalise(rewards: Tensor, reference: Tensor) -> Tensor:
    """Rewards on the scale of reference answers' rewards: (r - mean) / std of those, so that
    several rewards can be added.
    """
    std = reference.std() if reference.numel() > 1 else reference.new_ones(())
    return (rewards - reference.mean()) / std.clamp(min=1e-8)


@dataclass
class RunningMoments:
    """Mean and variance of all rewards seen, batch by batch (Chan et al. 1983); PPO-max's
    normalisation and clipping (arXiv 2307.04964 section 5.3.1).
    """

    count: float = 0.0
    mean: float = 0.0
    m2: float = 0.0
    limit: float | None = field(default=None)

    @property
    def std(self) -> float:
        """Population standard deviation, 1 before two values are seen."""
        return (self.m2 / self.count) ** 0.5 if self.count > 1 and self.m2 > 0 else 1.0

    def update(self, rewards: Tensor) -> None:
        """Take a batch into account."""
        n = rewards.numel()
        if not n:
            return
        values = rewards.detach().to(torch.float64)
        mean = float(values.mean())
        m2 = float(((values - mean) ** 2).sum())
        gap, total = mean - self.mean, self.count + n
        self.m2 += m2 + gap * gap * self.count * n / total
        self.mean += gap * n / total
        self.count = total

    def __call__(self, rewards: Tensor) -> Tensor:
        """(r - mean) / std, within +-`limit`; call `update` first."""
        out = (rewards - self.mean) / self.std
        return out if self.limit is None else out.clamp(-self.limit, self.limit)


# -- W4: length


def length_slope(rewards: Tensor, lengths: Tensor, mask: Tensor | None = None) -> Tensor:
    """Slope of reward on length within prompts, pooled over them, a scalar; `(B, K)` each."""
    r, x = _centred(rewards, mask), _centred(lengths.to(rewards.dtype), mask)
    return (r * x).sum() / (x**2).sum().clamp(min=1e-12)


def without_length(
    rewards: Tensor,
    lengths: Tensor,
    *,
    slope: Tensor | None = None,
    per_prompt: bool = True,
    mask: Tensor | None = None,
) -> Tensor:
    """Rewards with their linear part in length taken out, `(B, K)`: r - slope (length - prompt's
    mean).

    The slope is each prompt's own least-squares slope (`per_prompt`), the pooled one, or one given,
    such as `length_slope` of a calibration set. On the rows it was fitted on, what is left has no
    correlation with length, and each prompt's mean stays.
    """
    x = _centred(lengths.to(rewards.dtype), mask)
    if slope is None and per_prompt:
        r = _centred(rewards, mask)
        slope = (r * x).sum(1, keepdim=True) / (x**2).sum(1, keepdim=True).clamp(min=1e-12)
    elif slope is None:
        slope = length_slope(rewards, lengths, mask)
    return rewards - slope * x


def length_penalty(rewards: Tensor, lengths: Tensor, weight: float, free: float = 0.0) -> Tensor:
    """r - weight x tokens beyond `free`."""
    return rewards - weight * (lengths.to(rewards.dtype) - free).clamp(min=0.0)


def _centred(values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return values - values.mean(1, keepdim=True)
    keep = mask.to(values.dtype)
    mean = (values * keep).sum(1, keepdim=True) / keep.sum(1, keepdim=True).clamp(min=1.0)
    return (values - mean) * keep


# -- W5: several rewards into one; `(..., n)` with n rewards last


def weighted(rewards: Tensor, weights: Tensor) -> Tensor:
    """sum_k w_k r_k. A unit direction as weights is DPA's reward along it (arXiv 2402.18571)."""
    return rewards @ weights.to(rewards.dtype)


def worst(rewards: Tensor) -> Tensor:
    """min_k r_k, for rewards on one scale."""
    return rewards.amin(-1)


def above_thresholds(rewards: Tensor, thresholds: Tensor, main: int = 0) -> Tensor:
    """The main reward where every other is at its threshold or above, else the sum of the
    shortfalls (negative): constraints first.
    """
    short = (rewards - thresholds).clamp(max=0.0)
    others = torch.ones(rewards.shape[-1], dtype=torch.bool)
    others[main] = False
    total = short[..., others].sum(-1)
    return torch.where(total < 0.0, total, rewards[..., main])
