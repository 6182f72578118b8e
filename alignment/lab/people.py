"""Simulated annotators and users with a hidden taste.

An annotator compares two answers by the Bradley-Terry model on his own version of the taste: the
better one is preferred with probability ``sigmoid(gap / temperature)``. Each has his own
temperature, a few are sloppy, and the people of a control answer at random whatever they read.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from alignment.lab.gold import TASTES, Prompt, Taste

STRENGTH_GAPS = (0.7, 1.5)
"""Gaps of the perceived reward from which a preference is 'clear' (2) and 'much' (3)."""


def sigmoid(value: float) -> float:
    """Logistic function, safe for any finite value."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    return math.exp(value) / (1.0 + math.exp(value))


@dataclass(frozen=True)
class Verdict:
    """A pairwise judgment; ``preferred`` is the place (0 or 1) in the order shown."""

    outcome: str
    preferred: int | None = None
    strength: int = 1


@dataclass(frozen=True)
class Annotator:
    """Somebody who compares answers.

    Attributes:
        taste: his own version of the hidden taste.
        temperature: noise of a comparison, in units of the reward; 0 means no noise.
        tie_band: gaps smaller than this are called a tie.
        unusable: when both answers score below this, they are called bad.
        sloppy: share of judgments given without reading, by the toss of a coin.
        side_bias: reward added to the answer shown first.
    """

    name: str
    taste: Taste
    temperature: float = 0.5
    tie_band: float = 0.1
    unusable: float = -2.0
    sloppy: float = 0.0
    side_bias: float = 0.0

    def judge(self, prompt: Prompt, answers: Sequence[str], rng: random.Random) -> Verdict:
        """Compare the two answers, in the order shown."""
        first, second = answers
        if rng.random() < self.sloppy:
            return Verdict("preferred", rng.randrange(2), rng.randint(1, 3))
        rewards = [self.taste.of(prompt, text) for text in (first, second)]
        if max(rewards) < self.unusable:
            return Verdict("both_bad")
        gap = rewards[0] - rewards[1] + self.side_bias
        if abs(gap) < self.tie_band:
            return Verdict("tie")
        likes_first = rng.random() < self.prefers_first(gap)
        strength = 1 + sum(abs(gap) >= bound for bound in STRENGTH_GAPS)
        # A choice against his own taste is a slip, and slips are made half-heartedly.
        if likes_first != (gap > 0):
            strength = 1
        return Verdict("preferred", 0 if likes_first else 1, strength)

    def prefers_first(self, gap: float) -> float:
        """Probability of choosing the first answer when it is better by ``gap``."""
        if self.temperature == 0:
            return float(gap > 0)
        return sigmoid(gap / self.temperature)


@dataclass(frozen=True)
class Response:
    """What a user does after reading an answer; None where nothing is clicked."""

    reaction: str | None = None
    retracts: bool = False
    regenerates: bool = False


@dataclass(frozen=True)
class User:
    """Somebody who chats.

    Attributes:
        talkative: share of answers that get a reaction at all.
        level: reward at which liking and disliking are equally likely.
        fickle: share of reactions taken back.
        retries: share of disliked answers that are asked for again.
        at_random: reactions by the toss of a coin, as in a control.
    """

    name: str
    taste: Taste
    talkative: float = 0.75
    level: float = 0.0
    temperature: float = 0.4
    fickle: float = 0.06
    retries: float = 0.25
    at_random: bool = False

    def respond(self, prompt: Prompt, answer: str, rng: random.Random) -> Response:
        """React to an answer, or not."""
        reward = self.taste.of(prompt, answer)
        likes = 0.5 if self.at_random else sigmoid((reward - self.level) / self.temperature)
        happy = rng.random() < likes
        loves = rng.random() < (0.5 if self.at_random else sigmoid(reward - self.level - 1.0))
        reacts, retracts = rng.random() < self.talkative, rng.random() < self.fickle
        regenerates = not happy and rng.random() < self.retries
        if not reacts:
            return Response(regenerates=regenerates)
        reaction = ("love" if loves else "like") if happy else "dislike"
        return Response(reaction, retracts, regenerates)


def annotators(
    count: int, seed: int, taste: str = "kind", control: bool = False
) -> list[Annotator]:
    """A team: each his own taste and noise, about one in six sloppy; at random when a control."""
    rng = random.Random(f"annotators {seed}")
    team = []
    for index in range(count):
        team.append(
            Annotator(
                name=f"annotator-{index + 1}",
                taste=TASTES[taste].jittered(rng),
                temperature=0.4 * math.exp(rng.gauss(0.0, 0.3)),
                sloppy=1.0 if control else 0.5 if index % 6 == 5 else 0.02,
                side_bias=rng.gauss(0.0, 0.1),
            )
        )
    return team


def users(count: int, seed: int, taste: str = "kind", control: bool = False) -> list[User]:
    """People who chat: each his own taste, talkativeness and level."""
    rng = random.Random(f"users {seed}")
    return [
        User(
            name=f"user-{index + 1}",
            taste=TASTES[taste].jittered(rng),
            talkative=rng.uniform(0.55, 0.95),
            level=rng.gauss(0.0, 0.2),
            at_random=control,
        )
        for index in range(count)
    ]
