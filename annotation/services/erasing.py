"""Taking a person out of annotation: their judgments kept without a name, or deleted; their words
gone either way. The log stays whole: it holds digests and pseudonyms, never what was said, so an
erased row leaves an entry that says so, and a row without its words an entry with its new digest.
"""

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from annotation.models import (
    Assignment,
    Critique,
    Draft,
    Judgment,
    LogEntry,
    Membership,
    MissingMark,
    Note,
    SpanMark,
    StepMark,
    Task,
)
from annotation.models.judgments import Part
from annotation.services import log
from annotation.services.people import give_back_leases
from config.models import User

PAGE = 500
ERASED_NOTE = "(erased)"
#: Typed rows that carry words of the annotator beside what they say.
_COMMENTED = (SpanMark, MissingMark, StepMark)


def counts(*, person: User) -> dict[str, int]:
    """What there is of a person in annotation."""
    own = Judgment.objects.of(person)
    return {
        "judgments": own.count(),
        "texts": own.filter(_WORDED).distinct().count(),
        "drafts": Draft.objects.filter(assignment__annotator=person).count(),
        "notes": Note.objects.filter(Q(to=person) | Q(by=person)).count(),
        "memberships": Membership.objects.filter(user=person).count(),
    }


_WORDED = (
    ~Q(rationale="")
    | ~Q(flags=[])
    | ~Q(spans__comment="") & Q(spans__isnull=False)
    | ~Q(missing__comment="") & Q(missing__isnull=False)
    | ~Q(steps__comment="") & Q(steps__isnull=False)
    | Q(critiques__isnull=False)
)


def erase(*, person: User, withdraws: bool, actor: str = "") -> dict[str, int]:
    """Do so, in the caller's transaction; returns what was touched, by what it is called.

    Kept judgments say which answer was better, never why: rationales, comments, flags and
    idempotency keys go, and critiques with corrections, which are nothing but words, are deleted.
    """
    touched = counts(person=person)
    give_back_leases(person=person)
    Draft.objects.filter(assignment__annotator=person).delete()
    Assignment.objects.of(person).exclude(skip_reason="").update(skip_reason="")
    Note.objects.filter(to=person).delete()
    Note.objects.filter(by=person).update(text=ERASED_NOTE)
    for place in Membership.objects.filter(user=person):
        log.noted(project_id=place.project_id, action=LogEntry.Action.ERASED, content=None,
                  subject="membership", subject_id=place.pk, actor=actor)  # fmt: skip
        place.delete()
    if withdraws:
        again = Task.objects.filter(reserved_for=person).exclude(repeat_of=None)
        erase_tasks(again, actor=actor)  # asked once more of this person: of use to nobody else
        erase_judgments(Judgment.objects.of(person), actor=actor)
        Assignment.objects.of(person).delete()
        return touched
    only_words = Judgment.objects.of(person).filter(kind="critique", task__also=[])
    touched["deleted"] = erase_judgments(only_words, actor=actor)
    _unword(Judgment.objects.of(person).filter(_WORDED).distinct(), actor)
    Judgment.objects.of(person).exclude(idempotency_key=None).update(idempotency_key=None)
    return touched


def _unword(rows: QuerySet[Judgment], actor: str) -> None:
    """Take every word of the annotator out of judgments, and tell the log their new digests."""
    ids = list(rows.values_list("pk", flat=True))
    for start in range(0, len(ids), PAGE):
        keys = ids[start : start + PAGE]
        Judgment.objects.filter(pk__in=keys).update(rationale="", flags=[])
        for model in _COMMENTED:
            model.objects.filter(judgment__in=keys).exclude(comment="").update(comment="")
        Critique.objects.filter(judgment__in=keys).delete()
        _log_changed(keys, actor)


def _log_changed(keys: list, actor: str) -> None:
    typed = defaultdict(list)
    for model in Part.__subclasses__():
        for part in model.objects.filter(judgment__in=keys):
            typed[part.judgment_id].append(part)
    LogEntry.objects.bulk_create(
        log.entry_for_judgment(row, typed[row.pk], actor=actor, action=LogEntry.Action.CHANGED)
        for row in Judgment.objects.filter(pk__in=keys)
    )


def erase_judgments(rows: QuerySet[Judgment], *, actor: str) -> int:
    """Delete judgments with their typed rows, and give back the places they filled.

    A verdict that a deleted one had replaced is withdrawn with it, so that the task goes back to
    the reviewers instead of to what was overruled. Returns how many were deleted.
    """
    gone = list(rows.select_related(None).order_by("pk"))
    ids = [row.pk for row in gone]
    if not ids:
        return 0
    tasks = {row.task_id for row in gone}
    counted = (
        Judgment.objects.filter(pk__in=ids, withdrawn_at=None, surplus=False)
        .exclude(source=Judgment.Source.REVIEW)
        .order_by()
        .values_list("task_id")
        .annotate(Count("id"))
    )
    less = dict(counted)
    verdicts = {row.task_id for row in gone if row.source == Judgment.Source.REVIEW}
    _unchain(gone, set(ids), actor)
    log.erased(gone, actor=actor)
    Judgment.objects.filter(pk__in=ids).delete()
    for task in Task.objects.select_for_update().filter(pk__in=tasks).order_by("pk"):
        _free_places(task, less.get(task.pk, 0))
        task.disagreement = None
        if task.pk in verdicts:
            task.adjudicated_at = None
        task.save(update_fields=["taken", "done", "state", "disagreement", "adjudicated_at"])
    return len(ids)


def _unchain(gone: list[Judgment], ids: set, actor: str) -> None:
    """Let nothing that stays name something that goes."""
    after = list(Judgment.objects.filter(supersedes__in=ids).exclude(pk__in=ids))
    for row in after:
        row.supersedes = None
        row.save(update_fields=["supersedes"])
    _log_changed([row.pk for row in after], actor)
    before = [row.supersedes_id for row in gone if row.supersedes_id]
    Judgment.objects.filter(pk__in=ids).update(supersedes=None)
    for row in Judgment.objects.filter(pk__in=before, withdrawn_at=None).exclude(pk__in=ids):
        row.withdrawn_at = timezone.now()
        row.save(update_fields=["withdrawn_at"])
        log.withdrawn(row, actor=actor)


def _free_places(task: Task, how_many: int) -> None:
    task.done = max(0, task.done - how_many)
    task.taken = max(task.done, task.taken - how_many)
    if task.state == Task.State.DONE and task.done < task.overlap:
        task.state = Task.State.OPEN


def erase_tasks(rows: Iterable[Task], *, actor: str) -> int:
    """Delete tasks with everything said about them; returns how many."""
    ids = [row.pk for row in rows]
    for start in range(0, len(ids), PAGE):
        page = Task.objects.filter(pk__in=ids[start : start + PAGE])
        judged = list(Judgment.objects.filter(task__in=page))
        log.erased([*judged, *page], actor=actor)
        Judgment.objects.filter(task__in=page).update(supersedes=None)
        page.delete()
    return len(ids)
