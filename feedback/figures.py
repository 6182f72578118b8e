"""Values with their intervals, drawn one a row: plain geometry for a template's SVG."""

import math
from dataclasses import dataclass

WIDTH, HEIGHT, EDGE = 360, 24, 16


@dataclass(frozen=True)
class Row:
    """One value on the shared scale: places in the SVG's own units."""

    at: float
    low: float
    high: float
    entry: dict


@dataclass(frozen=True)
class Figure:
    """`ticks` are (place, words); `rows` in the order given."""

    rows: list[Row]
    ticks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT


def whiskers(
    entries: list[dict], *, value: str = "score", low: str = "low", high: str = "high",
    floor: float | None = None, ceiling: float | None = None, digits: int = 0,
) -> Figure:  # fmt: skip
    """Rows on one scale that holds every interval; two to five round ticks."""
    least = min(entry[low] for entry in entries)
    most = max(entry[high] for entry in entries)
    least = least if floor is None else max(floor, least)
    most = most if ceiling is None else min(ceiling, most)
    if most - least < 1e-9:
        least, most = least - 1, most + 1
    rough = (most - least) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(least / step) * step, math.ceil(most / step) * step

    def place(number: float) -> float:
        share = (min(max(number, first), last) - first) / (last - first)
        return round(EDGE + share * (WIDTH - 2 * EDGE), 1)

    count = round((last - first) / step)
    digits = max(digits, -math.floor(math.log10(step) + 1e-9))
    ticks = [
        (place(first + step * n), f"{first + step * n + 0.0:.{max(0, digits)}f}")
        for n in range(count + 1)
    ]
    rows = [
        Row(place(entry[value]), place(entry[low]), place(entry[high]), entry) for entry in entries
    ]
    return Figure(rows, ticks)
