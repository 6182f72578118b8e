"""Handing out tasks and taking back judgments, so that no task is over-collected and none lost.

Locks are always taken in one order: the person's advisory lock (claims only), the task's row,
then its assignments and judgments. Whoever changes a lease or a judgment holds the task's row, so
`taken` and `done` are exact and the table's check constraints are the last word. Times of leases
are the database's, so that clocks of web hosts do not matter.

Statements (BEGIN and COMMIT not counted): a claim takes 5 (3 when the person already holds a
lease), a submit 9, each asserted in the tests.
"""

import random
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Case, Q, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from annotation import bodies
from annotation.models import Assignment, Candidate, Draft, Judgment, Project, Task
from annotation.services import log, parts
from annotation.services.leases import (
    complete,
    end,
    heartbeat,
    locked,
    release,
    save_draft,
    skip,
    sweep_expired,
    undo,
)
from annotation.services.questions import question_of
from config.errors import Conflict, Invalid
from config.models import User

__all__ = [
    "Submitted",
    "claim",
    "heartbeat",
    "project_of",
    "release",
    "save_draft",
    "skip",
    "submit",
    "sweep_expired",
    "undo",
    "valid_uuid",
]

# The next task with room for this person: never one they hold, judged or skipped, nor own text.
# SKIP LOCKED passes over rows that others hold at this moment; before the answer is 'none left', a
# second look waits for them instead, since they may leave room. OFFSET 0 keeps each check a look-up
# by index for the few tasks walked over, not a join with all that the person ever did.
_TAKE_NEXT = """
WITH next AS (
    SELECT t.id FROM annotation_task t
    WHERE t.project_id = %(project)s AND t.state = 'open' AND t.taken < t.overlap
      AND NOT EXISTS (
          SELECT 1 FROM annotation_assignment a
          WHERE a.task_id = t.id AND a.annotator_id = %(person)s
            AND a.state IN ('leased', 'submitted', 'skipped') OFFSET 0)
      AND NOT EXISTS (
          SELECT 1 FROM annotation_candidate c
          WHERE c.task_id = t.id AND c.author_id = %(person)s OFFSET 0)
      AND NOT EXISTS (
          SELECT 1 FROM annotation_judgment j
          WHERE j.task_id = t.id AND j.annotator_id = %(person)s AND j.withdrawn_at IS NULL
          OFFSET 0)
    ORDER BY t.priority DESC, t.id
    LIMIT 1
    FOR UPDATE OF t {locked}
)
UPDATE annotation_task t SET taken = t.taken + 1 FROM next WHERE t.id = next.id
RETURNING t.id
"""

# One row for a person and a task, ever: a lease that comes back keeps the order first shown.
_LEASE = """
INSERT INTO annotation_assignment
    (id, task_id, annotator_id, state, token, shown, claimed_at, expires_at, skip_reason)
VALUES (gen_random_uuid(), %(task)s, %(person)s, 'leased', gen_random_uuid(), %(shown)s,
        now(), now() + make_interval(secs => %(seconds)s), '')
ON CONFLICT (task_id, annotator_id) DO UPDATE SET
    state = 'leased', token = gen_random_uuid(), ended_at = NULL, skip_reason = '',
    claimed_at = excluded.claimed_at, expires_at = excluded.expires_at
RETURNING id, state, token, shown, claimed_at, expires_at, xmax <> 0 AS again
"""


class Submitted(NamedTuple):
    """What a submit gave: the judgment, and whether this call stored it."""

    judgment: Judgment
    created: bool


# Claiming -----------------------------------------------------------------------------------


@transaction.atomic
def claim(*, project: str, by: User) -> Assignment | None:
    """Lease the next task of a project to a person; None when there is none for them.

    A person who holds a lease gets the same one again. Raises Project.DoesNotExist for a
    project that is not theirs and Conflict while the project or the person is paused.
    The returned assignment has `.task` with `.project` and `.in_order`, its candidates as shown.
    """
    found = _enter(slug=project, by=by)
    assignment = _own_lease(found, by) or _take(found, by)
    if assignment is None:
        sweep_expired(project=found)
        assignment = _take(found, by, wait=True)
    return assignment


def _enter(*, slug: str, by: User) -> Project:
    """The project, with the person's claims in it put in a line: one at a time."""
    project = (
        Project.objects.visible_to(by)
        .annotate(
            # The lock is taken with the row, so what is read after this statement is current.
            in_line=RawSQL(
                "pg_advisory_xact_lock(hashtextextended('claim', annotation_project.id * 1000003"
                " + %s))::text",
                [by.pk],
            ),
            member_paused=RawSQL(
                "EXISTS (SELECT 1 FROM annotation_membership m WHERE"
                " m.project_id = annotation_project.id AND m.user_id = %s AND m.is_paused)",
                [by.pk],
            ),
        )
        .get(slug=slug)
    )
    if project.archived_at is not None:
        raise Conflict("The project is archived.")
    if project.is_paused:
        raise Conflict("The project is paused. Your work is kept; come back later.")
    if project.member_paused:
        raise Conflict("A reviewer paused your work in this project. Your work is kept.")
    return project


def _own_lease(project: Project, by: User) -> Assignment | None:
    """The lease this person holds already; the newest when undo made several.

    One that ran out while nobody swept it up is theirs still, and runs again from now.
    """
    assignment = (
        Assignment.objects.leased()
        .of(by)
        .filter(task__project=project)
        .select_related("task", "draft")
        .annotate(late=Case(When(expires_at__lte=Now(), then=True), default=False))
        .order_by("-claimed_at")
        .first()
    )
    if assignment is None:
        return None
    if assignment.late:
        Task.objects.select_for_update().get(pk=assignment.task_id)
        renewed = (
            Assignment.objects.leased()
            .filter(pk=assignment.pk)
            .update(expires_at=Now() + timedelta(seconds=project.lease_seconds))
        )
        if not renewed:
            return None
        assignment.refresh_from_db(fields=["expires_at"])
    assignment.annotator = by
    return complete(assignment, project)


def _take(project: Project, by: User, *, wait: bool = False) -> Assignment | None:
    take = _TAKE_NEXT.format(locked="" if wait else "SKIP LOCKED")
    with connection.cursor() as cursor:
        cursor.execute(take, {"project": project.pk, "person": by.pk})
        row = cursor.fetchone()
        if row is None:
            return None
        candidates = list(
            Candidate.objects.filter(task_id=row[0]).select_related("task").order_by("position")
        )
        task = candidates[0].task
        order = [c.pk for c in candidates]
        random.shuffle(order)
        cursor.execute(
            _LEASE,
            {
                "task": task.pk,
                "person": by.pk,
                "shown": order,
                "seconds": project.lease_seconds,
            },
        )
        names = [column.name for column in cursor.description]
        row = dict(zip(names, cursor.fetchone(), strict=True))
    again = row.pop("again")
    assignment = Assignment(task=task, annotator=by, **row)
    assignment._state.adding = False
    if not again:
        assignment._state.fields_cache["draft"] = None
    return complete(assignment, project, candidates)


# Submitting ---------------------------------------------------------------------------------


def submit(*, assignment_id: UUID, by: User, body: dict, key: str | None = None) -> Submitted:
    """Store a judgment. The same key again gives what was stored, and stores nothing.

    Work that comes after the lease ran out counts while the task has room, and is kept as
    surplus otherwise. Raises Invalid for a bad body or key, Assignment.DoesNotExist for a lease
    that is not theirs, and Conflict, with the reason, when it cannot be taken.
    """
    _check_key(key)
    try:
        return _submit(assignment_id, by, body, key)
    except IntegrityError:
        # The same key at the same moment on another task: the constraint had the last word.
        raise Conflict("This Idempotency-Key is in use; make a new one and send again.") from None


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
    surplus = not held and not task.has_room()
    judgment = Judgment.objects.create(
        project=project,
        task=task,
        assignment=assignment,
        annotator=by,
        kind=checked.kind,
        shown=assignment.shown,
        rationale=checked.rationale,
        flags=list(checked.flags),
        seconds=checked.seconds,
        surplus=surplus,
        idempotency_key=key,
    )
    typed = parts.rows(judgment, checked)
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
    return Submitted(judgment, created=True)


def _check_key(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= 80 and key.isprintable()):
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
