"""Review: what needs a second look, and what a reviewer does about it.

A verdict is a judgment with the source `review`. It fills no place of the task, stands beside the
judgments of annotators, and is what the task comes to from then on (`selectors.preferences`).
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation import bodies
from annotation.models import Judgment, LogEntry, Membership, Note, Project, Task
from annotation.quality import gold
from annotation.services import log, parts, projects, queue, said_by
from annotation.services.questions import question_of
from config.errors import Conflict, Invalid
from config.models import User

REASONS = ("disagreement", "flag", "gold")
LEAST = 0.34  # of disagreement: below, two of three agree or all nearly do
GOLD_LOOKED_AT = 1000
LONGEST_NOTE = 4000


@dataclass(frozen=True)
class Item:
    """One line of the list: a task, why it is there, and how grave that is, 0 to 1.

    `judgment` is the one that was flagged or missed the gold answer.
    """

    reason: str
    task: Task
    weight: float
    at: datetime
    judgment: Judgment | None = None

    @property
    def flags(self) -> list[str]:
        return self.judgment.flags if self.judgment is not None else []


def waiting(
    project: Project,
    *,
    reasons: tuple[str, ...] = REASONS,
    kind: str = "",
    least: float = LEAST,
    person: str = "",
    limit: int = 200,
) -> list[Item]:
    """What waits for a reviewer, the gravest first: at most `limit` of each reason."""
    found: list[Item] = []
    if "disagreement" in reasons:
        found += _disagreements(project, kind, least, person, limit)
    if "flag" in reasons:
        found += _flags(project, kind, person, limit)
    if "gold" in reasons:
        found += _gold_failures(project, kind, person, limit)
    return sorted(found, key=lambda item: (-item.weight, -item.at.timestamp()))


def counts(project: Project) -> dict[str, int]:
    """How many items wait, by reason."""
    found = dict.fromkeys(REASONS, 0)
    for item in waiting(project, limit=1000):
        found[item.reason] += 1
    return found


def _open_tasks(project: Project, kind: str) -> QuerySet[Task]:
    # Newcomers' exercises are explained to them; nobody has to decide on those.
    rows = Task.objects.filter(project=project, adjudicated_at=None, is_calibration=False)
    rows = rows.exclude(state=Task.State.WITHDRAWN)
    return rows.filter(Q(kind=kind) | Q(also__contains=[kind])) if kind else rows


def _of_person(rows: QuerySet, person: str, field: str) -> QuerySet:
    return rows.filter(**{f"{field}__pseudonym": person}) if person else rows


def _disagreements(project, kind, least, person, limit) -> list[Item]:
    rows = _open_tasks(project, kind).filter(disagreement__gt=0, disagreement__gte=least)
    if person:
        rows = rows.filter(judgments__annotator__pseudonym=person).distinct()
    rows = rows.order_by("-disagreement", "-id")[:limit]
    return [Item("disagreement", task, task.disagreement, task.created_at) for task in rows]


def _flags(project, kind, person, limit) -> list[Item]:
    rows = (
        Judgment.objects.standing()
        .filter(project=project, task__in=_open_tasks(project, kind))
        .exclude(flags=[])
        .exclude(source=Judgment.Source.REVIEW)
        .select_related("task")
        .order_by("-created_at")
    )
    rows = _of_person(rows, person, "annotator")
    return [Item("flag", row.task, 1.0, row.created_at, row) for row in rows[:limit]]


def _gold_failures(project, kind, person, limit) -> list[Item]:
    """Answers that missed the gold answer and that nobody has written a note about."""
    noted = Note.objects.filter(judgment=OuterRef("pk"))
    rows = _of_person(said_by.gold_judgments(project), person, "annotator")
    rows = rows.filter(~Exists(noted), task__in=_open_tasks(project, kind))
    found = []
    for judgment in rows[:GOLD_LOOKED_AT]:
        score = said_by.gold_score(judgment)
        if score is not None and not gold.is_right(score):
            found.append(Item("gold", judgment.task, 1 - score, judgment.created_at, judgment))
            if len(found) >= limit:
                break
    return found


# Verdicts -----------------------------------------------------------------------------------


def standing(task: Task) -> list[Judgment]:
    """Annotators' judgments of a task, in an order that says nothing about who they are."""
    rows = task.judgments.filter(withdrawn_at=None).exclude(source=Judgment.Source.REVIEW)
    return list(said_by.prefetched(rows.order_by("id"), said_by.kinds_of(task)))


def verdict_of(task: Task) -> Judgment | None:
    """The verdict that stands, if a reviewer has decided."""
    rows = task.judgments.filter(
        source=Judgment.Source.REVIEW, withdrawn_at=None, superseded_by=None
    )
    return said_by.prefetched(rows, said_by.kinds_of(task)).first()


@transaction.atomic
def decide(*, task: Task, by: User, body: dict, key: str | None = None) -> Judgment:
    """Give the verdict on a task; an earlier one is superseded. `body` is that of a judgment.

    Raises Invalid for a bad body and Conflict when the reviewer judged the task as an annotator:
    nobody decides about their own work.
    """
    queue.check_key(key)
    task = Task.objects.select_for_update().select_related("project").get(pk=task.pk)
    if key is not None:
        same = Judgment.objects.of(by).filter(idempotency_key=key).first()
        if same is not None:
            if same.task_id != task.pk or same.source != Judgment.Source.REVIEW:
                raise Conflict("This Idempotency-Key was used for something else; make a new one.")
            if same.withdrawn_at is not None:
                raise Conflict("This verdict was replaced; send the new one under a new key.")
            return same
    if task.state == Task.State.WITHDRAWN:
        raise Conflict("This task was withdrawn; there is nothing to decide.")
    own = task.judgments.filter(annotator=by, withdrawn_at=None)
    if own.exclude(source=Judgment.Source.REVIEW).exists():
        raise Conflict("You judged this task yourself; another reviewer has to decide.")
    shown = list(task.candidates.order_by("position").values_list("pk", flat=True))
    checked = bodies.read(question_of(task, project=task.project, shown=shown), body)
    earlier = (
        task.judgments.filter(source=Judgment.Source.REVIEW, superseded_by=None)
        .order_by("-created_at")
        .first()
    )
    if earlier is not None and earlier.withdrawn_at is None:
        log.superseded(earlier, actor=by.pseudonym)
    # One standing judgment a person and task: one's own earlier verdict makes room, also where
    # another reviewer's has come between.
    for before in own.filter(source=Judgment.Source.REVIEW):
        before.withdrawn_at = timezone.now()
        before.save(update_fields=["withdrawn_at"])
        log.withdrawn(before, actor=by.pseudonym)
    judgment = Judgment.objects.create(
        project=task.project,
        task=task,
        annotator=by,
        kind=checked.kind,
        source=Judgment.Source.REVIEW,
        shown=shown,
        rationale=checked.rationale,
        flags=list(checked.flags),
        seconds=checked.seconds,
        idempotency_key=key,
        supersedes=earlier,
    )
    typed = parts.rows(judgment, checked)
    parts.save(typed)
    log.stored(judgment, typed, actor=by.pseudonym)
    _settled(task)
    return judgment


def uphold(*, task: Task, judgment_id: UUID, by: User, key: str | None = None) -> Judgment:
    """Make what one annotator said the verdict. Raises Judgment.DoesNotExist for another task's."""
    rows = task.judgments.filter(withdrawn_at=None).exclude(source=Judgment.Source.REVIEW)
    chosen = said_by.prefetched(rows, said_by.kinds_of(task)).get(pk=judgment_id)
    body = parts.answer_of(chosen)
    return decide(task=task, by=by, body=body, key=key)


def dismiss(*, task: Task) -> None:
    """Say that nothing needs to be decided: the judgments stay as they are."""
    _settled(task)


def reopen(*, task: Task) -> None:
    """Put a task back on the list; a verdict that was given stands until the next one."""
    Task.objects.filter(pk=task.pk).update(adjudicated_at=None)


def _settled(task: Task) -> None:
    Task.objects.filter(pk=task.pk).update(adjudicated_at=timezone.now())


# People -------------------------------------------------------------------------------------


def write_note(
    *, project: Project, to: User, by: User, text: object, judgment: Judgment | None = None
) -> Note:
    """Words to an annotator, about one judgment or about the work. Raises Invalid for no words."""
    if not isinstance(text, str) or not text.strip():
        raise Invalid("Write something first.", fields={"text": "is empty"})
    if len(text) > LONGEST_NOTE or "\x00" in text:
        raise Invalid(
            f"A note has at most {LONGEST_NOTE} characters.", fields={"text": "is too long"}
        )
    return Note.objects.create(project=project, to=to, by=by, text=text.strip(), judgment=judgment)


def unread(user: User) -> int:
    """How many notes this person has not opened."""
    return Note.objects.filter(to=user, read_at=None).count()


def read_notes(user: User) -> list[Note]:
    """One's notes, newest first; the unread ones are read by this."""
    notes = list(Note.objects.filter(to=user).select_related("project", "judgment__task")[:200])
    Note.objects.filter(to=user, read_at=None).update(read_at=timezone.now())
    return notes


def pause(*, membership: Membership, by: User, paused: bool) -> None:
    """Stop or resume the work of an annotator; what they have sent stays. Raises Conflict for
    oneself and for people who are more than annotators here."""
    if membership.user_id == by.pk:
        raise Conflict("You cannot pause yourself.")
    if membership.role != "annotator":
        raise Conflict("Only annotators can be paused here.")
    if membership.is_paused != paused:
        with transaction.atomic():
            membership.is_paused = paused
            membership.save(update_fields=["is_paused"])
            projects.note_membership(membership, LogEntry.Action.CHANGED, by)


@transaction.atomic
def ask_another(*, task: Task, to: User | None = None) -> Task:
    """Have one more person judge a task that is in dispute: anyone, or the one named.

    Nobody who works on it is disturbed. Raises Conflict when the person cannot be given it.
    """
    task = Task.objects.select_for_update().get(pk=task.pk)
    if task.state == Task.State.WITHDRAWN:
        raise Conflict("This task was withdrawn; nobody is asked any more.")
    if task.overlap >= 100:
        raise Conflict("A hundred people were asked already.")
    task.overlap = F("overlap") + 1
    task.state = Task.State.OPEN
    task.save(update_fields=["overlap", "state"])
    task.refresh_from_db()
    return queue.keep_for(task, to) if to is not None else task
