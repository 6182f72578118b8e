"""How far two answers to the same task agree, 0 to 1: with a gold answer, with oneself on a
repeat, with another person.

Bodies name candidates by place from 0, as gold answers are stored; `placed` makes such a body of
one that names them by id. A score is None where nothing can be compared, as between free texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from .spans import character_f1

#: At this score an answer counts as the gold answer. Half a point (a tie where one is better) is
#: not enough.
RIGHT = 0.75

#: Fields of a body that hold candidates, beside those in lists.
_NAMED = ("preferred", "closer", "anchor", "candidate")


def placed(body: object, places: Mapping[int, int]) -> object:
    """The body with every candidate id replaced by its place; unknown ids stay as they are."""
    if isinstance(body, list):
        return [placed(item, places) for item in body]
    if not isinstance(body, Mapping):
        return body
    found = {}
    for name, value in body.items():
        if name in _NAMED and isinstance(value, int):
            found[name] = places.get(value, value)
        elif name == "unusable" and isinstance(value, list):
            found[name] = [places.get(c, c) for c in value]
        elif name == "ranking" and isinstance(value, list):
            found[name] = [[places.get(c, c) for c in group] for group in value]
        else:
            found[name] = placed(value, places)
    return found


def score(kinds: str | Sequence[str], given: Mapping, gold: Mapping) -> float | None:
    """How far `given` agrees with `gold`: the mean over the kinds asked that can be compared.

    The first kind lies in the body itself, each further one under `also`.
    """
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    found = []
    for n, name in enumerate(names):
        one, two = (body if n == 0 else _also(body, name) for body in (given, gold))
        if name in SCORES and isinstance(one, Mapping) and isinstance(two, Mapping):
            found.append(SCORES[name](one, two))
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known else None


def _also(body: Mapping, kind: str) -> object:
    also = body.get("also")
    return also.get(kind) if isinstance(also, Mapping) else None


def is_right(value: float | None) -> bool | None:
    """Whether a score counts as right; None for no score."""
    return None if value is None else value >= RIGHT


def disagreement(kinds: str | Sequence[str], bodies: Sequence[Mapping]) -> float | None:
    """1 less the mean score of every two answers to one task; None for fewer than two."""
    found = [score(kinds, one, two) for one, two in combinations(bodies, 2)]
    known = [value for value in found if value is not None]
    return 1 - sum(known) / len(known) if known else None


# One score a kind ---------------------------------------------------------------------------


def _choice(given: Mapping, gold: Mapping) -> float | None:
    """1 for the same choice, a half between a tie and anything next to it, else 0."""
    one, two = given.get("outcome"), gold.get("outcome")
    if one is None or two is None:
        return None
    if one == two:
        return float(one != "preferred" or given.get("preferred") == gold.get("preferred"))
    return 0.5 if "tie" in (one, two) else 0.0


def _pairwise(given: Mapping, gold: Mapping) -> float | None:
    return _choice(given, gold)


def _listwise(given: Mapping, gold: Mapping) -> float | None:
    """The share of pairs of candidates in the same order: (Kendall's tau + 1) / 2 without ties; a
    pair tied in one of the two counts half."""
    one, two = _places(given), _places(gold)
    pairs = list(combinations(sorted(set(one) & set(two)), 2))
    if not pairs:
        return None
    total = 0.0
    for a, b in pairs:
        first, second = _sign(one[a] - one[b]), _sign(two[a] - two[b])
        total += 1.0 if first == second else 0.5 if 0 in (first, second) else 0.0
    return total / len(pairs)


def _places(body: Mapping) -> dict[int, int]:
    groups = list(body.get("ranking") or [])
    places = {c: n for n, group in enumerate(groups) for c in group}
    return places | {c: len(groups) for c in body.get("unusable") or []}


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _span(given: Mapping, gold: Mapping) -> float | None:
    """F1 of marked characters by candidate and category, with each thing missing as one more."""
    if "spans" not in given or "spans" not in gold:
        return None
    shared = total = 0
    one, two = _by_candidate(given), _by_candidate(gold)
    for candidate in set(one) | set(two):
        found = character_f1(one.get(candidate, []), two.get(candidate, []))
        shared, total = shared + found[0], total + found[1]
    first, second = _missing(given), _missing(gold)
    shared, total = shared + 2 * len(first & second), total + len(first) + len(second)
    return shared / total if total else 1.0


def _by_candidate(body: Mapping) -> dict:
    found: dict = {}
    for mark in body.get("spans") or []:
        row = (mark["start"], mark["end"], mark["category"])
        found.setdefault(mark["candidate"], []).append(row)
    return found


def _missing(body: Mapping) -> set:
    return {(m["candidate"], m["category"]) for m in body.get("missing") or []}


def _graded(name: str, keys: Sequence[str], value: str, reach: float) -> Callable:
    """Scores lists of values of things: 1 less the mean distance over `reach`, over what the two
    share."""

    def compare(given: Mapping, gold: Mapping) -> float | None:
        one, two = ({_key(item, keys): item[value] for item in body.get(name) or []}
                    for body in (given, gold))  # fmt: skip
        both = set(one) & set(two)
        if not both:
            return None
        return 1 - sum(abs(one[k] - two[k]) for k in both) / reach / len(both)

    return compare


def _principle(given: Mapping, gold: Mapping) -> float | None:
    """The share of verdicts that are the same, of those both gave."""
    one, two = (
        {_key(v, ("candidate", "principle")): v["verdict"] for v in body.get("verdicts") or []}
        for body in (given, gold)
    )
    both = set(one) & set(two)
    return sum(one[k] == two[k] for k in both) / len(both) if both else None


def _key(item: Mapping, names: Sequence[str]) -> tuple:
    return tuple(str(item.get(name)) for name in names)


_harm = _graded("harm", ("candidate",), "level", 3)


def _safety(given: Mapping, gold: Mapping) -> float | None:
    """The mean of which is more helpful, which is safer, and how harmful each is."""
    found = [_harm(given, gold)]
    for name in ("helpful", "safer"):
        if isinstance(given.get(name), Mapping) and isinstance(gold.get(name), Mapping):
            found.append(_choice(given[name], gold[name]))
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known else None


def _triplet(given: Mapping, gold: Mapping) -> float | None:
    """1 for the same choice, a half where one called them equally close."""
    if "closer" not in given or "closer" not in gold:
        return None
    if given["closer"] == gold["closer"]:
        return 1.0
    return 0.5 if None in (given["closer"], gold["closer"]) else 0.0


SCORES: dict[str, Callable[[Mapping, Mapping], float | None]] = {
    "pairwise": _pairwise,
    "listwise": _listwise,
    "span": _span,
    "principle": _principle,
    "rating": _graded("ratings", ("candidate", "attribute"), "value", 4),
    "safety": _safety,
    "step": _graded("steps", ("candidate", "step"), "value", 2),
    "triplet": _triplet,
}
