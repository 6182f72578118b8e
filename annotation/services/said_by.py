"""Bodies of judgments by place, and how they score: against gold, on repeats, among each other."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Q

from annotation.models import Judgment, Project, Task
from annotation.quality import gold
from annotation.services import parts

MOST = 5000


def kinds_of(task: Task) -> list[str]:
    """Every kind a task asks, its own first."""
    return [task.kind, *task.also]


def prefetched(rows, kinds: Iterable[str]):
    """Judgments with their typed rows and the candidates of their tasks."""
    names = {name for kind in kinds for name in parts.PREFETCH[kind]}
    return rows.select_related("task", "annotator").prefetch_related(*names, "task__candidates")


def places(task: Task) -> dict[int, int]:
    """Each candidate's place from 0, by its id."""
    ordered = sorted(task.candidates.all(), key=lambda c: c.position)
    return {candidate.pk: place for place, candidate in enumerate(ordered)}


def body(judgment: Judgment) -> dict:
    """What was said, with candidates by place as gold answers have them."""
    return gold.placed(parts.answer_of(judgment), places(judgment.task))


def gold_score(judgment: Judgment) -> float | None:
    """How far a judgment agrees with its task's gold answer; None without one."""
    task = judgment.task
    if not isinstance(task.gold, dict):
        return None
    return gold.score(kinds_of(task), body(judgment), named_as_said(task, task.gold))


def named_as_said(task: Task, answer: dict) -> dict:
    """A gold answer with principles by key, as judgments name them (gold may use their ids)."""
    if "principle" not in kinds_of(task):
        return answer
    keys = {str(p.pk): p.key for p in task.project.principles.all()}

    def renamed(part: object) -> object:
        if not isinstance(part, dict) or not isinstance(part.get("verdicts"), list):
            return part
        return part | {
            "verdicts": [
                v | {"principle": keys.get(str(v.get("principle")), v.get("principle"))}
                for v in part["verdicts"]
            ]
        }

    also = answer.get("also")
    answer = renamed(answer)
    if isinstance(also, dict):
        answer = answer | {"also": {kind: renamed(part) for kind, part in also.items()}}
    return answer


@dataclass
class Checks:
    """Scores in [0, 1] of each person: on gold tasks, and on tasks asked again."""

    gold: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    repeats: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def gold_all(self) -> list[float]:
        return [score for scores in self.gold.values() for score in scores]

    @property
    def repeat_all(self) -> list[float]:
        return [score for scores in self.repeats.values() for score in scores]


def checks(project: Project) -> Checks:
    """Everyone's newest answers to gold tasks (exercises left out) and to repeats, MOST of each."""
    found = Checks()
    for judgment in gold_judgments(project)[:MOST]:
        score = gold_score(judgment)
        if score is not None:
            found.gold[judgment.annotator_id].append(score)
    again = _counting(project).filter(task__repeat_of__isnull=False).order_by("-created_at", "id")
    again = list(prefetched(again, project.kinds)[:MOST])
    before = _counting(project).filter(
        task__in=[j.task.repeat_of_id for j in again],
        annotator__in={j.annotator_id for j in again},
    )
    first = {(j.task_id, j.annotator_id): j for j in prefetched(before, project.kinds)}
    for judgment in again:
        earlier = first.get((judgment.task.repeat_of_id, judgment.annotator_id))
        if earlier is not None:
            score = gold.score(kinds_of(judgment.task), body(judgment), body(earlier))
            if score is not None:
                found.repeats[judgment.annotator_id].append(score)
    return found


def gold_judgments(project: Project):
    """Judgments of gold tasks that count, newest first, ready for `gold_score`."""
    rows = _counting(project).filter(task__gold__isnull=False, task__is_calibration=False)
    return prefetched(rows.order_by("-created_at", "id"), project.kinds)


def _counting(project: Project):
    rows = Judgment.objects.standing().filter(project=project)
    return rows.exclude(source=Judgment.Source.REVIEW)


# Disagreement -------------------------------------------------------------------------------


def score_disagreement(tasks: Iterable[int]) -> int:
    """Write down how far people disagree on these tasks; returns how many were written.

    0 is agreement, 1 its opposite; None stays where fewer than two judged or nothing compares.
    """
    wanted = list(tasks)
    rows = Judgment.objects.standing().filter(task__in=wanted)
    rows = rows.exclude(source=Judgment.Source.REVIEW).order_by("created_at", "id")
    kinds = {
        kind
        for one, also in Task.objects.filter(pk__in=wanted).values_list("kind", "also")
        for kind in (one, *also)
    }
    by_task = defaultdict(list)
    for judgment in prefetched(rows, kinds):
        by_task[judgment.task_id].append(judgment)
    changed = []
    for judgments in by_task.values():
        task = judgments[0].task
        found = gold.disagreement(kinds_of(task), [body(j) for j in judgments])
        if found != task.disagreement:
            task.disagreement = found
            changed.append(task)
    Task.objects.bulk_update(changed, ["disagreement"], batch_size=500)
    return len(changed)


def unscored(project: Project, most: int = 500) -> list[int]:
    """Tasks whose judgments are all in and whose disagreement is not written down yet.

    Where every answer is free text there is nothing to compare, so those are left out.
    """
    rows = Task.objects.filter(project=project, state=Task.State.DONE, done__gt=1)
    rows = rows.filter(disagreement=None).filter(~Q(kind="critique") | ~Q(also=[]))
    return list(rows.order_by("-id").values_list("pk", flat=True)[:most])
