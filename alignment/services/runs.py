"""Runs: put one in the queue, work on it, cancel it. One worker holds a run at a time.

The claim is a conditional update of the row, and every later write of the holder names the
worker and the attempt it claimed as. So a message delivered twice does nothing, and a worker
that was given up for dead cannot write over the one that took its place.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from alignment import conf, events
from alignment.errors import RunFailed, in_words
from alignment.models import Run, Snapshot
from alignment.services import assembly, files, products, recipes, snapshots
from alignment.services.process import Lines, Trainer, is_gone, log_tail, me
from config.errors import Conflict, DomainError, Invalid
from inference.models import ModelVersion
from inference.selectors import live_policy

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
BEAT_SECONDS = 1.0
HEART_SECONDS = 5.0
CURVE_POINTS = 240

EXIT_DONE, EXIT_FAILED, EXIT_REFUSED, EXIT_STOPPED = 0, 1, 2, 3


def create(
    *,
    snapshot: Snapshot,
    recipe: str,
    base: ModelVersion | None = None,
    params: dict[str, Any] | None = None,
    seed: int = 0,
    by=None,
    send: bool = True,
    files_too: bool = False,
) -> Run:
    """Queue a training run of a recipe on a snapshot. Raises Invalid for what cannot be trained.

    A policy begins with `base`, by default what serves the snapshot's project. With `send`
    false no worker is told; with `files_too` the recipe may be the path of a YAML file.
    """
    found = recipes.load(recipe, files=files_too)
    task = recipes.trained_by(found)
    checked = recipes.params_for(task, dict(found.stages[task]), params or {})
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise Invalid("The seed must be a whole number from 0.", fields={"seed": "is not one"})
    snapshots.folder_of(snapshot)
    if task == "policy":
        base = base or live_policy(project=snapshot.project.slug)
        if base is None:
            raise Invalid("No policy serves this project; name one to begin with.")
        if base.kind != ModelVersion.Kind.POLICY:
            raise Invalid(f"'{base}' is not a policy.", fields={"base": "is not a policy"})
    run = Run.objects.create(
        project=snapshot.project,
        task=task,
        recipe=found.name,
        config={"seed": seed, "params": checked},
        snapshot=snapshot,
        base=base if task == "policy" else None,
        requested_by=by,
    )
    if send:
        launch(run=run)
    return run


def launch(*, run: Run) -> None:
    """Put a queued run before the workers once the present transaction is kept."""
    from alignment.tasks import execute_run

    Run.objects.filter(pk=run.pk, state=Run.State.QUEUED).update(heartbeat_at=timezone.now())
    transaction.on_commit(lambda: execute_run.delay(str(run.pk)))


def cancel(*, run: Run) -> Run:
    """Stop a run; the worker that holds it ends the trainer within a second or two."""
    changed = Run.objects.filter(pk=run.pk, state__in=Run.ACTIVE).update(
        state=Run.State.CANCELLED, error="Cancelled by a person.", finished_at=timezone.now()
    )
    run.refresh_from_db()
    if not changed:
        raise Conflict(f"This run is {run.get_state_display().lower()} already.")
    events.run_changed(run)
    return run


def execute(run_id: str) -> bool:
    """Work on a run until it ends. False when it was not there to be had: nothing was done."""
    run = _claim(run_id)
    if run is None:
        return False
    try:
        _work(run)
    except _Lost:
        logger.warning("Run %s was taken away from this worker.", run.pk)
    except Exception as error:
        known = isinstance(error, DomainError)
        logger.warning("Run %s failed.", run.pk, exc_info=not known)
        _end(run, Run.State.FAILED, error=in_words(error))
    return True


def after(run_id: str) -> None:
    """Have the round of an ended run moved on."""
    from alignment.tasks import execute_round

    turn = Run.objects.filter(pk=run_id).values_list("round_id", flat=True).first()
    if turn:
        execute_round.delay(str(turn))


def revive(run: Run) -> str:
    """What to do about a run whose holder may be dead: `alive`, `requeued` or `failed`."""
    stale = timezone.now() - timedelta(seconds=conf.STALE_SECONDS)
    if run.heartbeat_at and run.heartbeat_at > stale and not is_gone(run.worker):
        return "alive"
    held = Run.objects.filter(
        pk=run.pk, state=Run.State.RUNNING, worker=run.worker, attempt=run.attempt
    )
    if run.attempt >= conf.MAX_ATTEMPTS:
        tail = log_tail(Path(run.folder)) if run.folder else ""
        changed = held.update(
            state=Run.State.FAILED,
            error=f"Its worker died {run.attempt} times; it was not tried again.",
            log=tail,
            finished_at=timezone.now(),
        )
        return "failed" if changed else "alive"
    changed = held.update(state=Run.State.QUEUED, worker="", heartbeat_at=timezone.now())
    return "requeued" if changed else "alive"


def reset(run: Run) -> None:
    """Put an ended run back in the queue; what it had reached is taken up again."""
    ended = [Run.State.FAILED, Run.State.CANCELLED]
    Run.objects.filter(pk=run.pk, state__in=ended).update(
        state=Run.State.QUEUED, attempt=0, worker="", error="", finished_at=None
    )


class _Lost(Exception):
    """Another worker, or a person, took the run away."""


def _claim(run_id: str) -> Run | None:
    claimed = Run.objects.filter(pk=run_id, state=Run.State.QUEUED).update(
        state=Run.State.RUNNING,
        worker=me(),
        attempt=F("attempt") + 1,
        heartbeat_at=timezone.now(),
        started_at=Coalesce("started_at", timezone.now()),
        error="",
    )
    if not claimed:
        return None
    return Run.objects.select_related("project", "round", "snapshot", "base").get(pk=run_id)


def _write(run: Run, **fields: Any) -> None:
    """Write to a run this worker holds; raises _Lost when it does not hold it any more."""
    changed = Run.objects.filter(
        pk=run.pk, state=Run.State.RUNNING, worker=run.worker, attempt=run.attempt
    ).update(**fields)
    if not changed:
        raise _Lost
    for name, value in fields.items():
        setattr(run, name, value)


def _end(run: Run, state: str, **fields: Any) -> None:
    try:
        _write(run, state=state, finished_at=timezone.now(), **fields)
    except _Lost:
        return
    events.run_changed(run)


def _work(run: Run) -> None:
    files.need_room(Path(settings.RUNS_DIR))
    folder = Path(settings.RUNS_DIR) / str(run.pk)
    folder.mkdir(parents=True, exist_ok=True)
    _write(run, folder=str(folder), phase="preparing", heartbeat_at=timezone.now())
    events.run_changed(run)
    with _heart(run):
        assembly.assemble(run, folder)
    while True:
        code = _follow(run, folder)
        report = files.read_json(folder / "report.json") or {}
        if code == EXIT_DONE and report.get("status") == "done":
            break
        if code in (EXIT_FAILED, EXIT_REFUSED, EXIT_DONE) or run.attempt >= conf.MAX_ATTEMPTS:
            _write(run, log=log_tail(folder))
            raise RunFailed(_reason(code, report, run.attempt))
        # Killed or stopped from outside: the same command resumes from its checkpoint.
        logger.warning("The trainer of run %s ended with %s; it is started again.", run.pk, code)
        _write(run, attempt=run.attempt + 1)
    _write(run, phase="keeping", log=log_tail(folder), heartbeat_at=timezone.now())
    with _heart(run):
        model = products.keep(run, folder, report)
    metrics = report.get("metrics") or {}
    if report.get("warnings"):
        metrics["warnings"] = report["warnings"][:20]
    _end(run, Run.State.DONE, metrics=metrics, model=model, phase="", step=run.total)


@contextmanager
def _heart(run: Run) -> Iterator[None]:
    """Keep the run's heartbeat while one long step has this thread."""
    done = threading.Event()

    def beat() -> None:
        mine = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING, worker=run.worker)
        try:
            while not done.wait(HEART_SECONDS):
                try:
                    mine.update(heartbeat_at=timezone.now())
                except DatabaseError:
                    # One beat is lost, not the heart: the next is tried on a new connection.
                    logger.warning("A heartbeat of run %s was lost.", run.pk, exc_info=True)
                    connection.close()
        finally:
            connection.close()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _follow(run: Run, folder: Path) -> int:
    """Run the trainer to its end, passing its progress on; the exit code."""
    lines = Lines(folder / "progress.jsonl", from_end=bool(run.curve))
    trainer = Trainer(folder)
    last_beat = 0.0
    try:
        while (code := trainer.wait(POLL_SECONDS)) is None:
            if time.monotonic() - last_beat >= BEAT_SECONDS:
                last_beat = time.monotonic()
                _report(run, lines.new())
        _report(run, lines.new())
        return code
    finally:
        if trainer.ended() is None:
            trainer.stop()


def _report(run: Run, added: list[dict[str, Any]]) -> None:
    """The heartbeat, with what the trainer said since the last one."""
    if not added:
        _write(run, heartbeat_at=timezone.now())
        return
    newest = added[-1]
    curve = thinned([*run.curve, *added])
    numbers = {k: v for k, v in newest.items() if k not in ("t", "phase", "step", "total")}
    _write(
        run,
        heartbeat_at=timezone.now(),
        phase=str(newest.get("phase", ""))[:40],
        step=max(0, int(newest.get("step") or 0)),
        total=max(0, int(newest.get("total") or 0)),
        metrics=run.metrics | numbers,
        curve=curve,
    )
    events.run_changed(run, newest)


def thinned(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most CURVE_POINTS of the points, evenly spread, the newest always among them."""
    while len(points) > CURVE_POINTS:
        points = points[:-1:2] + points[-1:]
    return points


def _reason(code: int, report: dict[str, Any], attempt: int) -> str:
    if report.get("reason") and code in (EXIT_FAILED, EXIT_REFUSED):
        return str(report["reason"])
    if code < 0:
        return f"The trainer was killed by signal {-code}, {attempt} times in all."
    if code == EXIT_DONE:
        return "The trainer ended without a report."
    return f"The trainer ended with exit code {code}; see the end of its log."
