"""The live board's numbers over a window: by model version and arm, and along time, each with its
interval.

All are of the answers that ended in the window, read from the roll-ups. Shares are of answers
that people could judge, with 95 % Wilson intervals, which take answers for independent: a person
who reacts to many makes them a little too narrow.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from annotation.models import Project
from config.errors import Invalid
from feedback.models.rollups import Grain
from feedback.services import rollups
from feedback.services.rollups import Counts
from inference.models import ModelVersion

#: Name of a window: how long it is, and how long the parts are that are drawn.
WINDOWS = {
    "1h": (timedelta(hours=1), timedelta(minutes=2)),
    "6h": (timedelta(hours=6), timedelta(minutes=15)),
    "24h": (timedelta(hours=24), timedelta(hours=1)),
    "7d": (timedelta(days=7), timedelta(hours=6)),
    "30d": (timedelta(days=30), timedelta(days=1)),
}
DOORS = ("chat", "api", "side")
#: Measure, its name on the page, and what it counts.
RATES = {
    "love": (_("Love rate"), _("Answers loved")),
    "complained": (_("Complaint rate"), _("Answers disliked or reported")),
    "regenerated": (_("Regenerate rate"), _("Answers asked for again")),
}
_SUMS = ("answers", "failed", "love", "good", "bad", "reacted", "reported", "regenerated", "shown")


@dataclass(frozen=True, slots=True)
class Window:
    """What a board looks at."""

    name: str = "24h"
    door: str = ""

    @classmethod
    def read(cls, name: str | None, door: str | None) -> "Window":
        """Raises Invalid naming the choices."""
        name, door = name or "24h", door or ""
        if name not in WINDOWS:
            raise Invalid(f"A window is one of {', '.join(WINDOWS)}.", fields={"window": "unknown"})
        if door and door not in DOORS:
            raise Invalid(f"A door is one of {', '.join(DOORS)}.", fields={"door": "unknown"})
        return cls(name, door)

    def bounds(self, now: datetime) -> tuple[datetime, datetime, timedelta]:
        """Beginning and end, whole parts of the length that is drawn, and that length."""
        span, step = WINDOWS[self.name]
        parts = now.timestamp() // step.total_seconds() + 1
        until = datetime.fromtimestamp(parts * step.total_seconds(), UTC)
        return until - span, until, step


@dataclass(slots=True)
class Line:
    """The numbers of one model version in one arm, or of all."""

    model: str
    arm: str
    counts: Counts
    people: int = 0
    first: dict[str, float | None] = field(default_factory=dict)
    whole: dict[str, float | None] = field(default_factory=dict)

    @property
    def rates(self) -> dict[str, tuple[float, float, float] | None]:
        """Each of RATES as (share, low, high)."""
        return {name: self.counts.share(name) for name in RATES}

    @property
    def wins(self) -> tuple[float, float, float] | None:
        """Votes won of those decided."""
        decided = self.counts["wins"] + self.counts["losses"]
        return rollups.wilson(self.counts["wins"], decided)


@dataclass(slots=True)
class Numbers:
    """What the board shows."""

    window: Window
    since: datetime
    until: datetime
    step: timedelta
    total: Line
    lines: list[Line]
    parts: list[tuple[datetime, Counts]]


def read(*, project: Project, window: Window, now: datetime | None = None) -> Numbers:
    """The numbers as the roll-ups have them now."""
    since, until, step = window.bounds(now or timezone.now())
    asked = {
        "project_ids": [project.pk],
        "since": since,
        "until": until,
        "source": window.door or None,
    }
    by = ("model_version", "arm")
    # Counts and histograms of one length of periods, so that they speak of the same answers.
    grain = rollups.grain_for(since, until) if step >= timedelta(hours=1) else Grain.MINUTE
    rows = rollups.totals(**asked, by=by, grain=grain)
    times = {what: rollups.latencies(what=what, **asked, by=by, grain=grain) for what in _TIMES}
    people = rollups.people(**asked, by=by)
    names = dict(
        ModelVersion.objects.filter(pk__in=[row.key[0] for row in rows]).values_list("pk", "name")
    )
    lines = [
        Line(
            model=names.get(row.key[0], "–"),
            arm=row.key[1],
            counts=row,
            people=people.get(row.key, 0),
            first=_quantiles(times["first"].get(row.key)),
            whole=_quantiles(times["whole"].get(row.key)),
        )
        for row in rows
    ]
    return Numbers(
        window=window,
        since=since,
        until=until,
        step=step,
        total=Line(
            model="",
            arm="",
            counts=_added(rows),
            people=rollups.people(**asked)[()],
            first=_quantiles(_joined(times["first"].values())),
            whole=_quantiles(_joined(times["whole"].values())),
        ),
        lines=sorted(lines, key=lambda one: (-one.counts["answers"], one.model, one.arm)),
        parts=_parts(rollups.series(**asked, grain=grain), since, until, step),
    )


def as_json(numbers: Numbers) -> dict:
    """For REST: shares as {"share", "low", "high", "n"}, times in milliseconds."""
    return {
        "window": numbers.window.name,
        "door": numbers.window.door or None,
        "since": numbers.since.isoformat(),
        "until": numbers.until.isoformat(),
        "total": _line_json(numbers.total),
        "models": [{"model": one.model, "arm": one.arm} | _line_json(one) for one in numbers.lines],
        "series": [
            {"start": start.isoformat(), "answers": counts["answers"]}
            | {name: _share_json(counts.share(name), counts.ready) for name in RATES}
            | {"tokens_per_s": counts.tokens_per_s, "first_ms": mean_first(counts)}
            for start, counts in numbers.parts
        ],
    }


def mean_first(counts: Counts) -> float | None:
    """Mean milliseconds to the first token."""
    return counts["first_ms"] / counts["timed"] if counts["timed"] else None


_TIMES = ("first", "whole")


def _line_json(one: Line) -> dict:
    told = {name: _share_json(share, one.counts.ready) for name, share in one.rates.items()}
    return {
        **told,
        "counts": {name: one.counts[name] for name in _SUMS},
        "people": one.people,
        "votes": one.counts.votes,
        "wins": _share_json(one.wins, one.counts["wins"] + one.counts["losses"]),
        "first_token_ms": one.first,
        "whole_ms": one.whole,
        "tokens_per_s": one.counts.tokens_per_s,
    }


def _share_json(share: tuple[float, float, float] | None, n: float) -> dict | None:
    if share is None:
        return None
    return {"share": share[0], "low": share[1], "high": share[2], "n": n}


def _quantiles(found: rollups.Latencies | None) -> dict[str, float | None]:
    found = found or rollups.Latencies()
    return {"median": found.quantile(0.5), "p95": found.quantile(0.95)}


def _joined(histograms) -> rollups.Latencies:
    buckets: dict[int, int] = defaultdict(int)
    for one in histograms:
        for bucket, n in one.buckets.items():
            buckets[bucket] += n
    return rollups.Latencies(dict(buckets))


def _added(rows: list[Counts]) -> Counts:
    return Counts((), None, {name: sum(row[name] for row in rows) for name in rollups.MEASURES})


def _parts(
    rows: list[Counts], since: datetime, until: datetime, step: timedelta
) -> list[tuple[datetime, Counts]]:
    """The series in parts of equal length, empty ones too."""
    within: dict[int, list[Counts]] = defaultdict(list)
    for row in rows:
        within[int((row.start - since) // step)].append(row)
    return [(since + n * step, _added(within[n])) for n in range(int((until - since) // step))]
