"""Values with their intervals, one a row or along time: plain geometry for a template's SVG."""

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


@dataclass(frozen=True)
class Point:
    """One value along time with its interval, in the SVG's own units, and in words."""

    x: float
    y: float
    top: float
    foot: float
    says: str


@dataclass(frozen=True)
class Trend:
    """Values along time: `line` and `band` are SVG paths, with gaps where nothing is known."""

    line: str
    band: str
    points: list[Point]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = 360
    height: int = 132
    left: int = 44
    right: int = 350
    foot: int = 110


def round_step(span: float, parts: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that cuts `span` into at most `parts`."""
    rough = span / parts
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)


def trend(
    values: list[tuple[float, float, float] | None],
    *,
    says: list[str],
    x_ticks: list[tuple[int, str]],
    ceiling: float | None = None,
    show=lambda value: f"{value:g}",
) -> Trend | None:
    """(value, low, high) in each of equal periods, None where there is none; from zero up.

    `says` are words for each period, `x_ticks` (place in `values`, words); None without values.
    """
    known = [one for one in values if one is not None]
    if not known:
        return None
    left, right, top, foot = Trend.left, Trend.right, 10, Trend.foot
    most = max(high for _, _, high in known) or 1.0
    most = most if ceiling is None else min(most, ceiling)
    step = round_step(most, 4)
    last = math.ceil(most / step - 1e-9) * step
    width = (right - left) / len(values)

    def x_of(place: float) -> float:
        return round(left + width * (place + 0.5), 1)

    def y_of(value: float) -> float:
        return round(foot - (foot - top) * min(max(value, 0.0), last) / last, 1)

    runs: list[list[Point]] = [[]]
    for place, one in enumerate(values):
        if one is None:
            runs.append([])
            continue
        value, low, high = one
        runs[-1].append(Point(x_of(place), y_of(value), y_of(high), y_of(low), says[place]))
    runs = [run for run in runs if run]
    line = "".join(f"M{'L'.join(f'{p.x} {p.y}' for p in run)}" for run in runs)
    band = "".join(
        f"M{'L'.join([*(f'{p.x} {p.top}' for p in run), *(f'{p.x} {p.foot}' for p in run[::-1])])}Z"
        for run in runs
    )
    marks = round(last / step)
    return Trend(
        line=line,
        band=band,
        points=[point for run in runs for point in run],
        x_ticks=[(x_of(place), words) for place, words in x_ticks],
        y_ticks=[(y_of(step * n), show(round(step * n, 9))) for n in range(marks + 1)],
    )


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
    step = round_step(most - least, 3)
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
