"""How far a project is, how fast it goes, and when it may end."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from annotation.models import Judgment, Task

WINDOW = 14
SPARK_DAYS = 28
FEWEST_DAYS = 3
#: Two-sided 80 %: one time in ten it ends before, one time in ten after.
Z = 1.2816
LONGEST = 3650


@dataclass(frozen=True)
class Estimate:
    """Days until the end, as a range with one chance in ten on either side.

    `latest` is None when the pace cannot exclude that it never ends. `reason` says in a word why
    there is no estimate: "done", "empty", "early" (fewer than FEWEST_DAYS whole days of work) or
    "idle" (nothing judged in the window, nor today).
    """

    soonest: int | None = None
    latest: int | None = None
    a_day: float = 0.0
    days: int = 0
    reason: str = ""


def estimate(*, left: int, days: Sequence[int], today: int = 0) -> Estimate:
    """When `left` judgments will be given, from the judgments of whole past days, oldest first.

    `today` is what was given on the day that is not over, which tells nothing of the pace.

    Days before the first one with work are not counted. With mean m and standard deviation s of n
    days, T more days give m T judgments with variance s^2 T + s^2 T^2 / n: the days' own scatter
    and what is not known of the mean. The range is where m T plus and minus Z standard deviations
    reach what is left.
    """
    worked = list(days)[-WINDOW:]
    while worked and worked[0] == 0:
        worked.pop(0)
    n = len(worked)
    if left <= 0:
        return Estimate(reason="done")
    if not worked:
        return Estimate(reason="early" if today else "idle")
    mean = sum(worked) / n
    if n < FEWEST_DAYS:
        return Estimate(a_day=mean, days=n, reason="early")
    variance = sum((x - mean) ** 2 for x in worked) / (n - 1)

    def given(t: int, sign: int) -> float:
        return mean * t + sign * Z * math.sqrt(variance * t + variance * t * t / n)

    def first(sign: int) -> int | None:
        # Plus rises throughout; minus may dip first, and may never reach it.
        if given(LONGEST, sign) < left:
            return None
        low, high = 0, LONGEST
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if given(middle, sign) >= left else (middle, high)
        return high

    return Estimate(soonest=first(1), latest=first(-1), a_day=mean, days=n)


def per_day(
    project_ids: Iterable[int], *, days: int = SPARK_DAYS, today: date | None = None
) -> dict[int, list[int]]:
    """Judgments of each of the last `days` days of each project, oldest first, today last."""
    ids = list(project_ids)
    today = today or timezone.localdate()
    start = today - timedelta(days=days - 1)
    since = timezone.localtime().replace(
        year=start.year, month=start.month, day=start.day, hour=0, minute=0, second=0, microsecond=0
    )
    found = {pk: [0] * days for pk in ids}
    rows = (
        Judgment.objects.standing()
        .filter(project__in=ids, created_at__gte=since)
        .exclude(source=Judgment.Source.REVIEW)
        .order_by()
        .values_list("project_id", TruncDate("created_at"))
        .annotate(Count("id"))
    )
    for pk, day, count in rows:
        place = (day - start).days
        if 0 <= place < days:
            found[pk][place] = count
    return found


def work_of(project_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """Judgments wanted and done of each project, and the tasks they are wanted of.

    Gold, calibration and repeated tasks check people, and withdrawn ones are not wanted: neither
    counts as work to be done.
    """
    ids = list(project_ids)
    rows = (
        Task.objects.filter(
            ~Q(state=Task.State.WITHDRAWN),
            project__in=ids,
            gold__isnull=True,
            is_calibration=False,
            repeat_of=None,
        )
        .order_by()
        .values("project_id")
        .annotate(wanted=Sum("overlap"), given=Sum("done"), tasks=Count("id"))
    )
    empty = {"wanted": 0, "given": 0, "tasks": 0}
    found = {row["project_id"]: row for row in rows}
    return {pk: empty | {k: v for k, v in found.get(pk, {}).items() if k in empty} for pk in ids}


def overview(project_ids: Iterable[int]) -> dict[int, dict]:
    """Of each project: wanted, given, tasks, percent, days (for a sparkline) and the estimate."""
    ids = list(project_ids)
    daily, work = per_day(ids), work_of(ids)
    shown = {}
    for pk in ids:
        row = work[pk]
        left = row["wanted"] - row["given"]
        outlook = estimate(left=left, days=daily[pk][:-1], today=daily[pk][-1])
        if not row["wanted"]:
            outlook = Estimate(reason="empty")
        shown[pk] = row | {
            "left": left,
            "percent": math.floor(100 * row["given"] / row["wanted"]) if row["wanted"] else 0,
            "days": daily[pk],
            "today": daily[pk][-1],
            "estimate": outlook,
        }
    return shown


def bars(days: Sequence[int], *, width: int = 168, height: int = 28) -> list[dict]:
    """Geometry of a sparkline of bars: x, y, width, height of each day, and its count."""
    most = max([*days, 1])
    step = width / max(len(days), 1)
    made = []
    for n, count in enumerate(days):
        tall = max(count / most * (height - 1), 1 if count else 0.5)
        made.append(
            {
                "x": round(n * step, 2),
                "y": round(height - tall, 2),
                "width": round(step - 1, 2),
                "height": round(tall, 2),
                "count": count,
                "ago": len(days) - 1 - n,
            }
        )
    return made
