"""How far people who mark stretches of a text agree.

A mark is (start, end, category): code points, end exclusive. Severity is left aside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from .agreement import DRAWS, Estimate, _percentiles, alpha_of_patterns

Mark = tuple[int, int, str]
Marks = Mapping[object, Mapping[object, Sequence[Mark]]]

_WORD = re.compile(r"\S+")


def character_f1(first: Iterable[Mark], second: Iterable[Mark]) -> tuple[int, int]:
    """(2 x shared, total) of marked characters, a character counting once a category; F1 is
    their ratio."""
    one, two = _characters(first), _characters(second)
    return 2 * len(one & two), len(one) + len(two)


def exact_f1(first: Iterable[Mark], second: Iterable[Mark]) -> tuple[int, int]:
    """(2 x shared, total) of marks that are the same in place and category."""
    one, two = set(first), set(second)
    return 2 * len(one & two), len(one) + len(two)


def token_f1(first: Iterable[Mark], second: Iterable[Mark], text: str) -> tuple[int, int]:
    """As `character_f1`, for words: a word counts when any of it is marked."""
    words = [match.span() for match in _WORD.finditer(text)]
    one, two = _words(first, words), _words(second, words)
    return 2 * len(one & two), len(one) + len(two)


def _characters(marks: Iterable[Mark]) -> set[tuple[int, str]]:
    return {(place, category) for start, end, category in marks for place in range(start, end)}


def _words(marks: Iterable[Mark], words: list[tuple[int, int]]) -> set[tuple[int, str]]:
    return {
        (n, category)
        for start, end, category in marks
        for n, (begin, stop) in enumerate(words)
        if start < stop and begin < end
    }


def f1(texts: Marks, measure=character_f1, contents: Mapping | None = None) -> Estimate:
    """F1 of every two people over every text they share, pooled; the interval resamples texts.

    `texts[text][person]` are the marks of someone who read the text, none too. Two people who both
    marked nothing agree, but add nothing to mark and so nothing to F1. `contents[text]` is handed
    to a measure that needs the words (`token_f1`).
    """
    rows, pairs = [], 0
    for key, people in texts.items():
        extra = () if contents is None else (contents[key],)
        shared = total = 0
        for first, second in combinations(people.values(), 2):
            pairs += 1
            found = measure(first, second, *extra)
            shared, total = shared + found[0], total + found[1]
        if total:
            rows.append((shared, total))
    if not rows:
        return Estimate(None, pairs=pairs)
    table = np.array(rows, dtype=float)
    interval = (None, None)
    if len(table) > 1:
        rng = np.random.default_rng(0)
        picks = rng.integers(0, len(table), size=(DRAWS, len(table)))
        interval = _percentiles(table[picks, 0].sum(1) / table[picks, 1].sum(1))
    return Estimate.of(table[:, 0].sum() / table[:, 1].sum(), interval, len(table), pairs)


def character_alpha(texts: Marks, lengths: Mapping[object, int]) -> Estimate:
    """Krippendorff's nominal alpha over characters, marked or not, whatever the category.

    Chance counts here: people who mark half of every text share much by accident. `lengths` are
    in code points. The interval resamples texts.
    """
    tables, owners = [], []
    for number, (key, people) in enumerate(texts.items()):
        if len(people) < 2 or not lengths[key]:
            continue
        marked = np.zeros(lengths[key], dtype=np.int64)
        for marks in people.values():
            own = np.zeros(lengths[key], dtype=bool)
            for start, end, _ in marks:
                own[start:end] = True
            marked += own
        times = np.bincount(marked, minlength=len(people) + 1)
        for how_many in np.flatnonzero(times):
            tables.append((len(people) - how_many, how_many, times[how_many]))
            owners.append(number)
    if not tables:
        return Estimate(None)
    found = np.array(tables)
    patterns, times, owners = found[:, :2], found[:, 2], np.unique(owners, return_inverse=True)[1]
    texts_n = int(owners.max()) + 1
    value = alpha_of_patterns(patterns, times[None, :], "nominal", (0, 1))[0]
    rng = np.random.default_rng(0)
    weights = rng.multinomial(texts_n, np.full(texts_n, 1 / texts_n), size=DRAWS)
    draws = alpha_of_patterns(patterns, weights[:, owners] * times, "nominal", (0, 1))
    interval = _percentiles(draws) if texts_n > 1 else (None, None)
    return Estimate.of(value, interval, texts_n, int(times.sum()))


def gamma(
    texts: Marks,
    lengths: Mapping[object, int],
    *,
    draws: int = 30,
    most_texts: int = 200,
    seed: int = 0,
) -> Estimate:
    """Agreement of two-by-two alignments after Mathet, Widloecher and Metivier (2015): 1 - observed
    disorder / disorder by chance, averaged over texts by their marks.

    Marks of two people are aligned at least cost (their eq. 3, by scipy's assignment): a couple
    costs ((|start gap| + |end gap|) / (sum of lengths))^2 plus 1 where categories differ, a mark
    left alone 1. Chance is the same marks, each person's moved around the text by a random step.
    Where the paper aligns all people at once, this takes them two at a time.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for key, people in texts.items():
        if len(rows) >= most_texts:
            break
        length = lengths[key]
        for first, second in combinations(people.values(), 2):
            marks = len(first) + len(second)
            if not marks or length < 2 or not first or not second:
                if marks:
                    rows.append((marks, 1.0, 1.0))
                continue
            one, two = _table(first, second), _table(second, first)
            chance = np.mean(
                [
                    _disorder(_moved(one, length, rng), _moved(two, length, rng))
                    for _ in range(draws)
                ]
            )
            rows.append((marks, disorder(first, second), float(chance)))
    if not rows:
        return Estimate(None)
    table = np.array(rows)
    expected = (table[:, 0] * table[:, 2]).sum()
    if expected == 0:
        return Estimate(None, units=len(rows), pairs=len(rows))
    value = 1 - (table[:, 0] * table[:, 1]).sum() / expected
    picks = np.random.default_rng(0).integers(0, len(table), size=(DRAWS, len(table)))
    weighted = table[:, :1] * table[:, 1:]
    drawn = weighted[picks].sum(1)
    interval = _percentiles(1 - drawn[:, 0] / drawn[:, 1]) if len(table) > 1 else (None, None)
    return Estimate.of(value, interval, len(rows), len(rows))


def disorder(first: Sequence[Mark], second: Sequence[Mark]) -> float:
    """The cost of the best alignment of two people's marks, over their mean number of marks."""
    return _disorder(_table(first, second), _table(second, first))


def _table(marks: Sequence[Mark], others: Sequence[Mark]) -> np.ndarray:
    """Marks as numbers, `(marks, 3)`: start, end, category by its place among those of both."""
    names = {name: n for n, name in enumerate(sorted({m[2] for m in (*marks, *others)}))}
    rows = [(start, end, names[name]) for start, end, name in marks]
    return np.array(rows, dtype=float).reshape(-1, 3)


def _disorder(one: np.ndarray, two: np.ndarray) -> float:
    """As `disorder`. A couple that costs more than two marks alone is never made, so couples are
    priced at what they save, and alone is what is left: the same least cost from a matrix of
    marks by marks."""
    from scipy.optimize import linear_sum_assignment

    gap = np.abs(one[:, None, :2] - two[None, :, :2]).sum(2)
    reach = (one[:, 1] - one[:, 0])[:, None] + (two[:, 1] - two[:, 0])[None, :]
    apart = (gap / reach) ** 2 + (one[:, None, 2] != two[None, :, 2])
    saved = np.minimum(apart - 2, 0.0)
    rows, columns = linear_sum_assignment(saved)
    size = len(one) + len(two)
    return float((size + saved[rows, columns].sum()) / (size / 2))


def _moved(marks: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """One person's marks moved around the text by one random step."""
    starts = (marks[:, 0] + int(rng.integers(0, length))) % length
    return np.stack([starts, starts + marks[:, 1] - marks[:, 0], marks[:, 2]], axis=1)
