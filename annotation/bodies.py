"""The body of a judgment of each kind: read strictly, with the field and the reason of a refusal.

No Django here: import, REST and pages read the same bodies through `read`. Candidates are named
by id. Offsets are Unicode code points of the candidate's raw text, end exclusive.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from config.errors import Invalid

OUTCOMES = ("preferred", "tie", "both_bad")
VERDICTS = ("yes", "no", "na")
LONGEST_TEXT = 100_000
COMMON = {"kind", "token", "flags", "seconds", "rationale"}


@dataclass(frozen=True)
class Question:
    """What was asked: the candidates in hand and the words the project allows.

    An empty tuple of attributes, categories or dimensions means that any word is allowed.
    `principles` maps each key and each id (as text) to the principle's id. `text` gives the
    raw text of a candidate, and is called only for bodies with offsets.
    """

    kind: str
    candidates: tuple[int, ...]
    text: Callable[[int], str] = field(default=lambda _: "", repr=False)
    attributes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    missing_categories: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    principles: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Body:
    """A body that passed: what all kinds share, and the checked answer of its kind."""

    kind: str
    answer: dict
    rationale: str = ""
    flags: tuple[str, ...] = ()
    seconds: float | None = None


class Wrong(Exception):
    """One field that breaks a rule; `read` turns it into Invalid."""

    def __init__(self, where: str, reason: str):
        super().__init__(f"{where} {reason}")
        self.where, self.reason = where, reason


def read(question: Question, body: object) -> Body:
    """Check a body against what was asked. Raises Invalid naming the field and the reason."""
    try:
        if not isinstance(body, dict):
            raise Wrong("body", "must be a JSON object")
        kind = body.get("kind", question.kind)
        if kind != question.kind:
            raise Wrong("kind", f"must be {question.kind}, which is what the task asks for")
        reader, fields = READERS[question.kind]
        unknown = sorted(set(map(str, body)) - COMMON - fields)
        if unknown:
            raise Wrong(unknown[0], f"is not a field of a {question.kind} judgment")
        return Body(
            kind=question.kind,
            answer=reader(question, body),
            rationale=_text(body, "rationale"),
            flags=tuple(_flags(body)),
            seconds=_seconds(body),
        )
    except Wrong as exc:
        where = exc.where.encode("utf-8", "replace").decode()
        raise Invalid(f"{where} {exc.reason}.", fields={where: exc.reason}) from None


# What every kind shares ---------------------------------------------------------------------


def _text(body: dict, name: str, where: str = "", longest: int = LONGEST_TEXT) -> str:
    value = body.get(name)
    where = where or name
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Wrong(where, "must be text")
    if len(value) > longest:
        raise Wrong(where, f"is longer than {longest} characters")
    if "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise Wrong(where, "holds a character that text cannot hold (NUL or half a pair)")
    return value


def _flags(body: dict) -> list[str]:
    flags = body.get("flags") or []
    if not isinstance(flags, list) or len(flags) > 20:
        raise Wrong("flags", "must be a list of at most 20 short texts")
    for n, flag in enumerate(flags):
        if not isinstance(flag, str) or not flag.strip():
            raise Wrong(f"flags[{n}]", "must be text")
        _text({"flag": flag}, "flag", f"flags[{n}]", longest=60)
    return list(dict.fromkeys(flags))


def _seconds(body: dict) -> float | None:
    value = body.get("seconds")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong("seconds", "must be a number")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value) or not 0 <= value <= 1_000_000:
        raise Wrong("seconds", "must be from 0 to 1000000")
    return value


def _whole(value: object, where: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(where, "must be a whole number")
    if not low <= value <= high:
        raise Wrong(where, f"must be from {low} to {high}")
    return value


def _candidate(question: Question, value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in question.candidates:
        raise Wrong(where, "must be the id of a candidate of this task")
    return value


def _list(body: dict, name: str, longest: int = 2000, required: bool = True) -> list:
    value = body.get(name)
    if value is None and not required:
        return []
    if not isinstance(value, list):
        raise Wrong(name, "must be a list")
    if len(value) > longest:
        raise Wrong(name, f"has more than {longest} items")
    return value


def _object(value: object, where: str, fields: set[str]) -> dict:
    if not isinstance(value, dict):
        raise Wrong(where, "must be an object")
    unknown = sorted(set(map(str, value)) - fields)
    if unknown:
        raise Wrong(f"{where}.{unknown[0]}", "is not a known field")
    return value


def _word(value: object, where: str, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 60 or "\x00" in value:
        raise Wrong(where, "must be a short text")
    if allowed and value not in allowed:
        raise Wrong(where, f"must be one of {', '.join(allowed)}")
    return value


# One reader a kind --------------------------------------------------------------------------


def _choice(question: Question, body: dict, where: str = "") -> dict:
    outcome = body.get("outcome")
    if outcome not in OUTCOMES:
        raise Wrong(f"{where}outcome", f"must be one of {', '.join(OUTCOMES)}")
    preferred = body.get("preferred")
    if outcome == "preferred":
        preferred = _candidate(question, preferred, f"{where}preferred")
    elif preferred is not None:
        raise Wrong(f"{where}preferred", f"must be left out when the outcome is {outcome}")
    return {"outcome": outcome, "preferred": preferred}


def _pairwise(question: Question, body: dict) -> dict:
    answer = _choice(question, body)
    strength = body.get("strength")
    if strength is not None:
        if answer["outcome"] != "preferred":
            raise Wrong("strength", f"must be left out when the outcome is {answer['outcome']}")
        strength = _whole(strength, "strength", 1, 3)
    dimensions, seen = [], set()
    for n, item in enumerate(_list(body, "dimensions", 50, required=False)):
        where = f"dimensions[{n}]"
        item = _object(item, where, {"dimension", "outcome", "preferred"})
        name = _word(item.get("dimension"), f"{where}.dimension", question.dimensions)
        if name in seen:
            raise Wrong(f"{where}.dimension", "is there twice")
        seen.add(name)
        dimensions.append({"dimension": name} | _choice(question, item, f"{where}."))
    return answer | {"strength": strength, "dimensions": dimensions}


def _listwise(question: Question, body: dict) -> dict:
    groups, seen = [], set()

    def take(value: object, where: str) -> int:
        candidate = _candidate(question, value, where)
        if candidate in seen:
            raise Wrong(where, "is there twice")
        seen.add(candidate)
        return candidate

    for n, group in enumerate(_list(body, "ranking")):
        if not isinstance(group, list) or not group:
            raise Wrong(f"ranking[{n}]", "must be a list of candidate ids, ties together")
        groups.append([take(value, f"ranking[{n}][{m}]") for m, value in enumerate(group)])
    unusable = [
        take(value, f"unusable[{n}]")
        for n, value in enumerate(_list(body, "unusable", required=False))
    ]
    missing = [c for c in question.candidates if c not in seen]
    if missing:
        raise Wrong("ranking", f"leaves out {len(missing)} of the candidates ({missing[0]})")
    return {"ranking": groups, "unusable": unusable}


def _stretch(text: str, item: dict, where: str) -> tuple[int, int]:
    start = _whole(item.get("start"), f"{where}.start", 0, len(text))
    end = _whole(item.get("end"), f"{where}.end", 0, len(text))
    if end <= start:
        raise Wrong(f"{where}.end", "must come after start")
    return start, end


def _span(question: Question, body: dict) -> dict:
    spans, missing = [], []
    names = {"candidate", "start", "end", "category", "severity", "comment", "quote"}
    for n, item in enumerate(_list(body, "spans")):
        where = f"spans[{n}]"
        item = _object(item, where, names)
        candidate = _candidate(question, item.get("candidate"), f"{where}.candidate")
        text = question.text(candidate)
        start, end = _stretch(text, item, where)
        quote = text[start:end]
        if item.get("quote") not in (None, "", quote):
            raise Wrong(f"{where}.quote", "is not the text between start and end (code points)")
        severity = item.get("severity")
        spans.append(
            {
                "candidate": candidate,
                "start": start,
                "end": end,
                "quote": quote,
                "category": _word(item.get("category"), f"{where}.category", question.categories),
                "severity": 1 if severity is None else _whole(severity, f"{where}.severity", 1, 3),
                "comment": _text(item, "comment", f"{where}.comment"),
            }
        )
    for n, item in enumerate(_list(body, "missing", required=False)):
        where = f"missing[{n}]"
        item = _object(item, where, {"candidate", "category", "comment"})
        missing.append(
            {
                "candidate": _candidate(question, item.get("candidate"), f"{where}.candidate"),
                "category": _word(
                    item.get("category"), f"{where}.category", question.missing_categories
                ),
                "comment": _text(item, "comment", f"{where}.comment"),
            }
        )
    return {"spans": spans, "missing": missing}


def _principle(question: Question, body: dict) -> dict:
    verdicts, seen = [], set()
    items = _list(body, "verdicts")
    if not items:
        raise Wrong("verdicts", "must hold at least one verdict")
    for n, item in enumerate(items):
        where = f"verdicts[{n}]"
        item = _object(item, where, {"candidate", "principle", "verdict", "evidence"})
        candidate = _candidate(question, item.get("candidate"), f"{where}.candidate")
        named = item.get("principle")
        principle = None
        if isinstance(named, str | int) and not isinstance(named, bool):
            principle = question.principles.get(str(named))
        if principle is None:
            raise Wrong(f"{where}.principle", "is not a principle of this project")
        if (candidate, principle) in seen:
            raise Wrong(where, "answers the same principle for the same candidate twice")
        seen.add((candidate, principle))
        verdict = item.get("verdict")
        if verdict not in VERDICTS:
            raise Wrong(f"{where}.verdict", f"must be one of {', '.join(VERDICTS)}")
        evidence = item.get("evidence")
        if evidence is not None:
            inside = f"{where}.evidence"
            evidence = _stretch(
                question.text(candidate), _object(evidence, inside, {"start", "end"}), inside
            )
        verdicts.append(
            {
                "candidate": candidate,
                "principle": principle,
                "verdict": verdict,
                "evidence": evidence,
            }
        )
    return {"verdicts": verdicts}


def _rating(question: Question, body: dict) -> dict:
    ratings, seen = [], set()
    items = _list(body, "ratings")
    if not items:
        raise Wrong("ratings", "must hold at least one rating")
    for n, item in enumerate(items):
        where = f"ratings[{n}]"
        item = _object(item, where, {"candidate", "attribute", "value"})
        candidate = _candidate(question, item.get("candidate"), f"{where}.candidate")
        attribute = _word(item.get("attribute"), f"{where}.attribute", question.attributes)
        if (candidate, attribute) in seen:
            raise Wrong(where, "rates the same attribute of the same candidate twice")
        seen.add((candidate, attribute))
        value = _whole(item.get("value"), f"{where}.value", 0, 4)
        ratings.append({"candidate": candidate, "attribute": attribute, "value": value})
    return {"ratings": ratings}


def _critique(question: Question, body: dict) -> dict:
    candidate = body.get("candidate")
    if candidate is None and len(question.candidates) == 1:
        candidate = question.candidates[0]
    answer = {
        "candidate": _candidate(question, candidate, "candidate"),
        "critique": _text(body, "critique", longest=1_000_000),
        "corrected": _text(body, "corrected", longest=4_000_000),
    }
    if not answer["critique"].strip() and not answer["corrected"].strip():
        raise Wrong("critique", "or corrected must say something")
    return answer


READERS: dict[str, tuple[Callable[[Question, dict], dict], set[str]]] = {
    "pairwise": (_pairwise, {"outcome", "preferred", "strength", "dimensions"}),
    "listwise": (_listwise, {"ranking", "unusable"}),
    "span": (_span, {"spans", "missing"}),
    "principle": (_principle, {"verdicts"}),
    "rating": (_rating, {"ratings"}),
    "critique": (_critique, {"candidate", "critique", "corrected"}),
}
