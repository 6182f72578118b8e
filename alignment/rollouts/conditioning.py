"""Text that carries its own feedback (P13): control tokens, chains of hindsight, refinement.

Each function returns pieces (text, learn): the likelihood is taken where `learn` is True. Joined
and tokenised, they give the masks of `alignment.objectives.supervised`.
"""

from __future__ import annotations

from collections.abc import Sequence

Piece = tuple[str, bool]

GOOD, BAD = "<|good|>", "<|bad|>"


def conditional(
    prompt: str, answer: str, reward: float, threshold: float, good: str = GOOD, bad: str = BAD
) -> list[Piece]:
    """Conditional training (arXiv 2302.08582): a control token by the answer's reward before it; at
    decoding the good token is given. The token itself is not learned.
    """
    return [(prompt, False), (good if reward >= threshold else bad, False), (answer, True)]


def hindsight(
    prompt: str, ranked: Sequence[str], phrases: Sequence[str] | None = None
) -> list[Piece]:
    """Chain of Hindsight (arXiv 2302.02676): answers from worst to best, each after words that say
    how it ranks. `ranked` is best first; the phrases, in the order of the chain, are not
    learned.
    """
    if phrases is None:
        middle = len(ranked) - 2
        phrases = [
            "A bad answer: ",
            *("A better answer: " for _ in range(middle)),
            "A good answer: ",
        ]
        phrases = phrases[-len(ranked) :]
    if len(phrases) != len(ranked):
        raise ValueError("one phrase for each answer of the chain")
    out: list[Piece] = [(prompt, False)]
    for phrase, answer in zip(phrases, reversed(ranked), strict=True):
        out += [(phrase, False), (answer, True)]
    return out


def refinement(
    prompt: str, draft: str, critique: str, refined: str, *, learn_critique: bool = False
) -> list[Piece]:
    """DRESS-style refinement (arXiv 2311.10081): given a draft and what was said about it, the
    refined answer is learned, never the draft.
    """
    return [
        (prompt, False),
        (draft, False),
        (critique, learn_critique),
        (refined, True),
    ]


def token_mask(pieces: Sequence[Piece], lengths: Sequence[int]) -> list[bool]:
    """True for tokens to learn, from the pieces' lengths in tokens."""
    return [learn for (_, learn), n in zip(pieces, lengths, strict=True) for _ in range(n)]
