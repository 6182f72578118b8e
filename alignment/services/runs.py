"""Runs: put one in the queue, work on it, cancel it. One worker holds a run at a time.

The claim is a conditional update of the row, and every later write of the holder names the
worker and the attempt it claimed as. So a message delivered twice does nothing, and a worker
that was given up for dead cannot write over the one that took its place.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Case, F, Q, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from alignment import conf, events
from alignment.errors import RunFailed, in_words
from alignment.models import Run, Snapshot
from alignment.services import assembly, devices, files, products, recipes, snapshots
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
    priority: int = 0,
    processes: int = 1,
    by=None,
    send: bool = True,
    files_too: bool = False,
) -> Run:
    """Queue a training run of a recipe on a snapshot. Raises Invalid for what cannot be trained.

    A policy begins with `base`, by default what serves the snapshot's project. With `send`
    false no worker is told; with `files_too` the recipe may be the path of a YAML file. Of the
    runs that wait, the one with the highest `priority` goes first; one with several `processes`
    takes as many devices of a host and is started by `accelerate launch`.
    """
    found = recipes.load(recipe, files=files_too)
    task = recipes.trained_by(found)
    checked = recipes.params_for(task, dict(found.stages[task]), params or {})
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise Invalid("The seed must be a whole number from 0.", fields={"seed": "is not one"})
    for name, value, low, high in (
        ("priority", priority, -100, 100),
        ("processes", processes, 1, 64),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Invalid(
                f"The {name} must be a whole number from {low} to {high}.",
                fields={name: "is not one"},
            )
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
        priority=priority,
        processes=processes,
        requested_by=by,
    )
    if send:
        launch(run=run)
    return run


def launch(*, run: Run) -> None:
    """Put a queued run before the workers once the present transaction is kept."""
    from alignment.tasks import execute_run

    now = timezone.now()
    Run.objects.filter(pk=run.pk, state=Run.State.QUEUED).update(heartbeat_at=now)
    wait = (run.not_before - now).total_seconds() if run.not_before else 0
    if wait > 0:
        transaction.on_commit(lambda: execute_run.apply_async([str(run.pk)], countdown=wait))
    else:
        transaction.on_commit(lambda: execute_run.delay(str(run.pk)))


def cancel(*, run: Run) -> Run:
    """Stop a run; the worker that holds it ends the trainer within a second or two."""
    changed = Run.objects.filter(pk=run.pk, state__in=[*Run.ACTIVE, Run.State.PAUSED]).update(
        state=Run.State.CANCELLED, error="Cancelled by a person.", finished_at=timezone.now()
    )
    run.refresh_from_db()
    if not changed:
        raise Conflict(f"This run is {run.get_state_display().lower()} already.")
    events.run_changed(run)
    return run


def pause(*, run: Run) -> Run:
    """Stop a run so that it can go on later; its trainer writes a checkpoint first."""
    changed = Run.objects.filter(pk=run.pk, state__in=Run.ACTIVE).update(state=Run.State.PAUSED)
    run.refresh_from_db()
    if not changed:
        raise Conflict(f"This run is {run.get_state_display().lower()} already.")
    events.run_changed(run)
    return run


def resume(*, run: Run, send: bool = True) -> Run:
    """Let a paused run go on from its checkpoint, on whichever worker is free."""
    stale = timezone.now() - timedelta(seconds=conf.STALE_SECONDS)
    left = Q(worker="") | Q(heartbeat_at=None) | Q(heartbeat_at__lt=stale)
    changed = Run.objects.filter(left, pk=run.pk, state=Run.State.PAUSED).update(
        state=Run.State.QUEUED, worker="", attempt=0, not_before=None
    )
    run.refresh_from_db()
    if not changed and run.state == Run.State.PAUSED:
        raise Conflict("Its worker is still writing the checkpoint; try again in a moment.")
    if not changed:
        raise Conflict(f"Only a paused run can go on; this one is {run.get_state_display()}.")
    if send:
        launch(run=run)
    events.run_changed(run)
    return run


def execute(run_id: str) -> bool:
    """Work on a run until it ends. False when it was not there to be had: nothing was done."""
    waiting = Run.objects.filter(pk=run_id, state=Run.State.QUEUED).first()
    if waiting is None:
        return False
    lease = devices.claim(waiting, host=conf.HOST, worker=me())
    if lease is None:
        return False
    try:
        run = _claim(run_id)
        if run is None:
            return False
        _carry_out(run, lease)
    finally:
        devices.release(lease)
    return True


def execute_next(hint: str) -> str | None:
    """Work on the run that should go first now; its id, None when there was nothing to do.

    A message says that there is a run to do, not which: that is for the priorities. `hint` goes
    first among equals.
    """
    now = timezone.now()
    ready = Run.objects.filter(
        Q(not_before=None) | Q(not_before__lte=now), state=Run.State.QUEUED
    ).exclude(heartbeat_at=None, round__isnull=False)
    first = Case(When(pk=hint, then=0), default=1)
    chosen = ready.order_by("-priority", first, "created_at").values_list("pk", flat=True).first()
    return str(chosen) if chosen and execute(str(chosen)) else None


def waits_for_device(run_id: str) -> bool:
    """Whether a run is ready, and every device of this host is taken."""
    ready = Run.objects.filter(pk=run_id, state=Run.State.QUEUED)
    if not ready.exists() or devices.any_free(host=conf.HOST):
        return False
    # Its message is not lost, so no second one is to be sent.
    ready.exclude(heartbeat_at=None).update(heartbeat_at=timezone.now())
    return True


def _carry_out(run: Run, lease: devices.Lease) -> None:
    try:
        _work(run, lease)
    except _Lost:
        logger.warning("Run %s was taken away from this worker.", run.pk)
        # Only now may a paused run go on elsewhere: its trainer has ended.
        Run.objects.filter(
            pk=run.pk, state=Run.State.PAUSED, worker=run.worker, attempt=run.attempt
        ).update(worker="")
    except Exception as error:
        known = isinstance(error, DomainError)
        logger.warning("Run %s failed.", run.pk, exc_info=not known)
        _end(run, Run.State.FAILED, error=in_words(error))


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
    devices.free_of([run.worker])
    now = timezone.now()
    wait = timedelta(seconds=back_off(run.attempt))
    changed = held.update(
        state=Run.State.QUEUED, worker="", heartbeat_at=now, not_before=now + wait if wait else None
    )
    return "requeued" if changed else "alive"


def back_off(attempt: int) -> int:
    """Seconds to wait after the death of an attempt: none after the first, then ever more."""
    return conf.BACK_OFF_SECONDS * 2 ** (attempt - 2) if attempt > 1 else 0


def reset(run: Run) -> None:
    """Put an ended run back in the queue; what it had reached is taken up again."""
    ended = [Run.State.FAILED, Run.State.CANCELLED]
    Run.objects.filter(pk=run.pk, state__in=ended).update(
        state=Run.State.QUEUED,
        attempt=0,
        worker="",
        error="",
        finished_at=None,
        not_before=None,
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


def _work(run: Run, lease: devices.Lease) -> None:
    files.need_room(Path(settings.RUNS_DIR))
    folder = Path(settings.RUNS_DIR) / str(run.pk)
    folder.mkdir(parents=True, exist_ok=True)
    _write(run, folder=str(folder), phase="preparing", heartbeat_at=timezone.now())
    events.run_changed(run)
    with _heart(run, lease):
        assembly.assemble(run, folder)
    while True:
        code = _follow(run, folder, lease)
        report = files.read_json(folder / "report.json") or {}
        if code == EXIT_DONE and report.get("status") == "done":
            break
        if code in (EXIT_FAILED, EXIT_REFUSED, EXIT_DONE) or run.attempt >= conf.MAX_ATTEMPTS:
            _write(run, log=log_tail(folder))
            raise RunFailed(_reason(code, report, run.attempt))
        # Killed or stopped from outside: the same command resumes from its checkpoint.
        logger.warning("The trainer of run %s ended with %s; it is started again.", run.pk, code)
        _rest(run, back_off(run.attempt), lease)
        _write(run, attempt=run.attempt + 1)
    _write(run, phase="keeping", log=log_tail(folder), heartbeat_at=timezone.now())
    with _heart(run, lease):
        model = products.keep(run, folder, report)
    metrics = report.get("metrics") or {}
    if report.get("warnings"):
        metrics["warnings"] = report["warnings"][:20]
    _end(run, Run.State.DONE, metrics=metrics, model=model, phase="", step=run.total)


@contextmanager
def _heart(run: Run, lease: devices.Lease) -> Iterator[None]:
    """Keep the run's heartbeat and its devices while one long step has this thread."""
    done = threading.Event()

    def beat() -> None:
        mine = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING, worker=run.worker)
        try:
            while not done.wait(HEART_SECONDS):
                try:
                    mine.update(heartbeat_at=timezone.now())
                    devices.renew(lease)
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


def _rest(run: Run, seconds: float, lease: devices.Lease) -> None:
    """Wait before another try, alive for all to see."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        _beat(run, lease)
        time.sleep(min(BEAT_SECONDS, left))


def _follow(run: Run, folder: Path, lease: devices.Lease) -> int:
    """Run the trainer to its end, passing its progress and its log on; the exit code."""
    lines = Lines(folder / "progress.jsonl", from_end=bool(run.curve))
    trainer = Trainer(folder, processes=run.processes, devices=lease.names)
    last_beat = 0.0
    try:
        with _Deadman(trainer) as alive:
            while (code := trainer.wait(POLL_SECONDS)) is None:
                if time.monotonic() - last_beat >= BEAT_SECONDS:
                    last_beat = time.monotonic()
                    _beat(run, lease)
                    _report(run, lines.new(), log_tail(folder))
                    alive()
        _report(run, lines.new(), log_tail(folder))
        return code
    finally:
        if trainer.ended() is None:
            trainer.stop()


class _Deadman:
    """Ends a trainer whose worker cannot say that it is alive: by then another one may have
    the run, and two must not write to one folder."""

    def __init__(self, trainer: Trainer):
        self._trainer = trainer
        self._last = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Callable[[], None]:
        self._thread.start()
        return self._alive

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _alive(self) -> None:
        self._last = time.monotonic()

    def _watch(self) -> None:
        while not self._done.wait(BEAT_SECONDS):
            if time.monotonic() - self._last > conf.STALE_SECONDS:
                logger.warning("The database was not reached for too long; the trainer is ended.")
                self._trainer.kill()
                return


def _beat(run: Run, lease: devices.Lease) -> None:
    """Say that this worker is alive and still holds the run and its devices."""
    _write(run, heartbeat_at=timezone.now())
    if not devices.renew(lease):
        raise _Lost


def _report(run: Run, added: list[dict[str, Any]], log: str) -> None:
    """Keep what the trainer said since the last time, and tell those who watch."""
    if log != run.log:
        _write(run, log=log)
        events.log_changed(run)
    if not added:
        return
    newest = added[-1]
    curve = thinned([*run.curve, *added])
    numbers = {k: v for k, v in newest.items() if k not in ("t", "phase", "step", "total")}
    _write(
        run,
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
