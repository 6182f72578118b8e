"""What a run will take before it is started: time by runs like it, cost by the hour's price."""

from typing import Any

import pyarrow.parquet as pq
from django.db.models import F

from alignment import conf
from alignment.models import Run, Snapshot
from alignment.services import snapshots
from config.errors import DomainError

#: So many past runs are looked at.
LIKE = 20
#: Before there was any: seconds to start, and seconds a thousand row passes of the tiny model on
#: one processor core; a first guess only, told as such.
FIRST_START, FIRST_RATE = 15.0, 40.0


def estimate(*, snapshot: Snapshot | None, task: str, params: dict[str, Any]) -> dict[str, Any]:
    """Seconds (low, likely, high), cost, and how many past runs that is based on.

    The work of a run is rows times epochs (times members of an ensemble); seconds are taken as a
    start plus a rate of work, both from runs of the same task that finished.
    """
    rows = _rows(snapshot, task)
    work = rows * _passes(task, params)
    done = (
        Run.objects.filter(
            task=task, state=Run.State.DONE, started_at__isnull=False, finished_at__isnull=False
        )
        .annotate(took=F("finished_at") - F("started_at"))
        .order_by("-finished_at")
        .values("took", "metrics__n_train", "metrics__n_eval", "config__params")[:LIKE]
    )
    rates, starts = [], []
    for run in done:
        seen = (run["metrics__n_train"] or 0) + (run["metrics__n_eval"] or 0)
        seconds = run["took"].total_seconds()
        share = seen * _passes(task, run["config__params"] or {})
        if share > 0:
            rates.append(max(seconds - FIRST_START / 3, seconds / 2) / share)
            starts.append(min(FIRST_START / 3, seconds / 2))
    if rates:
        rates.sort()
        start = sum(starts) / len(starts)
        low, middle, high = (
            start + work * rates[min(len(rates) - 1, int(len(rates) * q))] for q in (0.1, 0.5, 0.9)
        )
        low, high = min(low, middle * 0.7), max(high, middle * 1.5)
    else:
        middle = FIRST_START + FIRST_RATE * work / 1000
        low, high = middle / 4, middle * 4
    price = conf.DEVICE_HOUR_COST
    return {
        "rows": rows,
        "seconds": round(middle, 1),
        "seconds_range": [round(low, 1), round(high, 1)],
        "based_on": len(rates),
        "cost": round(middle / 3600 * price, 4) if price else None,
        "cost_range": [round(s / 3600 * price, 4) for s in (low, high)] if price else None,
        "currency": conf.COST_CURRENCY,
    }


def _passes(task: str, params: dict[str, Any]) -> float:
    if task == "policy":
        return float(params.get("epochs") or 1.0)
    return float(params.get("members") or 1) if task == "reward" else 1.0


def _rows(snapshot: Snapshot | None, task: str) -> int:
    if snapshot is None:
        return 0
    pairs = snapshot.counts.get("preference", {}).get("pairs")
    if pairs is not None:
        return int(pairs)
    try:
        path = snapshots.folder_of(snapshot) / "pairs.parquet"
    except DomainError:
        return 0
    return pq.ParquetFile(path).metadata.num_rows if path.exists() else 0
