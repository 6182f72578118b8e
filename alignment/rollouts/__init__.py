"""What is done with sampled answers: where they come from, KL estimates, advantages, selection,
pairs.

No torch is loaded here; the losses are in `policy_gradient`.
"""

from .advantages import gae, grpo, leave_signal, pairwise, remax, rloo, token_rewards
from .interface import InProcess, OpenAIEngine, Rollout, Sampler, Sampling
from .kl import KLBudget, chi_squared, k1, k2, k3, per_answer
from .pairs import Pair, by_prompt, choose, most_disputed, preference_row
from .selection import best_of, filter_ranked, rejection_sample, rso_pairs, top_share

__all__ = [
    "InProcess",
    "KLBudget",
    "OpenAIEngine",
    "Pair",
    "Rollout",
    "Sampler",
    "Sampling",
    "best_of",
    "by_prompt",
    "chi_squared",
    "choose",
    "filter_ranked",
    "gae",
    "grpo",
    "k1",
    "k2",
    "k3",
    "leave_signal",
    "most_disputed",
    "pairwise",
    "per_answer",
    "preference_row",
    "rejection_sample",
    "remax",
    "rloo",
    "rso_pairs",
    "token_rewards",
    "top_share",
]
