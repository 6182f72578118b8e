"""What other apps may read of annotation: plain records and counts."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import CharField, Count, Exists, F, Max, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Cast

from annotation.judged import PARTS, JudgedTask, judged_tasks
from annotation.models import Candidate, Judgment, LogEntry, Project, PromptItem, Task
from config.models import User

__all__ = ["PARTS", "JudgedTask", "judged_tasks"]

CHUNK = 1000


@dataclass(frozen=True, slots=True)
class PreferenceRecord:
    """One standing pairwise judgment. `candidates` are (id, text, model) as imported, and
    `shown` the candidate ids in the order on screen; `preferred` is None for a tie or both bad."""

    task_id: int
    judgment_id: UUID
    annotator_pseudonym: str
    annotator_id: int
    prompt: list[dict]
    prompt_hash: str
    candidates: list[tuple[int, str, str]]
    shown: list[int]
    outcome: str
    preferred: int | None
    strength: int | None
    source: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """A prompt of a project; `split` is blank where the prompt hash decides."""

    prompt: list[dict]
    prompt_hash: str
    group: str
    split: str
    project_id: int


def preferences(
    *,
    project_ids: Iterable[int],
    until: datetime | None = None,
    position: int | None = None,
) -> Iterator[PreferenceRecord]:
    """Pairwise judgments that count, oldest first, in constant memory.

    With `until`, the judgments as they stood at that moment: later ones left out, ones undone
    later still in. With `position`, as they stood at that position of the log: the same position
    gives the same records whenever it is asked, until someone's data is erased. Where a reviewer
    has decided on a task, the verdict stands alone.
    """
    rows = _with_verdicts(list(project_ids), until, position)
    rows = (
        rows.select_related("task", "pairwise", "annotator")
        .prefetch_related("task__candidates")
        .order_by("created_at", "id")
    )
    for row in rows.iterator(chunk_size=CHUNK):
        yield PreferenceRecord(
            task_id=row.task_id,
            judgment_id=row.pk,
            annotator_pseudonym=row.annotator.pseudonym,
            annotator_id=row.annotator_id,
            prompt=row.task.prompt,
            prompt_hash=row.task.prompt_hash,
            candidates=[(c.pk, c.content, c.model) for c in row.task.candidates.all()],
            shown=row.shown,
            outcome=row.pairwise.outcome,
            preferred=row.pairwise.preferred_id,
            strength=row.pairwise.strength,
            source=row.source,
            created_at=row.created_at,
        )


_ENDED = ("withdrawn", "superseded", "erased")


def _standing(project_ids: list[int], until: datetime | None, position: int | None) -> QuerySet:
    """Pairwise judgments as they stood, verdicts of reviewers among them."""
    rows = Judgment.objects.filter(project__in=project_ids, kind="pairwise", surplus=False)
    if position is not None:
        rows = rows.filter(_said_by(position, "stored"), ~_said_by(position, *_ENDED))
    elif until is None:
        rows = rows.filter(withdrawn_at=None, superseded_by=None)
    if until is not None:
        rows = rows.filter(
            Q(withdrawn_at=None) | Q(withdrawn_at__gt=until),
            Q(superseded_by=None) | Q(superseded_by__created_at__gt=until),
            created_at__lte=until,
        )
    return rows


def _with_verdicts(
    project_ids: list[int], until: datetime | None, position: int | None
) -> QuerySet:
    """The same, and of a task with a verdict nothing but the verdict."""
    rows = _standing(project_ids, until, position)
    verdicts = rows.filter(source=Judgment.Source.REVIEW, task=OuterRef("task"))
    return rows.filter(Q(source=Judgment.Source.REVIEW) | ~Exists(verdicts))


@dataclass(frozen=True, slots=True)
class Trust:
    """What people's words are worth on pairwise tasks, and what the tasks come to.

    `weights` in [0, 1] by annotator id; whoever is not in it counts in full (1). `soft` gives, by
    task id, the probability of each outcome: candidate ids, "tie", "both_bad"; they sum to 1.
    """

    weights: dict[int, float]
    soft: dict[int, dict[int | str, float]]
    method: str


def trust(
    *,
    project_ids: Iterable[int],
    until: datetime | None = None,
    position: int | None = None,
) -> Trust:
    """Reliability of annotators and soft labels of tasks, from the judgments that `preferences`
    gives for the same arguments; the same judgments give the same numbers.

    A verdict settles its task and says nothing about its reviewer. For workers and commands, not
    for requests: it reads every judgment.
    """
    from annotation.quality.labels import labels_of
    from annotation.quality.reliability import fitted

    ids = list(project_ids)
    rows = (
        _standing(ids, until, position)
        .order_by("created_at", "id")
        .values_list(
            "task_id", "annotator_id", "pairwise__outcome", "pairwise__preferred__position",
            "pairwise__preferred_id", "source",
        )
    )  # fmt: skip
    triples, verdicts = [], {}
    sides: dict[int, dict[str, int]] = defaultdict(dict)
    for task, who, outcome, place, preferred, source in rows.iterator(chunk_size=CHUNK):
        said = outcome if place is None else f"side {place}"
        if preferred is not None:
            sides[task][said] = preferred
        if source == Judgment.Source.REVIEW:
            verdicts[task] = preferred or outcome
        else:
            triples.append((task, who, said))
    if not triples:
        return Trust({}, {task: {said: 1.0} for task, said in verdicts.items()}, "majority")
    labels = labels_of(triples)
    found = fitted(labels)
    lacking = [task for task in labels.units if len(sides[task]) < 2]
    candidates = Candidate.objects.filter(task__in=lacking).values_list("task_id", "position", "pk")
    for task, place, pk in candidates:
        sides[task][f"side {place}"] = pk
    soft = {
        task: {
            sides[task].get(value, value): float(p)
            for value, p in zip(labels.values, row, strict=True)
            if value in sides[task] or not value.startswith("side ")
        }
        for task, row in zip(labels.units, found.soft, strict=True)
    }
    soft |= {task: {said: 1.0} for task, said in verdicts.items()}
    return Trust(found.weight_of(labels), soft, found.method)


def reliability(
    project_ids: Iterable[int],
    *,
    until: datetime | None = None,
    position: int | None = None,
) -> dict[int, float]:
    """Weights in [0, 1] by annotator id; see `trust`."""
    return trust(project_ids=project_ids, until=until, position=position).weights


def _said_by(position: int, *actions: str) -> Exists:
    """Whether the log had said one of these of the judgment by this position."""
    return Exists(
        LogEntry.objects.filter(
            subject="judgment",
            subject_id=Cast(OuterRef("pk"), CharField()),
            action__in=actions,
            position__lte=position,
        )
    )


def prompts(*, project_ids: Iterable[int], limit: int | None = None) -> Iterator[PromptRecord]:
    """Distinct prompts to sample answers for: the projects' own, then those of their tasks."""
    ids = list(project_ids)
    seen: set[str] = set()
    own = PromptItem.objects.filter(project__in=ids).order_by("id")
    for item in own.iterator(chunk_size=CHUNK):
        if item.prompt_hash not in seen and (limit is None or len(seen) < limit):
            seen.add(item.prompt_hash)
            yield PromptRecord(
                item.prompt, item.prompt_hash, item.group, item.split, item.project_id
            )
    tasks = Task.objects.filter(project__in=ids).exclude(state=Task.State.WITHDRAWN).order_by("id")
    for prompt, key, project_id in tasks.values_list(
        "prompt", "prompt_hash", "project_id"
    ).iterator(chunk_size=CHUNK):
        if limit is not None and len(seen) >= limit:
            return
        if key not in seen:
            seen.add(key)
            yield PromptRecord(prompt, key, "", "", project_id)


def counts(project: Project | int) -> dict[str, int]:
    """See `counts_of`, for one project."""
    pk = project.pk if isinstance(project, Project) else project
    return counts_of([pk])[pk]


def counts_of(project_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """Of each project: tasks, open, done; judgments wanted, standing; leases, people, prompts."""
    ids = list(project_ids)
    found: dict[int, dict[str, int]] = defaultdict(dict)
    live = ~Q(state=Task.State.WITHDRAWN)
    tasks = (
        Task.objects.filter(project__in=ids)
        .order_by()
        .values("project_id")
        .annotate(
            held=Sum(F("taken") - F("done")),  # first: later names hide the columns
            tasks=Count("id", filter=live),
            open=Count("id", filter=Q(state=Task.State.OPEN)),
            done=Count("id", filter=Q(state=Task.State.DONE)),
            wanted=Sum("overlap", filter=live),
        )
    )
    for row in tasks:
        found[row.pop("project_id")].update({k: v or 0 for k, v in row.items()})
    judged = (
        Judgment.objects.standing()
        .filter(project__in=ids)
        .exclude(source=Judgment.Source.REVIEW)  # verdicts fill no place of a task
        .order_by()
        .values("project_id")
        .annotate(judgments=Count("id"), people=Count("annotator", distinct=True))
    )
    for row in judged:
        found[row.pop("project_id")].update(row)
    asked = PromptItem.objects.filter(project__in=ids).order_by().values("project_id")
    for row in asked.annotate(prompts=Count("id")):
        found[row.pop("project_id")].update(row)
    empty = dict.fromkeys(
        ("tasks", "open", "done", "wanted", "held", "judgments", "people", "prompts"), 0
    )
    return {pk: empty | found[pk] for pk in ids}


def given(project_id: int) -> int:
    """How many judgments of a project stand."""
    rows = Judgment.objects.standing().filter(project=project_id)
    return rows.exclude(source=Judgment.Source.REVIEW).count()


def judged_by(user: User, *, since: datetime) -> dict[int, int]:
    """How many judgments of this person stand since a moment, by project."""
    rows = Judgment.objects.of(user).filter(withdrawn_at=None, created_at__gte=since)
    return dict(
        rows.exclude(assignment=None).order_by().values_list("project_id").annotate(Count("id"))
    )


def log_position() -> int:
    """The last sealed position of the log, for `preferences(position=...)`; 0 before the first.

    `annotation.services.log.seal()` first, outside of the reading transaction, takes in all that
    is committed.
    """
    return LogEntry.objects.aggregate(last=Max("position"))["last"] or 0
