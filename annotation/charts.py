"""Intervals drawn as bands, a row each: plain geometry that a template draws as SVG."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """A value with its interval; places are per cent of the width."""

    label: str
    value: float
    low: float | None
    high: float | None
    n: int | None
    x: float
    left: float | None
    width: float | None
    rule: float | None = None
    is_off: bool = False


@dataclass(frozen=True)
class Chart:
    """Rows on one scale from `start` to `end`; `rule` is where a line is drawn through all."""

    title: str
    note: str
    start: float
    end: float
    rows: list[Row] = field(default_factory=list)
    rule: float | None = None
    is_log: bool = False
    digits: int = 2

    @property
    def middle(self) -> float:
        if self.is_log:
            return math.sqrt(self.start * self.end)
        return (self.start + self.end) / 2


def chart(
    title: str,
    rows: Iterable[tuple[str, dict | None]],
    *,
    note: str = "",
    start: float = 0.0,
    end: float = 1.0,
    rule: float | None = None,
    most: int = 30,
) -> Chart | None:
    """Rows of (label, numbers) on a fixed scale; numbers have value, low, high, and n or units.

    Rows without a value are left out; None when none is left. A row's own `expected` is drawn as
    its rule.
    """
    known = [(label, found) for label, found in rows if found and found["value"] is not None]
    if not known:
        return None
    lowest = min([found["value"] for _, found in known] + [f.get("low") or 0 for _, f in known])
    if lowest < start:
        start = -1.0 if lowest < -0.5 else -0.5

    def place(value: float) -> float:
        return round(100 * (min(max(value, start), end) - start) / (end - start), 2)

    made = [_row(label, found, place) for label, found in known[:most]]
    return Chart(title, note, start, end, made, None if rule is None else place(rule))


def log_chart(title: str, rows: Iterable[tuple[str, dict | None]], *, note: str = "",
              most: int = 30) -> Chart | None:  # fmt: skip
    """As `chart`, on a logarithmic scale that fits the values; for times."""
    known = [(label, found) for label, found in rows if found and found["value"] > 0]
    if not known:
        return None
    ends = [f.get(name) or f["value"] for _, f in known for name in ("low", "high", "value")]
    start, end = min(ends) / 1.2, max(ends) * 1.2
    span = math.log(end / start)

    def place(value: float) -> float:
        return round(100 * math.log(min(max(value, start), end) / start) / span, 2)

    made = [_row(label, found, place) for label, found in known[:most]]
    return Chart(title, note, start, end, made, is_log=True, digits=1)


def _row(label: str, found: dict, place) -> Row:
    low, high = found.get("low"), found.get("high")
    has = low is not None and high is not None
    expected = found.get("expected")
    return Row(
        label=label,
        value=found["value"],
        low=low if has else None,
        high=high if has else None,
        n=found.get("n", found.get("units")),
        x=place(found["value"]),
        left=place(low) if has else None,
        width=round(max(place(high) - place(low), 0.5), 2) if has else None,
        rule=None if expected is None else place(expected),
        is_off=bool(found.get("is_off")),
    )
