"""Counts for dashboards: folded from what happened, and read over any window in milliseconds.

Everything is by the time at which an answer ended: of the answers of an hour, how many were
loved, reported, asked for again. A reaction given later is added to the hour of its answer. Most
measures count answers (0 or 1 each), so that they are shares with intervals.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max, Sum
from django.utils import timezone

from feedback.models import AnswerTally, Rollup, RollupDirty, RollupLatency, RollupPerson
from feedback.models.rollups import Grain
from feedback.services import rollup_sql
from feedback.services.rollup_sql import MEASURES

BATCH = 20_000
#: Any number that nobody else locks: one fold at a time.
LOCK = 7_305_201_447
KEYS = ("model_version", "arm", "source")
MINUTES_KEPT = timedelta(days=3)


@dataclass(frozen=True)
class Counts:
    """Sums over some answers: `counts["love"]` is how many were loved. `key` tells which they are.

    Names are those of `feedback.models.rollups.Measures`.
    """

    key: tuple
    start: datetime | None
    sums: dict[str, int]

    def __getitem__(self, name: str) -> int:
        return self.sums[name]

    @property
    def ready(self) -> int:
        """Answers that people could judge: all but the failed ones."""
        return self.sums["answers"] - self.sums["failed"]

    @property
    def votes(self) -> float:
        """Side-by-side votes; each has two answers, so a key may hold half of one."""
        return sum(self.sums[one] for one in ("wins", "losses", "ties", "both_bad")) / 2

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens written per second of writing, first tokens not waited for."""
        ms = self.sums["writing_ms"]
        return 1000 * self.sums["completion_tokens"] / ms if ms else None

    def share(self, name: str, of: str | None = None) -> tuple[float, float, float] | None:
        """`name` as a share of the answers `of` (ready ones unless told) with its 95 % Wilson
        interval; None where there are none."""
        n = self.ready if of in (None, "ready") else self.sums[of]
        return wilson(min(self.sums[name], n), n)


@dataclass
class Latencies:
    """A histogram of milliseconds with 19 % wide buckets."""

    buckets: dict[int, int] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return sum(self.buckets.values())

    def quantile(self, q: float) -> float | None:
        """Milliseconds that a share `q` stays under, interpolated inside its bucket."""
        rank = q * self.n
        for bucket, n in sorted(self.buckets.items()):
            if n and rank <= n:
                return 2 ** ((bucket + max(rank, 0.0) / n) / 4)
            rank -= n
        return None


def wilson(k: float, n: float, z: float = 1.959964) -> tuple[float, float, float] | None:
    """k of n as a share with its score interval (Wilson 1927); None for n = 0."""
    if n <= 0:
        return None
    share, span = k / n, z * z / n
    middle = (share + span / 2) / (1 + span)
    half = z * math.sqrt(share * (1 - share) / n + span / (4 * n)) / (1 + span)
    return share, max(0.0, middle - half), min(1.0, middle + half)


def fold(*, batch: int = BATCH, rounds: int = 50) -> int:
    """Add to the counts what has happened since the last fold; returns how many notes it took.

    Returns 0 at once while another process folds. Safe to call as often as one likes: where
    nothing has happened it costs one query.
    """
    done = 0
    for _ in range(rounds):
        if not RollupDirty.objects.exists():
            break
        taken = _fold_once(batch)
        done += taken
        if taken < batch:
            break
    return done


@transaction.atomic
def _fold_once(batch: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(rollup_sql.TAKE, [batch])
        taken = [row[0] for row in cursor.fetchall()]
        _count(cursor, list(set(taken)))
    return len(taken)


@transaction.atomic
def rebuild(*, batch: int = BATCH) -> int:
    """Count everything anew; returns how many messages were read. Readers see the old counts
    until it is done, and what happens meanwhile is folded afterwards."""
    done, after = 0, UUID(int=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        for model in (AnswerTally, Rollup, RollupLatency, RollupPerson):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608
        while True:
            cursor.execute(rollup_sql.NEXT, [after, batch])
            ids = [row[0] for row in cursor.fetchall()]
            _count(cursor, ids)
            done += len(ids)
            if len(ids) < batch:
                return done
            after = ids[-1]


def _count(cursor, ids: list[UUID]) -> None:
    cursor.execute(rollup_sql.FOLD, {"ids": ids})
    cursor.execute("DELETE FROM feedback_rollupperson WHERE n <= 0")


def prune() -> int:
    """Forget minutes that are older than three days; hours and days stay."""
    old = {"grain": Grain.MINUTE, "start__lt": timezone.now() - MINUTES_KEPT}
    return (
        Rollup.objects.filter(**old).delete()[0] + RollupLatency.objects.filter(**old).delete()[0]
    )


def grain_for(since: datetime, until: datetime) -> Grain:
    """The shortest periods that a window may be read in: at most some 400 of them."""
    span = until - since
    if span <= timedelta(hours=6) and since >= timezone.now() - MINUTES_KEPT:
        return Grain.MINUTE
    return Grain.HOUR if span <= timedelta(days=16) else Grain.DAY


def totals(
    *,
    project_ids: Iterable[int],
    since: datetime,
    until: datetime | None = None,
    by: Iterable[str] = (),
    grain: Grain | None = None,
    source: str | None = None,
) -> list[Counts]:
    """Sums over a window, one row for each value of `by` (some of KEYS; the key of a model version
    is its id). The window begins with the whole period that holds `since`."""
    by = _columns(by)
    rows = _sums(by, "", project_ids, since, until, grain, source)
    return [Counts(row[: len(by)], None, _named(row[len(by) :])) for row in rows]


def series(
    *,
    project_ids: Iterable[int],
    since: datetime,
    until: datetime | None = None,
    by: Iterable[str] = (),
    grain: Grain | None = None,
    source: str | None = None,
) -> list[Counts]:
    """As `totals`, for each period of the window in which there was an answer, oldest first."""
    by = _columns(by)
    rows = _sums(by, "start", project_ids, since, until, grain, source)
    found = [Counts(row[: len(by)], row[len(by)], _named(row[len(by) + 1 :])) for row in rows]
    return sorted(found, key=lambda one: one.start)


def latencies(
    *,
    what: str,
    project_ids: Iterable[int],
    since: datetime,
    until: datetime | None = None,
    by: Iterable[str] = (),
    grain: Grain | None = None,
    source: str | None = None,
) -> dict[tuple, Latencies]:
    """Histograms of the time to the first token (`what` "first") or to the end ("whole")."""
    by = tuple(by)
    rows = (
        _window(RollupLatency, project_ids, since, until, grain, source)
        .filter(what=what)
        .values_list(*by, "bucket")
        .annotate(total=Sum("n"))
    )  # fmt: skip
    found: dict[tuple, Latencies] = {}
    for *key, bucket, n in rows:
        found.setdefault(tuple(key), Latencies()).buckets[bucket] = int(n)
    return found


def people(
    *,
    project_ids: Iterable[int],
    since: datetime,
    until: datetime | None = None,
    by: Iterable[str] = (),
    source: str | None = None,
) -> dict[tuple, int]:
    """How many different people had answers in the window: exact. Windows of more than three
    hours begin with a whole hour, of more than two days with a whole day, and of more than eight
    with a whole week (UTC)."""
    by, until = _columns(by), until or timezone.now() + timedelta(minutes=1)
    span = until - since
    where, values = "project_id = ANY(%s)", [list(project_ids)]
    if span <= timedelta(hours=3):
        table, where = "feedback_answertally", f"{where} AND at >= %s AND at < %s"
    else:
        grain = Grain.DAY if span > timedelta(days=2) else Grain.HOUR
        grain = Grain.WEEK if span > timedelta(days=8) else grain
        table = "feedback_rollupperson"
        where = f"{where} AND grain = %s AND start >= %s AND start < %s AND n > 0"
        values, since = [*values, str(grain)], floor(since, grain)
    values += [since, until]
    if source is not None:
        where, values = f"{where} AND source = %s", [*values, source]
    with connection.cursor() as cursor:
        cursor.execute(rollup_sql.crowd(by, table=table, where=where), values)
        return {tuple(key): n for *key, n in cursor.fetchall()}


def changed_at(*, project_ids: Iterable[int]) -> datetime | None:
    """When these projects' counts last changed; the same answer means the same counts."""
    rows = Rollup.objects.filter(project__in=list(project_ids))
    return rows.aggregate(at=Max("updated_at"))["at"]


def _columns(by: Iterable[str]) -> list[str]:
    columns = {"model_version": "model_version_id", "arm": "arm", "source": "source"}
    return [columns[one] for one in by]


def _named(sums: tuple) -> dict[str, int]:
    return dict(zip(MEASURES, sums, strict=True))


def _sums(by, extra, project_ids, since, until, grain, source) -> list[tuple]:
    until = until or timezone.now() + timedelta(minutes=1)
    grain = grain or grain_for(since, until)
    where = "project_id = ANY(%s) AND grain = %s AND start >= %s AND start < %s"
    values = [list(project_ids), str(grain), floor(since, grain), until]
    if source is not None:
        where, values = f"{where} AND source = %s", [*values, source]
    with connection.cursor() as cursor:
        cursor.execute(rollup_sql.reading(by, extra=extra, where=where), values)
        return cursor.fetchall()


def _window(model, project_ids, since, until, grain, source):
    until = until or timezone.now() + timedelta(minutes=1)
    grain = grain or grain_for(since, until)
    return model.objects.filter(
        project__in=list(project_ids), grain=grain, start__gte=floor(since, grain),
        start__lt=until, **_of(source),
    )  # fmt: skip


def _of(source: str | None) -> dict:
    return {} if source is None else {"source": source}


def floor(moment: datetime, grain: Grain) -> datetime:
    """The beginning of the period that holds a moment (UTC)."""
    moment = moment.astimezone(UTC).replace(second=0, microsecond=0)
    if grain == Grain.MINUTE:
        return moment
    if grain == Grain.HOUR:
        return moment.replace(minute=0)
    day = moment.replace(hour=0, minute=0)
    return day - timedelta(days=day.weekday()) if grain == Grain.WEEK else day
