"""The exercise of newcomers: tasks with a known answer, explained after one's own answer.

A newcomer judges `calibration_size` of them; who has the share `calibration_pass` right may go on
to the real work. Who has not sees why, and tries again with others.
"""

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from annotation.models import Assignment, Judgment, Membership, Project, Task
from annotation.quality import gold
from annotation.services import said_by
from config.errors import Conflict
from config.models import User


@dataclass(frozen=True)
class Explained:
    """One's own answer to an exercise, whether it matched, and why the known answer is right."""

    judgment: Judgment
    score: float | None
    note: str
    answer: dict

    @property
    def is_right(self) -> bool:
        return bool(gold.is_right(self.score))


@dataclass(frozen=True)
class Progress:
    """How far a newcomer is in this round of the exercise. `size` is smaller than the project's
    where there are too few tasks left for them."""

    done: int
    right: int
    size: int
    wanted: float
    calibrated_at: object
    left: int

    @property
    def is_passed(self) -> bool:
        return self.calibrated_at is not None

    @property
    def is_over(self) -> bool:
        return self.done >= self.size or (self.done > 0 and not self.left)

    @property
    def share(self) -> float:
        return self.right / self.done if self.done else 0.0


def explain(judgment: Judgment) -> Explained:
    """The explanation of one's own answer. Raises Judgment.DoesNotExist where there is none to be
    given: no exercise, or an answer that was taken back."""
    task = judgment.task
    if not task.is_calibration or task.gold is None or judgment.withdrawn_at is not None:
        raise Judgment.DoesNotExist
    return Explained(judgment, said_by.gold_score(judgment), task.gold_note, task.gold)


def explained(*, user: User, project: Project) -> list[Explained]:
    """Every exercise this person has answered in the project, newest first."""
    return [explain(judgment) for judgment in _answered(user, project)]


def _answered(user: User, project: Project):
    rows = Judgment.objects.of(user).filter(
        project=project, withdrawn_at=None, task__is_calibration=True, task__gold__isnull=False
    )
    rows = rows.select_related("assignment").order_by("-created_at")
    return said_by.prefetched(rows, project.kinds).select_related("assignment", "task__project")


def progress(membership: Membership) -> Progress:
    """How the newcomer stands. Answers of earlier rounds count no more."""
    user, project = membership.user, membership.project
    now = [
        explain(judgment)
        for judgment in _answered(user, project)
        if judgment.assignment and judgment.assignment.state == Assignment.State.SUBMITTED
    ]
    left = (
        Task.objects.filter(project=project, is_calibration=True)
        .exclude(state=Task.State.WITHDRAWN)
        .exclude(judgments__in=Judgment.objects.of(user).filter(withdrawn_at=None))
        .exclude(assignments__in=Assignment.objects.of(user).filter(state="skipped"))
        .count()
    )
    return Progress(
        done=len(now),
        right=sum(one.is_right for one in now),
        size=project.calibration_size,
        wanted=project.calibration_pass,
        calibrated_at=membership.calibrated_at,
        left=left,
    )


def settle(membership: Membership) -> bool:
    """Let a newcomer in who has done enough exercises well enough; whether this call did."""
    if membership.calibrated_at is not None or not membership.project.calibration_size:
        return False
    found = progress(membership)
    if found.done < found.size or found.share < found.wanted:
        return False
    return bool(
        Membership.objects.filter(pk=membership.pk, calibrated_at=None).update(
            calibrated_at=timezone.now()
        )
    )


def settle_for(*, project: str, user: User) -> bool:
    """The same, for a person in the project of this slug."""
    rows = Membership.objects.filter(project__slug=project, user=user, calibrated_at=None)
    membership = rows.select_related("user", "project").first()
    return membership is not None and settle(membership)


@transaction.atomic
def again(*, membership: Membership) -> None:
    """Start another round with exercises not seen yet. Raises Conflict when this one is not over,
    or was passed, or none are left."""
    membership = Membership.objects.select_for_update().get(pk=membership.pk)
    found = progress(membership)
    if found.is_passed:
        raise Conflict("You have passed the exercise already.")
    if not found.is_over:
        raise Conflict("Finish this round first.")
    if not found.left:
        raise Conflict("There are no further exercises; a reviewer can let you in.")
    # Handed back, so the queue no longer counts them; what was answered stays, and is not asked
    # of this person again.
    Assignment.objects.of(membership.user).filter(
        task__project=membership.project, task__is_calibration=True, state="submitted"
    ).update(state=Assignment.State.RELEASED)


def let_in(*, membership: Membership) -> None:
    """A reviewer's word instead of the exercise."""
    Membership.objects.filter(pk=membership.pk, calibrated_at=None).update(
        calibrated_at=timezone.now()
    )
