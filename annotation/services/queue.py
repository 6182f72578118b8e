"""Handing out tasks and taking back judgments, so that no task is over-collected and none lost.

Locks are always taken in one order: the person's advisory lock (claims only), the task's row,
then its assignments and judgments. Whoever changes a lease or a judgment holds the task's row, so
`taken` and `done` are exact and the table's check constraints are the last word. Times of leases
are the database's, so that clocks of web hosts do not matter.

Statements (BEGIN and COMMIT not counted), each asserted in the tests: a claim takes 3 (the next
task, its assignment, its candidates); a submit 2 (what was asked, the judgment), and one more for
each table of typed rows where it is not a plain pair. The REST doors for programs and pages ask
the same functions of the database in 2 statements each (annotation.hot).
"""

from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from annotation import bodies
from annotation.models import Assignment, Draft, Judgment, Project, Task
from annotation.services import calibration, log, parts
from annotation.services.leases import (
    complete,
    copy_for,
    end,
    heartbeat,
    is_in,
    keep_for,
    keep_nothing_for,
    locked,
    reassign,
    release,
    save_draft,
    skip,
    sweep_expired,
    undo,
)
from annotation.services.questions import question_of
from annotation.services.storing import SUBMIT, drawn_up, known, only_pairwise, submit_values
from config.errors import Conflict, Invalid
from config.models import User

__all__ = [
    "Submitted",
    "check_key",
    "claim",
    "claim_ahead",
    "heartbeat",
    "keep_for",
    "keep_nothing_for",
    "project_of",
    "reassign",
    "release",
    "save_draft",
    "skip",
    "submit",
    "sweep_expired",
    "undo",
    "valid_uuid",
]

# How the next task is chosen is told in the database's own function (migration 0007).
CLAIM = "SELECT outcome, assignment, task FROM annotation_claim(%s, %s, %s, %s)"

REFUSALS = {
    "archived": "The project is archived.",
    "paused": "The project is paused. Your work is kept; come back later.",
    "person paused": "A reviewer paused your work in this project. Your work is kept.",
    "calibrating": "You have done the exercise. 'My quality' says how it went and what comes next.",
}


class Submitted(NamedTuple):
    """What a submit gave: the judgment, and whether this call stored it."""

    judgment: Judgment
    created: bool


# Claiming -----------------------------------------------------------------------------------


@transaction.atomic
def claim(*, project: str, by: User) -> Assignment | None:
    """Lease the next task of a project to a person; None when there is none for them.

    A person who holds a lease gets the same one again, or the one taken in advance when there is
    no other. Then comes what is reserved for them, the
    exercise of a newcomer, and the queue: by priority, breadth or depth first as the project says,
    with gold and repeats mixed in at the project's rates. Raises Project.DoesNotExist for a project
    that is not theirs and Conflict while the project or the person is paused.
    The returned assignment has `.task` with `.project` and `.in_order`, its candidates as shown.
    """
    outcome, assignment, task = _ask(project, by)
    if outcome == "calibrating" and calibration.settle_for(project=project, user=by):
        outcome, assignment, task = _ask(project, by)
    if outcome == "none":
        # Before the answer is 'none left', a second look waits for rows that others hold at this
        # moment, since they may leave room.
        sweep_expired(project=Project.objects.get(slug=project))
        outcome, assignment, task = _ask(project, by, wait=True)
    if outcome == "repeat":
        copy_for(task, by)
        outcome, assignment, task = _ask(project, by)
    if outcome == "none":
        return None
    if outcome == "unknown":
        raise Project.DoesNotExist
    if outcome in REFUSALS:
        raise Conflict(REFUSALS[outcome])
    return _found(assignment, by)


@transaction.atomic
def claim_ahead(*, project: str, by: User) -> Assignment | None:
    """Lease, or find, the task that comes after the one a person holds, to show it without
    waiting when that one is sent. None where there is none, or it is not settled yet."""
    outcome, assignment, task = _ask(project, by, ahead=True)
    if outcome == "repeat":
        copy_for(task, by)
        outcome, assignment, task = _ask(project, by, ahead=True)
    return _found(assignment, by) if outcome == "leased" else None


def _found(assignment: UUID, by: User) -> Assignment:
    """The assignment with all that shows it."""
    found = Assignment.objects.select_related("task__project", "draft").get(pk=assignment)
    if not hasattr(found, "draft"):
        found._state.fields_cache["draft"] = None  # looked for already
    found.annotator = by
    return complete(found, found.task.project)


def _ask(
    slug: str, by: User, *, wait: bool = False, ahead: bool = False
) -> tuple[str, UUID | None, int | None]:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [slug, by.pk, wait, ahead])
        return cursor.fetchone()


# Submitting ---------------------------------------------------------------------------------


def submit(*, assignment_id: UUID, by: User, body: dict, key: str | None = None) -> Submitted:
    """Store a judgment. The same key again gives what was stored, and stores nothing.

    Work that comes after the lease ran out counts while the task has room, and is kept as
    surplus otherwise. Raises Invalid for a bad body or key, Assignment.DoesNotExist for a lease
    that is not theirs, and Conflict, with the reason, when it cannot be taken.
    """
    check_key(key)
    try:
        return _submit_held(assignment_id, by, body, key) or _submit(assignment_id, by, body, key)
    except IntegrityError:
        # The same key at the same moment on another task: the constraint had the last word.
        raise Conflict("This Idempotency-Key is in use; make a new one and send again.") from None


@transaction.atomic
def _submit_held(assignment_id: UUID, by: User, body: dict, key: str | None) -> Submitted | None:
    """The usual case, a lease that is held: one look and one statement, and one for each table
    of typed rows but the pairwise. None, with nothing stored, when it is another case."""
    assignment = Assignment.objects.of(by).select_related("task__project").get(pk=assignment_id)
    if assignment.state != Assignment.State.LEASED:
        return None
    _check_token(assignment, body)
    task, project = assignment.task, assignment.task.project
    checked = bodies.read(question_of(task, project=project, shown=assignment.shown), body)
    judgment, typed = drawn_up(assignment, checked, by=by, key=key)
    with connection.cursor() as cursor:
        values = submit_values(judgment, typed, pseudonym=by.pseudonym, token=assignment.token)
        cursor.execute(SUBMIT, values)
        if not cursor.fetchone()[0]:
            return None
    if not only_pairwise(typed):
        parts.save(typed)
    return Submitted(known(judgment, typed), created=True)


@transaction.atomic
def _submit(assignment_id: UUID, by: User, body: dict, key: str | None) -> Submitted:
    assignment = locked(assignment_id, by)
    task, project = assignment.task, assignment.task.project
    earlier = _earlier(task, by, key)
    if earlier is not None:
        if key is None or earlier.idempotency_key != key:
            raise Conflict("You have judged this task already; undo that first to change it.")
        if earlier.assignment_id != assignment.pk:
            raise Conflict("This Idempotency-Key was used for another task; make a new one.")
        if earlier.withdrawn_at is not None:
            raise Conflict("This judgment was undone; send the new one under a new key.")
        return Submitted(earlier, created=False)
    if assignment.state == Assignment.State.SKIPPED:
        raise Conflict("You skipped this task; your answer was not stored.")
    _check_token(assignment, body)
    checked = bodies.read(question_of(task, project=project, shown=assignment.shown), body)
    held = assignment.state == Assignment.State.LEASED
    surplus = not held and not (task.has_room_for(by) and is_in(project, by))
    judgment, typed = drawn_up(assignment, checked, by=by, key=key, surplus=surplus)
    judgment.save(force_insert=True)
    parts.save(typed)
    log.stored(judgment, typed, actor=by.pseudonym)
    end(assignment, Assignment.State.SUBMITTED)
    if not surplus:
        task.taken += not held
        task.done += 1
        if task.state == Task.State.OPEN and task.done >= task.overlap:
            task.state = Task.State.DONE
        task.save(update_fields=["taken", "done", "state"])
    Draft.objects.filter(assignment=assignment).delete()
    return Submitted(known(judgment, typed), created=True)


def check_key(key: object) -> None:
    """Raise Invalid for an idempotency key that cannot be stored."""
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= 80 and key.isprintable()):
        raise Invalid(
            "Idempotency-Key must be 1 to 80 printable characters.",
            fields={"Idempotency-Key": "must be 1 to 80 printable characters"},
        )


def _check_token(assignment: Assignment, body: object) -> None:
    token = body.get("token") if isinstance(body, dict) else None
    if token is not None and token != str(assignment.token):
        raise Conflict(
            "This lease was handed out again after it ended; claim once more, then send."
        )


def _earlier(task: Task, by: User, key: str | None) -> Judgment | None:
    """What this person stored under this key, or else their standing judgment of this task."""
    same = Q(task=task, withdrawn_at=None)
    if key is not None:
        same |= Q(idempotency_key=key)
    found = list(Judgment.objects.of(by).filter(same).select_related("pairwise"))
    return next((j for j in found if key is not None and j.idempotency_key == key), None) or next(
        iter(found), None
    )


def project_of(*, assignment_id: UUID, by: User) -> str:
    """The slug of the project one's own assignment belongs to."""
    return (
        Assignment.objects.of(by)
        .values_list("task__project__slug", flat=True)
        .get(pk=assignment_id)
    )


def valid_uuid(value: object) -> UUID:
    """A UUID out of a client's text. Raises Invalid otherwise."""
    try:
        return UUID(str(value))
    except ValueError:
        raise Invalid("This is not an id.", fields={"id": "must be a UUID"}) from None
