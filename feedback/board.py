"""The live board as it is drawn: panels of HTML, the same for the page and for its socket."""

from datetime import timedelta

from django.template.loader import render_to_string

from annotation.models import Project
from feedback.figures import trend, whiskers
from feedback.services import board
from feedback.services.board import RATES, Line, Numbers

#: Panels in the order of the page.
PANELS = ("now", *RATES, "speed", "votes")


def panels(*, project: Project, window: board.Window) -> dict[str, str]:
    """Each panel's HTML, by its name."""
    return drawn(board.read(project=project, window=window))


def drawn(numbers: Numbers) -> dict[str, str]:
    """Panels for numbers that were read."""
    context = {"total": numbers.total, "lines": numbers.lines, "empty": not numbers.lines}
    found = {"now": context, "votes": context | {"figure": _votes(numbers)}}
    for name, (title, of) in RATES.items():
        found[name] = context | {
            "title": title,
            "of": of,
            "rows": [(one, one.rates[name]) for one in numbers.lines],
            "share": numbers.total.rates[name],
            "figure": _shares([(one, one.rates[name]) for one in numbers.lines]),
            "trend": _rate_trend(numbers, name),
            "parts": _part_rows(numbers, name),
        }
    found["speed"] = context | {
        "figure": _times(numbers),
        "first": _first_trend(numbers),
        "tokens": _tokens_trend(numbers),
        "parts": [
            (
                _moment(numbers, start),
                board.mean_first(counts),
                counts.tokens_per_s,
                counts["timed"],
            )
            for start, counts in numbers.parts
            if counts["timed"]
        ],
    }
    template = dict.fromkeys(RATES, "rate")
    return {
        name: render_to_string(f"feedback/board_{template.get(name, name)}.html", found[name])
        for name in PANELS
    }


def label(line: Line) -> str:
    """A model version in its arm, in words."""
    return f"{line.model} · {line.arm}" if line.arm else line.model


def _shares(rows: list):
    entries = [
        {"label": label(line), "score": share[0], "low": share[1], "high": share[2]}
        for line, share in rows
        if share is not None
    ]
    return whiskers(entries, floor=0.0, ceiling=1.0, digits=2) if entries else None


def _votes(numbers: Numbers):
    return _shares([(one, one.wins) for one in numbers.lines])


def _times(numbers: Numbers):
    """Median to the 95th percentile of the time to the first token."""
    entries = [
        {
            "label": label(one),
            "score": one.first["median"],
            "low": one.first["median"],
            "high": one.first["p95"],
        }
        for one in numbers.lines
        if one.first["median"] is not None
    ]
    return whiskers(entries, floor=0.0) if entries else None


def _rate_trend(numbers: Numbers, name: str):
    values = [counts.share(name) for _start, counts in numbers.parts]
    says = [
        f"{_moment(numbers, start)}: {counts[name]} / {counts.ready}"
        for start, counts in numbers.parts
    ]
    return trend(values, says=says, x_ticks=_ticks(numbers), ceiling=1.0, show=_percent)


def _first_trend(numbers: Numbers):
    values = [_alone(board.mean_first(counts)) for _start, counts in numbers.parts]
    says = [
        f"{_moment(numbers, start)}: {value[0]:.0f} ms" if value else ""
        for (start, _counts), value in zip(numbers.parts, values, strict=True)
    ]
    return trend(values, says=says, x_ticks=_ticks(numbers))


def _tokens_trend(numbers: Numbers):
    values = [_alone(counts.tokens_per_s) for _start, counts in numbers.parts]
    says = [
        f"{_moment(numbers, start)}: {value[0]:.1f}" if value else ""
        for (start, _counts), value in zip(numbers.parts, values, strict=True)
    ]
    return trend(values, says=says, x_ticks=_ticks(numbers))


def _part_rows(numbers: Numbers, name: str) -> list[tuple]:
    return [
        (_moment(numbers, start), counts[name], counts.ready, counts.share(name))
        for start, counts in numbers.parts
        if counts.ready
    ]


def _alone(value: float | None) -> tuple[float, float, float] | None:
    return None if value is None else (value, value, value)


def _ticks(numbers: Numbers) -> list[tuple[int, str]]:
    """Three moments along the axis."""
    count = len(numbers.parts)
    places = sorted({0, count // 2, count - 1}) if count else []
    return [(place, _moment(numbers, numbers.parts[place][0])) for place in places]


def _moment(numbers: Numbers, start) -> str:
    if numbers.step >= timedelta(days=1):
        return f"{start:%d.%m.}"
    return f"{start:%d.%m. %H:%M}" if numbers.step >= timedelta(hours=6) else f"{start:%H:%M}"


def _percent(share: float) -> str:
    return f"{100 * share:g}\u202f%"
