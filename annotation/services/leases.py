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


def is_in(project: Project, person: User) -> bool:
    """Whether a person has a place in a project (now, not when they were given a task)."""
    return Project.objects.visible_to(person).filter(pk=project.pk).exists()


def end(assignment: Assignment, state: str, **changes) -> None:
    assignment.state, assignment.ended_at = state, timezone.now()
    for name, value in changes.items():
        setattr(assignment, name, value)
    assignment.save(update_fields=["state", "ended_at", *changes])


# Taking back ------------------------------------------------------------------------------


@transaction.atomic
def undo(*, judgment_id: UUID, by: User) -> Assignment:
    """Withdraw one's own last judgment within the project's undo window; the lease comes back.

    Raises Judgment.DoesNotExist for someone else's, and for people who left the project, and
    Conflict, with the reason, when it is not the last one, too old, adjudicated or undone already.
    """
    judgment = Judgment.objects.of(by).select_related("project").get(pk=judgment_id)
    if not is_in(judgment.project, by):
        raise Judgment.DoesNotExist
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
        held = _retake(task, by)
    assignment = _give_back(judgment.assignment_id, project, held=held)
    return complete(assignment, project)


def _minutes(seconds: int) -> str:
    return f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"


def _retake(task: Task, person: User) -> bool:
    """Count the person in again if the task, locked by the caller, has room for them."""
    if not task.has_room_for(person):
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
        is_ahead=False,
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
    task = assignment.task
    if (
        state == Assignment.State.SKIPPED
        and task.reserved_for_id == by.pk
        and not task.repeat_of_id
    ):
        Task.objects.filter(pk=task.pk).update(reserved_for=None)  # anyone's, not nobody's
    if assignment.state == Assignment.State.LEASED:
        Task.objects.filter(pk=assignment.task_id).update(taken=F("taken") - 1)
    end(assignment, state, **changes)


# Keeping a lease, and its end -------------------------------------------------------------


@transaction.atomic
def heartbeat(*, assignment_id: UUID, by: User) -> Assignment:
    """Extend a lease from now, with what was taken in advance. One that ran out is taken up again
    while the task has room. Raises Assignment.DoesNotExist for people who left the project."""
    assignment = locked(assignment_id, by)
    task, project = assignment.task, assignment.task.project
    if not is_in(project, by):
        raise Assignment.DoesNotExist
    if assignment.state == Assignment.State.EXPIRED and not _retake(task, by):
        raise Conflict(
            "Your time ran out and others took this task. Send your answer all the same: "
            "it is kept."
        )
    if assignment.state not in (Assignment.State.LEASED, Assignment.State.EXPIRED):
        raise Conflict(f"This lease has ended: {assignment.get_state_display().lower()}.")
    until = Now() + timedelta(seconds=project.lease_seconds)
    Assignment.objects.filter(pk=assignment.pk).update(
        state=Assignment.State.LEASED, ended_at=None, expires_at=until
    )
    ahead = Assignment.objects.leased().of(by).filter(is_ahead=True, task__project=project)
    ahead.update(expires_at=until)
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
    """Give a task to one person: a place of it is kept for them, and it comes next for them.

    Leases that others hold on it end; what they send all the same is kept. Raises Conflict when
    the person judged it already or cannot be given it, and when nothing is left to judge.
    """
    task = Task.objects.select_for_update().get(pk=task.pk)
    others = task.assignments.leased().exclude(annotator=to)
    task.taken -= others.update(state=Assignment.State.EXPIRED, ended_at=Now())
    task.save(update_fields=["taken"])
    return keep_for(task, to)


def keep_for(task: Task, to: User) -> Task:
    """Keep a place of a task, locked by the caller, for one person. Raises Conflict as `reassign`
    does."""
    project = task.project
    if task.state != Task.State.OPEN:
        raise Conflict(f"This task is {task.get_state_display().lower()}; nothing is left to do.")
    if project.archived_at is not None or project.is_paused:
        raise Conflict("The project is paused or archived; nobody is given a task.")
    if not is_in(project, to):
        raise Conflict(f"{to.username} is not in this project.")
    if not to.is_active or "annotate" not in to.scopes:
        raise Conflict(f"{to.username} may not annotate.")
    place = project.memberships.filter(user=to).first()
    if place is not None and place.is_paused:
        raise Conflict(f"{to.username} is paused in this project.")
    lacks = sorted(set(task.skills) - set(place.skills if place is not None else ()))
    if lacks:
        raise Conflict(f"{to.username} lacks a skill that this task asks for: {', '.join(lacks)}.")
    if Judgment.objects.of(to).filter(task=task, withdrawn_at=None).exists():
        raise Conflict(f"{to.username} has judged this task already.")
    if task.candidates.filter(author=to).exists():
        raise Conflict(f"{to.username} wrote one of its answers.")
    if task.taken == task.overlap and not task.assignments.leased().of(to).exists():
        raise Conflict("Everyone this task asked for has judged it, or is about to.")
    task.assignments.of(to).filter(state=Assignment.State.SKIPPED).update(
        state=Assignment.State.RELEASED
    )
    task.reserved_for = to
    task.save(update_fields=["reserved_for"])
    return task


def keep_nothing_for(person: User, *, project: Project | None = None) -> None:
    """Let others have what was kept for a person; what only they could be asked again is asked
    of nobody."""
    kept = Task.objects.filter(reserved_for=person, state=Task.State.OPEN)
    if project is not None:
        kept = kept.filter(project=project)
    kept.filter(repeat_of=None).update(reserved_for=None)
    kept.exclude(repeat_of=None).update(state=Task.State.WITHDRAWN)


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
