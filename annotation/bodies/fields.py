"""What a question holds, and the checks of single fields that readers of all kinds share."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

OUTCOMES = ("preferred", "tie", "both_bad")
VERDICTS = ("yes", "no", "na")
LONGEST_TEXT = 100_000


@dataclass(frozen=True)
class Question:
    """What was asked: the candidates in hand and the words the project allows.

    An empty tuple of attributes, categories or dimensions means that any word is allowed.
    `principles` maps each key and each id (as text) to the principle's id. `text` gives the
    raw text of a candidate, and is called only for bodies with offsets. `also` are the further
    kinds of the same task. `steps` counts the steps of a candidate, or with None the turns of
    the prompt; `anchor` is the candidate that others are compared with. Both are called only
    for the kinds that need them.
    """

    kind: str
    candidates: tuple[int, ...]
    text: Callable[[int], str] = field(default=lambda _: "", repr=False)
    attributes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    missing_categories: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    principles: Mapping[str, int] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    steps: Callable[[int | None], int] = field(default=lambda _: 0, repr=False)
    anchor: Callable[[], int] | None = field(default=None, repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """All kinds asked, the task's own first."""
        return (self.kind, *self.also)


class Wrong(Exception):
    """One field that breaks a rule; `read` turns it into Invalid."""

    def __init__(self, where: str, reason: str):
        super().__init__(f"{where} {reason}")
        self.where, self.reason = where, reason


def read_text(body: dict, name: str, where: str = "", longest: int = LONGEST_TEXT) -> str:
    """Text that can be stored; missing is empty."""
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


def read_flags(body: dict) -> list[str]:
    """At most 20 short texts, each once."""
    flags = body.get("flags") or []
    if not isinstance(flags, list) or len(flags) > 20:
        raise Wrong("flags", "must be a list of at most 20 short texts")
    for n, flag in enumerate(flags):
        if not isinstance(flag, str) or not flag.strip():
            raise Wrong(f"flags[{n}]", "must be text")
        read_text({"flag": flag}, "flag", f"flags[{n}]", longest=60)
    return list(dict.fromkeys(flags))


def read_seconds(body: dict) -> float | None:
    """A finite number of seconds, or None."""
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


def whole(value: object, where: str, low: int, high: int) -> int:
    """A whole number of a range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(where, "must be a whole number")
    if not low <= value <= high:
        raise Wrong(where, f"must be from {low} to {high}")
    return value


def one_of(question: Question, value: object, where: str) -> int:
    """The id of a candidate of this task."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in question.candidates:
        raise Wrong(where, "must be the id of a candidate of this task")
    return value


def items(body: dict, name: str, longest: int = 2000, required: bool = True) -> list:
    """A list of bounded length."""
    value = body.get(name)
    if value is None and not required:
        return []
    if not isinstance(value, list):
        raise Wrong(name, "must be a list")
    if len(value) > longest:
        raise Wrong(name, f"has more than {longest} items")
    return value


def record(value: object, where: str, fields: set[str]) -> dict:
    """An object without unknown fields."""
    if not isinstance(value, dict):
        raise Wrong(where, "must be an object")
    unknown = sorted(set(map(str, value)) - fields)
    if unknown:
        raise Wrong(f"{where}.{unknown[0]}", "is not a known field")
    return value


def word(value: object, where: str, allowed: tuple[str, ...]) -> str:
    """A short text, of the allowed ones where there are any."""
    if not isinstance(value, str) or not 0 < len(value) <= 60 or "\x00" in value:
        raise Wrong(where, "must be a short text")
    if allowed and value not in allowed:
        raise Wrong(where, f"must be one of {', '.join(allowed)}")
    return value
