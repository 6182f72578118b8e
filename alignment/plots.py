"""Small plots as plain geometry; a template draws them as SVG in the page's own colours.

Drawn on the server, so they are there without scripts, follow light and dark, and need no style
attributes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 22

#: What is drawn of a run's progress, in this order, with its name for the reader.
SERIES = {
    "loss": "Loss",
    "eval_loss": "Held-out loss",
    "accuracy": "Share of pairs ranked right",
    "eval_accuracy": "Held-out pairs ranked right",
    "margin": "Margin",
    "kl": "KL to the start, nats an answer",
    "mean_tokens": "Tokens an answer",
    "grad_norm": "Gradient norm",
    "tokens_per_s": "Tokens a second",
}


@dataclass(frozen=True)
class Mark:
    """One point on the page: its place, its interval (top, bottom), and its value in words."""

    x: float
    y: float
    words: str
    top: float | None = None
    bottom: float | None = None


@dataclass(frozen=True)
class Plot:
    """Everything the template needs: `line` is an SVG path, `ticks` (place, words) pairs."""

    title: str
    latest: str
    says: str
    line: str = ""
    band: str = ""
    marks: list[Mark] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    rule: float | None = None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    foot: int = HEIGHT - BOTTOM


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, whole ones in full; an en dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f").replace("-", "\N{MINUS SIGN}")
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}".replace("-", "\N{MINUS SIGN}")
    text = f"{value:#.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"
    return text.rstrip(".").replace(",", "\u202f").replace("-", "\N{MINUS SIGN}")


def curves(points: Sequence[dict[str, Any]]) -> list[Plot]:
    """A plot for each known number of a run's progress that has at least two points."""
    found = []
    for name, title in SERIES.items():
        values = [
            (float(place), point[name])
            for place, point in enumerate(points)
            if isinstance(point.get(name), int | float)
        ]
        if len(values) >= 2:
            steps = {
                float(place): str(point.get("step", place)) for place, point in enumerate(points)
            }
            found.append(_line(title, values, steps))
    return found


def history(
    title: str,
    rows: Iterable[tuple[str, float | None, Sequence[float] | None]],
    *,
    rule: float | None = None,
) -> Plot | None:
    """Values with their intervals side by side, e.g. one a round; None without a value."""
    known = [(name, value, ci) for name, value, ci in rows if value is not None]
    if not known:
        return None
    spread = [value for _, value, _ in known]
    spread += [end for _, _, ci in known for end in (ci or ()) if end is not None]
    y_of, y_ticks = _scale([*spread, *([] if rule is None else [rule])])
    step = (WIDTH - LEFT - RIGHT) / len(known)
    marks, x_ticks = [], []
    for place, (name, value, ci) in enumerate(known):
        x = round(LEFT + step * (place + 0.5), 1)
        interval = ci if ci and None not in ci else None
        words = f"{name}: {number(value)}"
        if interval:
            words += f" ({number(interval[0])} to {number(interval[1])})"
        marks.append(
            Mark(
                x,
                y_of(value),
                words,
                y_of(interval[1]) if interval else None,
                y_of(interval[0]) if interval else None,
            )
        )
        if len(known) <= 12 or place % math.ceil(len(known) / 12) == 0:
            x_ticks.append((x, name))
    return Plot(
        title=title,
        latest=number(known[-1][1]),
        says=f"{title}. " + "; ".join(mark.words for mark in marks[-12:]),
        marks=marks,
        y_ticks=y_ticks,
        x_ticks=x_ticks,
        rule=None if rule is None else y_of(rule),
    )


def sequence(
    title: str,
    looks: Sequence[tuple[int, Sequence[float | None]]],
    *,
    rule: float | None = None,
) -> Plot | None:
    """A confidence sequence: its middle as a line, its bounds as a band, by number of units.

    `looks` are (n, (middle, low, high)); None before two of them have a middle.
    """
    known = [(n, [float(v) for v in value]) for n, value in looks if None not in value]
    known = list({n: (n, value) for n, value in known}.values())
    if len(known) < 2:
        return None
    # The first bounds are the whole scale and would flatten all that follows.
    widest = max(2 * (known[-1][1][2] - known[-1][1][1]), 0.05)
    middle = known[-1][1][0]
    kept = [
        (n, [min(max(v, middle - widest), middle + widest) for v in value]) for n, value in known
    ]
    y_of, y_ticks = _scale([*(v for _, value in kept for v in value), *([rule] if rule else [])])
    first, last = kept[0][0], kept[-1][0]

    def x_of(n: int) -> float:
        return round(LEFT + (n - first) / ((last - first) or 1) * (WIDTH - LEFT - RIGHT), 1)

    def path(place: int, points: Sequence[tuple[int, list[float]]]) -> str:
        return "L".join(f"{x_of(n)} {y_of(value[place])}" for n, value in points)

    shown = known[-1][1]
    in_words = f"{number(shown[0])} ({number(shown[1])} to {number(shown[2])})"
    return Plot(
        title=title,
        latest=in_words,
        says=f"{title}: {in_words} after {known[-1][0]} conversations.",
        line=f"M{path(0, kept)}",
        band=f"M{path(1, kept)}L{path(2, kept[::-1])}Z",
        marks=[
            Mark(x_of(n), y_of(value[0]), f"n {n}: {number(value[0])}")
            for n, value in kept[:: max(1, len(kept) // 40)]
        ],
        y_ticks=y_ticks,
        x_ticks=[(x_of(first), str(first)), (x_of(last), str(last))],
        rule=None if rule is None else y_of(rule),
    )


def on_one_scale(series: Sequence[Sequence[tuple[int, float, str]]]) -> list[Plot | None]:
    """One plot a series of (place, value, step), all on the same height; None for an empty one."""
    everything = [value for points in series for _, value, _ in points]
    if not everything:
        return [None for _ in series]
    scale = _scale(everything)
    return [
        _line(
            "",
            [(float(place), value) for place, value, _ in points],
            {float(place): step for place, _, step in points},
            scale,
        )
        if points
        else None
        for points in series
    ]


def _line(
    title: str, values: list[tuple[float, float]], steps: dict[float, str], scale=None
) -> Plot:
    y_of, y_ticks = scale or _scale([value for _, value in values])
    first, last = values[0][0], values[-1][0]
    span = (last - first) or 1.0

    def x_of(place: float) -> float:
        return round(LEFT + (place - first) / span * (WIDTH - LEFT - RIGHT), 1)

    path = " ".join(
        f"{'M' if index == 0 else 'L'}{x_of(place)} {y_of(value)}"
        for index, (place, value) in enumerate(values)
    )
    shown = values if len(values) <= 60 else values[:: math.ceil(len(values) / 60)]
    return Plot(
        title=title,
        latest=number(values[-1][1]),
        says=f"{title}: from {number(values[0][1])} to {number(values[-1][1])}.",
        line=path,
        marks=[
            Mark(x_of(place), y_of(value), f"step {steps[place]}: {number(value)}")
            for place, value in shown
        ],
        y_ticks=y_ticks,
        x_ticks=[(x_of(first), steps[first]), (x_of(last), steps[last])],
    )


def _scale(values: Sequence[float]):
    """A map from a value to its height on the page, and three to five round ticks."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - (abs(low) or 1.0) / 10, high + (abs(high) or 1.0) / 10
    rough = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    bottom, top = math.floor(low / step) * step, math.ceil(high / step) * step

    def y_of(value: float) -> float:
        share = (value - bottom) / (top - bottom)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    count = round((top - bottom) / step)
    ticks = [bottom + step * place for place in range(count + 1)]
    half = 1 if math.isclose(step / power, 2.5) else 0
    digits = max(0, half - math.floor(math.log10(step) + 1e-9))
    return y_of, [(y_of(tick), _tick(tick, digits)) for tick in ticks]


def _tick(value: float, digits: int) -> str:
    text = f"{value + 0.0:,.{min(digits, 6)}f}"
    text = text.removeprefix("-") if not float(text.replace(",", "")) else text
    return text.replace(",", "\u202f").replace("-", "\N{MINUS SIGN}")
