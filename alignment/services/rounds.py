"""Rounds: start one, move it on step by step, cancel it, try it again.

`advance` does every step that is ready and stops at a run that is under way; the end of the run
calls it again. All it knows is in the rows, so it goes on from any of them after any death.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from alignment import events
from alignment.errors import NotNow, in_words
from alignment.models import Round, Run
from alignment.services import locks, plan, runs, steps
from annotation.models import Project
from config.errors import Conflict, DomainError

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.5
STEPS = list(Round.Step.values)


def start(
    *,
    project: Project,
    by=None,
    trigger: str = "hand",
    config: dict[str, Any] | None = None,
    send: bool = True,
) -> Round:
    """Queue a round. Raises NotNow while one is under way, Invalid for a bad `config`.

    With `send` false no worker is told; the caller does the work (`work`).
    """
    settings = plan.complete(project.options, config)
    try:
        with transaction.atomic():
            locks.wait_for(f"rounds:{project.pk}")
            active = project.rounds.filter(state__in=Round.ACTIVE).first()
            if active is not None:
                raise NotNow(
                    f"Round {active.number} of '{project.slug}' is {active.state}; "
                    "one round at a time."
                )
            number = (project.rounds.aggregate(last=Max("number"))["last"] or 0) + 1
            turn = Round.objects.create(
                project=project,
                number=number,
                trigger=trigger,
                config=settings,
                requested_by=by,
            )
    except IntegrityError:
        raise NotNow(f"Another round of '{project.slug}' has just begun.") from None
    if send:
        _send(turn)
    events.round_changed(turn)
    return turn


def work(round_id) -> None:
    """Do a round from here to its end in this process, its runs too."""
    active = Round.objects.filter(pk=round_id, state__in=Round.ACTIVE)
    while active.exists():
        if not advance(round_id, hand_over=lambda run: runs.execute(str(run.pk))):
            time.sleep(WAIT_SECONDS)


def advance(round_id, *, hand_over: Callable[[Run], Any] | None = None) -> bool:
    """Move a round on as far as it goes now. False when another process is at it, or it ended.

    The run it then waits for goes to `hand_over`, by default to the workers.
    """
    with locks.held(f"round:{round_id}") as mine:
        if not mine:
            return False
        turn = Round.objects.select_related("project", "snapshot", "base").get(pk=round_id)
        if turn.state not in Round.ACTIVE:
            return False
        waiting = _advance(turn)
    if waiting is not None and hand_over is not None:
        hand_over(waiting)
    elif waiting is not None:
        runs.launch(run=waiting)
    return True


def cancel(*, turn: Round) -> Round:
    """Stop a round and the run it waits for. What serves stays as it is."""
    with transaction.atomic():
        changed = Round.objects.filter(pk=turn.pk, state__in=Round.ACTIVE).update(
            state=Round.State.CANCELLED, error="Cancelled by a person.", finished_at=timezone.now()
        )
        if not changed:
            turn.refresh_from_db()
            raise Conflict(f"Round {turn.number} is {turn.get_state_display().lower()} already.")
        for run in turn.runs.filter(state__in=[*Run.ACTIVE, Run.State.PAUSED]):
            runs.cancel(run=run)
    turn.refresh_from_db()
    events.round_changed(turn)
    return turn


def retry(*, turn: Round) -> Round:
    """Take a failed or cancelled round up again at the step where it ended."""
    with transaction.atomic():
        locks.wait_for(f"rounds:{turn.project_id}")
        if turn.project.rounds.filter(state__in=Round.ACTIVE).exists():
            raise NotNow(f"Another round of '{turn.project.slug}' is under way.")
        changed = Round.objects.filter(
            pk=turn.pk, state__in=[Round.State.FAILED, Round.State.CANCELLED]
        ).update(state=Round.State.QUEUED, error="", finished_at=None)
        if not changed:
            raise Conflict(f"Only a failed or cancelled round can be tried again, not {turn}.")
        for run in turn.runs.filter(state__in=[Run.State.FAILED, Run.State.CANCELLED]):
            runs.reset(run)
    turn.refresh_from_db()
    _send(turn)
    events.round_changed(turn)
    return turn


def _send(turn: Round) -> None:
    from alignment.tasks import execute_round

    transaction.on_commit(lambda: execute_round.delay(str(turn.pk)))


def _advance(turn: Round) -> Run | None:
    """Do what can be done; the queued run to launch, if that is what the round waits for."""
    if turn.state == Round.State.QUEUED and not _write(turn, state=Round.State.RUNNING):
        return None
    if turn.started_at is None:
        _write(turn, started_at=timezone.now())
    while True:
        if not _note(turn, turn.step, "running"):
            return None
        try:
            outcome = steps.DO[turn.step](turn)
        except Exception as error:
            known = isinstance(error, DomainError)
            logger.warning("Round %s failed at %s.", turn.pk, turn.step, exc_info=not known)
            _fail(turn, error)
            return None
        if isinstance(outcome, steps.Waiting):
            return outcome.run if outcome.run.state == Run.State.QUEUED else None
        if not _note(turn, turn.step, outcome.state, outcome.sentence):
            return None
        following = STEPS.index(outcome.then or turn.step) + (0 if outcome.then else 1)
        if following == len(STEPS):
            _write(turn, state=_verdict(turn), finished_at=timezone.now())
            events.round_changed(turn)
            return None
        _write(turn, step=STEPS[following])


def _verdict(turn: Round) -> str:
    return Round.State.RELEASED if turn.gate.get("passed") else Round.State.REFUSED


def _fail(turn: Round, error: Exception) -> None:
    reason = in_words(error)
    if turn.step == Round.Step.ASK:
        # The verdict stands and serves; that nobody was asked about it does not undo this.
        _note(turn, turn.step, "failed", reason)
        _write(turn, state=_verdict(turn), finished_at=timezone.now())
    else:
        _note(turn, turn.step, "failed", reason)
        _write(turn, state=Round.State.FAILED, error=reason, finished_at=timezone.now())
    events.round_changed(turn)


def _note(turn: Round, step: str, state: str, sentence: str = "") -> bool:
    """Write how a step stands into the round; False when the round is not active any more."""
    noted = dict(turn.steps.get(step, {}))
    now = timezone.now().isoformat(timespec="seconds")
    changed = noted.get("state") != state
    noted |= {"state": state, "sentence": sentence}
    noted.setdefault("started", now)
    if state == "running":
        noted.pop("finished", None)
    else:
        noted["finished"] = now
    if not _write(turn, steps=turn.steps | {step: noted}):
        return False
    if changed:
        events.round_changed(turn)
    return True


def _write(turn: Round, **fields: Any) -> bool:
    """Write to an active round; False when a person has ended it."""
    changed = Round.objects.filter(pk=turn.pk, state__in=Round.ACTIVE).update(**fields)
    for name, value in fields.items():
        setattr(turn, name, value)
    return bool(changed)
