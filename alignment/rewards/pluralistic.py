"""More than one taste (R14): mixtures of Bradley-Terry by EM, routed mixtures, ideal points, a
variational user latent.

Gaps are r(chosen) - r(rejected) under each of K rewards, `(K, P)`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from . import linear
from .losses import bradley_terry


def mixture_nll(gaps: Tensor, log_weights: Tensor, soft_label: Tensor | float = 1.0) -> Tensor:
    """-log sum_k weight_k P_k(pair) (MiCRo, arXiv 2505.24846), `(P,)`; `log_weights` `(P, K)` or
    `(K,)`. One group is R1.
    """
    p = soft_label * torch.sigmoid(gaps) + (1.0 - soft_label) * torch.sigmoid(-gaps)
    weights = log_weights.expand(gaps.shape[1], -1)
    return -(p.clamp(min=1e-30).log().T + weights).logsumexp(1)


def responsibilities(gaps: Tensor, user: Tensor, users: int, log_prior: Tensor) -> Tensor:
    """P(group | all judgments of a user), `(U, K)`: the E-step of MaxMin-RLHF (arXiv 2402.08925
    alg. 2). `user` `(P,)` numbers; a user without judgments has the prior.
    """
    per_pair = logsigmoid(gaps).T
    total = torch.zeros(users, gaps.shape[0], dtype=gaps.dtype).index_add_(0, user, per_pair)
    return (total + log_prior).softmax(1)


def fit_mixture(
    problem: linear.Problem,
    groups: int,
    l2: float = 1.0,
    *,
    steps: int = 30,
    starts: int = 5,
    seed: int = 0,
) -> tuple[Tensor, Tensor, list[float]]:
    """EM for K linear rewards on frozen features, users as the clusters of `problem`: weights `(K,
    d)`, responsibilities `(U, K)`, log-likelihood a step of the best start.

    The M-step fits all K heads at once by `linear.fit`, each user weighed by their responsibility.
    One group is the plain fit.
    """
    users = problem.n_clusters
    best: tuple[Tensor, Tensor, list[float]] | None = None
    for start in range(starts if groups > 1 else 1):
        generator = torch.Generator().manual_seed(seed + start)
        r = torch.rand(users, groups, generator=generator).pow(4.0) + 1e-3
        r = r / r.sum(1, keepdim=True)
        history: list[float] = []
        weights = None
        for _ in range(steps):
            warm = None if weights is None else (weights, torch.zeros(groups))
            weights, _ = linear.fit(problem, l2, r.T.contiguous(), start=warm)
            log_prior = r.mean(0).clamp(min=1e-12).log()
            fitness = _log_likelihood(problem, weights)
            per_user = torch.zeros(users, groups).index_add_(0, problem.pair_cluster, fitness.T)
            # The ridge is part of what EM climbs.
            value = (per_user + log_prior).logsumexp(1).sum() - 0.5 * l2 * (weights**2).sum()
            r = (per_user + log_prior).softmax(1)
            history.append(float(value))
            if len(history) > 1 and abs(history[-1] - history[-2]) < 1e-4 * abs(history[-2]):
                break
        if best is None or history[-1] > best[2][-1]:
            best = weights, r, history
    return best


def _log_likelihood(problem: linear.Problem, weights: Tensor) -> Tensor:
    """What the M-step climbs for each group and pair, `(K, P)`."""
    gaps = weights @ (problem.chosen - problem.rejected).T
    losses = bradley_terry(
        gaps,
        torch.zeros_like(gaps),
        soft_label=problem.soft_label,
        label_smoothing=problem.label_smoothing,
        strength=problem.strength,
    )
    return -problem.pair_weight * losses


def worst_group(rewards: Tensor) -> Tensor:
    """MaxMin's reward, min over groups of the mean reward (arXiv 2402.08925 eq. 8): a scalar from
    `(K, N)`; its gradient reaches the worst-off group alone.
    """
    return rewards.mean(1).min()


def group_weights(weights: Tensor, mean_rewards: Tensor, step: float) -> Tensor:
    """Exponentiated weights that grow for groups badly served, `(K,)`, the smooth form of
    `worst_group` (group DRO, arXiv 1911.08731 alg. 1).
    """
    return (weights.clamp(min=1e-30).log() - step * mean_rewards).softmax(0)


def ideal_point_reward(features: Tensor, prototypes: Tensor, weights: Tensor) -> Tensor:
    """PAL's reward (arXiv 2406.08469): -|f - z|^2, z the user's convex mix of K ideal points,
    `(B,)`.

    Features `(B, d)`, prototypes `(K, d)`, weights `(B, K)` on the simplex. A gap of two answers is
    linear in z.
    """
    return -((features - weights @ prototypes) ** 2).sum(-1)


def user_latent_loss(gap: Tensor, mean: Tensor, log_var: Tensor, kl_weight: float = 0.01) -> Tensor:
    """VPL (arXiv 2408.10075 eq. 4): -log s(gap under a sampled latent) + kl_weight KL(N(mean, var),
    N(0, 1)), `(P,)`.

    `mean`, `log_var` `(P, z)` from an encoder of the user's other judgments; `sample_latent` draws.
    """
    kl = 0.5 * (mean**2 + log_var.exp() - 1.0 - log_var).sum(-1)
    return -logsigmoid(gap) + kl_weight * kl


def sample_latent(mean: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
    """mean + std x noise, differentiable in both."""
    return mean + (0.5 * log_var).exp() * noise


def of_user(problem: linear.Problem, user: int) -> linear.Problem:
    """The pairs of one user alone, for a reward of their own."""
    keep = problem.pair_cluster == user
    names = ("chosen", "rejected", "soft_label", "pair_weight", "strength", "pair_cluster")
    return replace(problem, **{n: getattr(problem, n)[keep] for n in names})
