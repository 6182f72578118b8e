"""What a simulation reports: the gold reward of a policy, and how it compares with the first one.

Every number is paired by prompt: both policies answer the same held-out prompts, and whole prompts
are resampled for the intervals, so that easy and hard prompts do not add noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean

from alignment.lab.gold import Taste
from alignment.stats import bootstrap_mean, wins

Answers = Mapping[str, Sequence[str]]
"""Prompt to its sampled answers."""


@dataclass(frozen=True)
class Comparison:
    """Gold reward of a policy and of the first one on the same prompts, with 95 % intervals."""

    prompts: int
    gold_mean: float
    gold_ci: tuple[float, float]
    gain: float
    gain_ci: tuple[float, float]
    win_rate: float
    win_rate_ci: tuple[float, float]


def gold_of(taste: Taste, answers: Answers) -> dict[str, list[float]]:
    """Gold reward of every answer, by prompt."""
    return {prompt: [taste.of(prompt, text) for text in texts] for prompt, texts in answers.items()}


def compare(
    policy: Mapping[str, Sequence[float]],
    first: Mapping[str, Sequence[float]],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare rewards by prompt of a policy with those of the first policy.

    The win rate counts every answer of the one against every answer of the other to the same
    prompt, ties as halves. Raises ValueError when the two did not answer the same prompts.
    """
    if policy.keys() != first.keys():
        raise ValueError("both policies must have answered the same prompts")
    prompts = sorted(policy)
    if not prompts or any(not policy[p] or not first[p] for p in prompts):
        raise ValueError("every prompt needs at least one answer of each policy")
    means = [fmean(policy[p]) for p in prompts]
    gains = [mean - fmean(first[p]) for mean, p in zip(means, prompts, strict=True)]
    won = [
        float(wins(*map(list, zip(*product(policy[p], first[p]), strict=True)), tie=1e-9).mean())
        for p in prompts
    ]
    mean, low, high = bootstrap_mean(means, draws=draws, seed=seed)
    gain, gain_low, gain_high = bootstrap_mean(gains, draws=draws, seed=seed)
    rate, rate_low, rate_high = bootstrap_mean(won, draws=draws, seed=seed)
    return Comparison(
        prompts=len(prompts),
        gold_mean=mean,
        gold_ci=(low, high),
        gain=gain,
        gain_ci=(gain_low, gain_high),
        win_rate=rate,
        win_rate_ci=(max(rate_low, 0.0), min(rate_high, 1.0)),
    )


def words_of(answers: Answers) -> float:
    """Mean number of words of an answer."""
    return fmean(len(text.split()) for texts in answers.values() for text in texts)
