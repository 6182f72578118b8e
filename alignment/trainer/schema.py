"""Validation of plain JSON and YAML values, with errors that name the field.

A schema is a mapping from key to `Field`. `check` returns a new mapping with the defaults filled
in, or raises `FieldError` whose text starts with the dotted name of the field.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

REQUIRED = object()


class FieldError(ValueError):
    """A value that cannot be used; `field` is its dotted name."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True)
class Field:
    """One key: type, default (`REQUIRED` if it has none), bounds, choices, a line of help."""

    kind: type | tuple[type, ...]
    default: Any = REQUIRED
    choices: tuple | None = None
    low: float | None = None
    high: float | None = None
    above: float | None = None
    null: bool = False
    help: str = ""
    then: Callable[[str, Any], Any] | None = None

    def check(self, name: str, value: Any) -> Any:
        """The value, converted where that loses nothing; `FieldError` where it cannot be used."""
        if value is None:
            if self.null:
                return None
            raise FieldError(name, "must not be null")
        kinds = self.kind if isinstance(self.kind, tuple) else (self.kind,)
        if isinstance(value, bool) and bool not in kinds:
            raise FieldError(name, f"must be {_names(kinds)}, got {value!r}")
        if isinstance(value, int) and float in kinds and int not in kinds:
            value = float(value)
        if isinstance(value, str) and float in kinds and str not in kinds:
            # YAML 1.1 reads 1e-4 as a string; a person who wrote it meant the number.
            try:
                value = float(value)
            except ValueError:
                raise FieldError(name, f"must be a number, got {value!r}") from None
        if not isinstance(value, kinds):
            raise FieldError(name, f"must be {_names(kinds)}, got {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise FieldError(name, f"must be finite, got {value!r}")
        if self.choices is not None and value not in self.choices:
            raise FieldError(
                name, f"must be one of {', '.join(map(str, self.choices))}; got {value!r}"
            )
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._bounds(name, value)
        return self.then(name, value) if self.then else value

    def _bounds(self, name: str, value: float) -> None:
        if self.low is not None and value < self.low:
            raise FieldError(name, f"must be at least {self.low}, got {value}")
        if self.high is not None and value > self.high:
            raise FieldError(name, f"must be at most {self.high}, got {value}")
        if self.above is not None and value <= self.above:
            raise FieldError(name, f"must be greater than {self.above}, got {value}")


def check(schema: Mapping[str, Field], values: Any, at: str = "") -> dict[str, Any]:
    """`values` checked against `schema`, with defaults; unknown keys are refused."""
    if not isinstance(values, Mapping):
        raise FieldError(at or "run.json", f"must be an object, got {type(values).__name__}")
    prefix = f"{at}." if at else ""
    for key in values:
        if key not in schema:
            near = difflib.get_close_matches(str(key), schema, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise FieldError(f"{prefix}{key}", f"is not a known key{hint}")
    out: dict[str, Any] = {}
    for key, field in schema.items():
        if key in values:
            out[key] = field.check(f"{prefix}{key}", values[key])
        elif field.default is REQUIRED:
            raise FieldError(f"{prefix}{key}", "is required")
        else:
            out[key] = field.default
    return out


def nested(schema: Mapping[str, Field]) -> Callable[[str, Any], Any]:
    """For `Field.then`: the value is itself an object with this schema."""
    return lambda name, value: check(schema, value, name)


def _names(kinds: tuple[type, ...]) -> str:
    words = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        dict: "an object",
        list: "a list",
    }
    return " or ".join(words[k] for k in kinds)
