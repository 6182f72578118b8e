"""Leases after they were given: taking a judgment back, passing on, keeping, running out.

The order of locks is that of `annotation.services.queue`: the task's row first, then what hangs
on it.
"""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from django.utils import timezone

from annotation.formats.lines import unstorable
from annotation.models import Assignment, Candidate, Draft, Judgment, Project, Task
from annotation.services import log
from config.errors import Conflict, Invalid
from config.models import User


def complete(
    assignment: Assignment, project: Project, candidates: list[Candidate] | None = None
) -> Assignment:
    """Hang the project and the candidates, in the order shown, on the assignment's task."""
    task = assignment.task
    task.project = project
    if candidates is None:
        candidates = list(task.candidates.all())
    place = {pk: n for n, pk in enumerate(assignment.shown)}
    task.in_order = sorted(candidates, key=lambda c: place[c.pk])
    return assignment


def locked(assignment_id: UUID, by: User) -> Assignment:
    """Own assignment under the lock of its task: first the task's row, then what hangs on it."""
    own = Assignment.objects.of(by).filter(pk=assignment_id)
    task = Task.objects.select_for_update().get(pk__in=own.values("task_id"))
    # Read after the lock was given, so this is how things stand.
    return own.select_related("task__project").get(task=task)


def end(assignment: Assignment, state: str, **changes) -> None:
    assignment.state, assignment.ended_at = state, timezone.now()
    for name, value in changes.items():
        setattr(assignment, name, value)
    assignment.save(update_fields=["state", "ended_at", *changes])


# Taking back ------------------------------------------------------------------------------


@transaction.atomic
def undo(*, judgment_id: UUID, by: User) -> Assignment:
    """Withdraw one's own last judgment within the project's undo window; the lease comes back.

    Raises Judgment.DoesNotExist for someone else's and Conflict, with the reason, when it is
    not the last one, too old, adjudicated or undone already.
    """
    judgment = Judgment.objects.of(by).select_related("project").get(pk=judgment_id)
    task = Task.objects.select_for_update().get(pk=judgment.task_id)
    judgment.refresh_from_db(fields=["withdrawn_at", "surplus"])
    project = judgment.project
    if judgment.withdrawn_at is not None:
        raise Conflict("This judgment was undone already.")
    if judgment.assignment_id is None:
        raise Conflict("An imported judgment cannot be undone here.")
    if task.is_calibration:
        raise Conflict("An answer of the exercise cannot be undone: its solution may be known.")
    verdicts = task.judgments.filter(source=Judgment.Source.REVIEW, withdrawn_at=None)
    if verdicts.exclude(pk=judgment.pk).exists():
        raise Conflict("A reviewer has decided on this task; its judgments cannot be undone.")
    if judgment.created_at < timezone.now() - timedelta(seconds=project.undo_seconds):
        raise Conflict(f"Only the last {_minutes(project.undo_seconds)} can be undone.")
    later = (
        Judgment.objects.of(by)
        .filter(project=project, withdrawn_at=None, created_at__gt=judgment.created_at)
        .exclude(assignment=None)
    )
    if later.exists():
        raise Conflict("Only your last judgment can be undone.")
    judgment.withdrawn_at = timezone.now()
    judgment.save(update_fields=["withdrawn_at"])
    log.withdrawn(judgment, actor=by.pseudonym)
    if not judgment.surplus:
        task.done -= 1
        if task.state == Task.State.DONE:
            task.state = Task.State.OPEN
        task.save(update_fields=["done", "state"])
        held = True
    else:
        held = _retake(task)
    assignment = _give_back(judgment.assignment_id, project, held=held)
    return complete(assignment, project)


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"


def _retake(task: Task) -> bool:
    """Count the person in again if the task, locked by the caller, has room."""
    if not task.has_room():
        return False
    task.taken += 1
    task.save(update_fields=["taken"])
    return True


def _give_back(assignment_id: UUID, project: Project, *, held: bool) -> Assignment:
    """Make the lease run again from now under a new token (or leave it expired, still usable)."""
    Assignment.objects.filter(pk=assignment_id).update(
        state=Assignment.State.LEASED if held else Assignment.State.EXPIRED,
        token=RawSQL("gen_random_uuid()", []),
        claimed_at=Now(),
        expires_at=Now() + timedelta(seconds=project.lease_seconds),
        ended_at=None,
        skip_reason="",
    )
    return Assignment.objects.select_related("task", "annotator").get(pk=assignment_id)


@transaction.atomic
def skip(*, assignment_id: UUID, by: User, reason: str = "") -> None:
    """Pass a task on for good, saying why; this person is not given it again."""
    if not isinstance(reason, str) or len(reason) > 300 or "\x00" in reason:
        raise Invalid(
            "reason must be text of at most 300 characters.", fields={"reason": "is too long"}
        )
    _hand_back(assignment_id, by, Assignment.State.SKIPPED, skip_reason=reason.strip())


@transaction.atomic
def release(*, assignment_id: UUID, by: User) -> None:
    """Put a task back for anyone, oneself included. What was drafted is kept."""
    _hand_back(assignment_id, by, Assignment.State.RELEASED)


def _hand_back(assignment_id: UUID, by: User, state: str, **changes) -> None:
    assignment = locked(assignment_id, by)
    if assignment.state == Assignment.State.SUBMITTED:
        raise Conflict("You have judged this task already; undo that first.")
    if assignment.state == state:
        return
    if assignment.state == Assignment.State.LEASED:
        Task.objects.filter(pk=assignment.task_id).update(taken=F("taken") - 1)
    end(assignment, state, **changes)


# Keeping a lease, and its end -------------------------------------------------------------


@transaction.atomic
def heartbeat(*, assignment_id: UUID, by: User) -> Assignment:
    """Extend a lease from now. One that ran out is taken up again while the task has room."""
    assignment = locked(assignment_id, by)
    task, project = assignment.task, assignment.task.project
    if assignment.state == Assignment.State.EXPIRED and not _retake(task):
        raise Conflict(
            "Your time ran out and others took this task. Send your answer all the same: "
            "it is kept."
        )
    if assignment.state not in (Assignment.State.LEASED, Assignment.State.EXPIRED):
        raise Conflict(f"This lease has ended: {assignment.get_state_display().lower()}.")
    Assignment.objects.filter(pk=assignment.pk).update(
        state=Assignment.State.LEASED,
        ended_at=None,
        expires_at=Now() + timedelta(seconds=project.lease_seconds),
    )
    assignment.refresh_from_db(fields=["state", "expires_at", "ended_at"])
    return assignment


def save_draft(*, assignment_id: UUID, by: User, body: dict) -> Draft:
    """Keep unsent work with the lease; it outlives the lease and is dropped by the submit."""
    if not isinstance(body, dict):
        raise Invalid("A draft must be a JSON object.", fields={"body": "must be an object"})
    reason = unstorable(body)
    if reason:
        raise Invalid(f"The draft {reason}.", fields={"body": reason})
    assignment = Assignment.objects.of(by).get(pk=assignment_id)
    if assignment.state == Assignment.State.SUBMITTED:
        raise Conflict("This task is judged; there is nothing left to draft.")
    draft, _ = Draft.objects.update_or_create(assignment=assignment, defaults={"body": body})
    return draft


# By a reviewer, and by the queue itself ----------------------------------------------------


@transaction.atomic
def reassign(*, task: Task, to: User) -> Task:
    """Keep a task for one person: it comes next for them, and to nobody else from now on.

    Leases that others hold on it end; what they send all the same is kept. Raises Conflict when
    the person judged it already or cannot be given it, and when nothing is left to judge.
    """
    task = Task.objects.select_for_update().get(pk=task.pk)
    if task.state != Task.State.OPEN:
        raise Conflict(f"This task is {task.get_state_display().lower()}; nothing is left to do.")
    if not Project.objects.visible_to(to).filter(pk=task.project_id).exists():
        raise Conflict(f"{to.username} is not in this project.")
    if not to.is_active or "annotate" not in to.scopes:
        raise Conflict(f"{to.username} may not annotate.")
    if Judgment.objects.of(to).filter(task=task, withdrawn_at=None).exists():
        raise Conflict(f"{to.username} has judged this task already.")
    if task.candidates.filter(author=to).exists():
        raise Conflict(f"{to.username} wrote one of its answers.")
    others = task.assignments.leased().exclude(annotator=to)
    ended = others.update(state=Assignment.State.EXPIRED, ended_at=Now())
    task.assignments.of(to).filter(state=Assignment.State.SKIPPED).update(
        state=Assignment.State.RELEASED
    )
    task.taken -= ended
    if task.taken == task.overlap:
        held = task.assignments.leased().of(to).exists()
        if not held:
            raise Conflict("Everyone this task asked for has judged it.")
    task.reserved_for = to
    task.save(update_fields=["taken", "reserved_for"])
    return task


def copy_for(task_id: int, person: User) -> Task:
    """A task asked again of the same person, for self-consistency: a task of its own for them.

    Called by a claim, which holds the person's lock, so there is one copy a person.
    """
    task = Task.objects.get(pk=task_id)
    copy = Task.objects.create(
        project_id=task.project_id,
        kind=task.kind,
        also=task.also,
        prompt=task.prompt,
        prompt_hash=task.prompt_hash,
        overlap=1,
        metadata=task.metadata,
        reserved_for=person,
        repeat_of=task,
        source="repeat",
    )
    made = []
    for row in task.candidates.all():
        row.pk, row.task, row._state.adding = None, copy, True
        made.append(row)
    made = Candidate.objects.bulk_create(made)
    log.entry_for_task(copy, made).save(force_insert=True)
    return copy


def sweep_expired(*, project: Project | None = None, most: int = 1000) -> int:
    """End leases whose time ran out and make room in their tasks; returns how many."""
    with transaction.atomic():
        late = Assignment.objects.leased().filter(expires_at__lt=Now())
        if project is not None:
            late = late.filter(task__project=project)
        # Tasks first, in order, passing over those in use: the same order as everywhere.
        tasks = list(
            Task.objects.filter(pk__in=late.order_by("expires_at").values("task_id")[:most])
            .order_by("pk")
            .select_for_update(skip_locked=True)
            .values_list("pk", flat=True)
        )
        ended = 0
        for task in tasks:
            gone = (
                Assignment.objects.leased()
                .filter(task_id=task, expires_at__lt=Now())
                .update(state=Assignment.State.EXPIRED, ended_at=F("expires_at"))
            )
            if gone:
                Task.objects.filter(pk=task).update(taken=F("taken") - gone)
            ended += gone
    return ended
