"""What follows from judgments and must not slow a submit: done in the background, soon after."""

from datetime import timedelta

from django.core.cache import cache
from django.utils import timezone

from annotation.models import Judgment, Membership, Project, Task
from annotation.services import calibration, said_by

#: Judgments this old are looked at once more: a transaction may commit after a later one.
OVERLAP = timedelta(seconds=30)
KEEP_SECONDS = 7 * 24 * 3600


def tend_all() -> int:
    """Tend every live project; returns how many rows were written."""
    return sum(tend(project) for project in Project.objects.live())


def tend(project: Project) -> int:
    """Write down the disagreement of tasks judged since the last time, and settle the exercises
    of newcomers."""
    key = f"tended:{project.pk}"
    now = timezone.now()
    since = cache.get(key)
    if since is None:
        tasks = said_by.unscored(project)
    else:
        fresh = Judgment.objects.filter(project=project, created_at__gt=since - OVERLAP)
        tasks = list(
            Task.objects.filter(
                pk__in=fresh.values("task_id"), state=Task.State.DONE, done__gt=1
            ).values_list("pk", flat=True)
        )
    written = said_by.score_disagreement(tasks)
    if project.calibration_size:
        waiting = Membership.objects.filter(project=project, calibrated_at=None)
        for membership in waiting.select_related("user", "project"):
            written += calibration.settle(membership)
    cache.set(key, now, KEEP_SECONDS)
    return written


def tend_when_due(project: Project) -> None:
    """Tend before a page is read, so that it speaks of now; every ten seconds at most."""
    if cache.add(f"tend-due:{project.pk}", 1, 10):
        tend(project)
