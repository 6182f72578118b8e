"""How varied a set of texts is."""

from __future__ import annotations

from collections.abc import Sequence


def distinct_n(sequences: Sequence[Sequence], n: int) -> float:
    """Distinct n-grams over all n-grams (Li et al. 2016, arXiv 1510.03055); 0 where there are none.

    `sequences` are lists of words or token ids. It falls with the amount of text, so compare equal
    amounts only.
    """
    seen: set[tuple] = set()
    total = 0
    for sequence in sequences:
        grams = [tuple(sequence[i : i + n]) for i in range(len(sequence) - n + 1)]
        seen.update(grams)
        total += len(grams)
    return len(seen) / total if total else 0.0


def distinct_share(texts: Sequence[str]) -> float:
    """Share of texts that occur once or are the first of their copies; 1 for all different, 0 for
    none.
    """
    return len(set(texts)) / len(texts) if len(texts) else 0.0
