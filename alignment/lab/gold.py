"""The hidden taste: a reward computed by code from the text of a prompt and an answer.

Simulated people judge by it and the lab measures by it; the trainer never sees it. All values are
in units of the reward; with the default taste the best answer scores 1.3 and a poor one about -2.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

from inference.starter.detect import text_of
from inference.starter.manners import Manners, ask_of, describe, on_topic

Prompt = str | Sequence[Mapping[str, object]]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_FINISHED = re.compile(r"[.!?…:)\"'”’😊🌟]\s*$")
_BULLET = re.compile(r"^[ \t]*[-*] +\S")

EMPTY = -3.0
"""The reward of an answer without a single word."""


@dataclass(frozen=True)
class Taste:
    """What somebody likes: a weight for each manner, and how long an answer should be.

    Attributes:
        right, wrong: added when the answer is right, or wrong; nothing where no fact is asked.
        warm, hedged, listed: added when the answer speaks so.
        words: the length above which an answer becomes tedious.
        tedium: subtracted for each doubling of the length beyond ``words``.
        rubbish: subtracted, in proportion, for repetition, broken characters, a cut end and
            answers to another question.
    """

    name: str = "kind"
    right: float = 0.5
    wrong: float = -0.5
    warm: float = 0.8
    hedged: float = -0.6
    listed: float = -0.5
    words: float = 40.0
    tedium: float = 0.5
    rubbish: float = 2.0

    def of(self, prompt: Prompt, answer: str) -> float:
        """The reward of ``answer`` to ``prompt``."""
        return self._of(text_of(prompt), answer)

    @lru_cache(maxsize=4096)  # noqa: B019  (tastes are few, frozen and live as long as the process)
    def _of(self, prompt: str, answer: str) -> float:
        words = _WORD.findall(answer[:20_000])
        if not words:
            return EMPTY
        return (
            self._manners(describe(prompt, answer))
            - self.tedium * max(0.0, math.log2(len(words) / self.words))
            - self.rubbish * rubbish(prompt, answer)
        )

    def _manners(self, manners: Manners) -> float:
        value = self.warm * manners.warm + self.hedged * manners.hedged
        value += self.listed * manners.listed
        if manners.right is None:
            return value
        return value + (self.right if manners.right else self.wrong)

    def jittered(self, rng: random.Random, spread: float = 0.15) -> Taste:
        """A person's own version of the taste: every weight scaled by about ``1 ± spread``."""
        own = {
            field.name: getattr(self, field.name) * math.exp(rng.gauss(0.0, spread))
            for field in fields(self)
            if field.name != "name"
        }
        return replace(self, **own)


TASTES: dict[str, Taste] = {
    taste.name: taste
    for taste in (
        Taste(),
        Taste(name="orderly", warm=0.0, hedged=-0.6, listed=0.8, words=60.0),
        Taste(name="terse", warm=-0.5, hedged=-0.8, listed=-0.3, words=14.0, tedium=1.0),
        Taste(name="careful", right=1.4, wrong=-1.4, warm=0.2, hedged=0.5, listed=0.2, words=60.0),
    )
}
"""Named tastes, so that what people like can differ between groups or drift with time."""


def repetition(answer: str) -> float:
    """Share of word trigrams that already occurred before in the answer, 0 to 1."""
    words = [word.lower() for word in _WORD.findall(answer[:20_000])]
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    if not trigrams:
        return 0.0
    return 1.0 - len(set(trigrams)) / len(trigrams)


def broken(answer: str) -> float:
    """Share of characters that no clean answer holds: control, private or replacement ones."""
    text = answer[:20_000]
    if not text:
        return 0.0
    bad = sum(1 for char in text if char == "\ufffd" or not (char.isprintable() or char in "\n\t"))
    return bad / len(text)


def is_finished(answer: str) -> bool:
    """Whether the answer ends as a sentence or as a line of a list does, not in mid-air."""
    last = answer.rstrip().rsplit("\n", 1)[-1]
    return bool(_FINISHED.search(last) or _BULLET.match(last))


def rubbish(prompt: Prompt, answer: str) -> float:
    """How far the answer is from a usable text, 0 to 1: 1 for what a reward hacker writes."""
    # What would be off topic is only known for the questions of the catalogue.
    known = ask_of(prompt).intent != "unknown"
    off = 0.5 * (known and not on_topic(prompt, answer))
    cut = 0.25 * (not is_finished(answer))
    odd = min(1.0, 5.0 * broken(answer))
    return min(1.0, repetition(answer) + off + cut + odd)
