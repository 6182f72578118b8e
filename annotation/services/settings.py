"""What a project's settings may be, checked in one place for pages, REST and commands."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from annotation.formats.lines import unstorable
from annotation.models.projects import Kind, Order
from config.errors import Invalid

LONGEST_GUIDELINES = 100_000
MOST_WORDS = 40
LANGUAGE = re.compile(r"^[a-z]{2,3}(-[a-z0-9]{2,8})?$")


def check(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, tidied. Raises Invalid naming every field that is wrong or unknown."""
    wrong: dict[str, str] = {}
    right: dict[str, Any] = {}
    for name, value in changes.items():
        rule = RULES.get(name)
        if rule is None:
            wrong[name] = "is not a setting"
            continue
        try:
            right[name] = rule(value)
        except ValueError as exc:
            wrong[name] = str(exc)
    if wrong:
        raise Invalid("; ".join(f"{k} {v}" for k, v in wrong.items()) + ".", fields=wrong)
    return right


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def rule(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low:,} to {high:,}")
        return value

    return rule


def _share(high: float) -> Callable[[Any], float]:
    def rule(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number")
        if not 0 <= value <= high:  # neither NaN nor infinity passes
            raise ValueError(f"must be from 0 to {high:g}")
        return float(value)

    return rule


def text(longest: int, *, blank: bool = False) -> Callable[[Any], str]:
    """A rule: text of at most `longest` characters; short text is trimmed at its ends."""

    def rule(value: Any) -> str:
        if not isinstance(value, str) or unstorable(value):
            raise ValueError("must be text")
        value = value.strip() if longest < 1000 else value
        if not blank and not value:
            raise ValueError("must not be empty")
        if len(value) > longest:
            raise ValueError(f"must be at most {longest:,} characters long")
        return value

    return rule


def words(value: Any, *, longest: int = 60, most: int = MOST_WORDS) -> list[str]:
    """A list of short texts without doubles. Raises ValueError with the reason."""
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise ValueError("must be a list of words")
    found = list(dict.fromkeys(word.strip() for word in value if word.strip()))
    if len(found) > most:
        raise ValueError(f"must be at most {most}")
    for word in found:
        if len(word) > longest:
            raise ValueError(f"has a word of more than {longest} characters")
        if unstorable(word) or not word.isprintable():
            raise ValueError("must be plain words")
    return found


def languages(value: Any) -> list[str]:
    """Language codes such as `en`, `ar` or `pt-br`, in lower case."""
    found = list(dict.fromkeys(word.lower() for word in words(value, longest=12)))
    for code in found:
        if not LANGUAGE.match(code):
            raise ValueError(f"'{code}' is not a language code such as en, ar or pt-br")
    return found


def _kinds(value: Any) -> list[str]:
    known = set(Kind.values)
    if not isinstance(value, list | tuple) or not value or not set(map(str, value)) <= known:
        raise ValueError(f"must name at least one of {', '.join(Kind.values)}")
    return list(dict.fromkeys(value))


def _order(value: Any) -> str:
    if value not in Order.values:
        raise ValueError(f"must be one of {', '.join(Order.values)}")
    return value


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


RULES: dict[str, Callable[[Any], Any]] = {
    "name": text(120),
    "guidelines": text(LONGEST_GUIDELINES, blank=True),
    "kinds": _kinds,
    "overlap": _whole(1, 100),
    "lease_seconds": _whole(10, 7 * 24 * 3600),
    "undo_seconds": _whole(0, 7 * 24 * 3600),
    "order": _order,
    "gold_rate": _share(0.5),
    "repeat_rate": _share(0.5),
    "calibration_size": _whole(0, 100),
    "calibration_pass": _share(1.0),
    "languages": languages,
    "dimensions": words,
    "attributes": words,
    "categories": words,
    "missing_categories": words,
    "is_paused": _yes_or_no,
}
