"""What is done with sampled answers: KL estimates, advantages, pairs. No torch is loaded here."""

from .advantages import gae, grpo, remax, rloo
from .kl import chi_squared, k1, k2, k3
from .pairs import Pair, by_prompt, choose, most_disputed, preference_row

__all__ = [
    "Pair",
    "by_prompt",
    "chi_squared",
    "choose",
    "gae",
    "grpo",
    "k1",
    "k2",
    "k3",
    "most_disputed",
    "preference_row",
    "remax",
    "rloo",
]
