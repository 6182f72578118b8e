"""Background work of annotation: entries into services."""

from celery import shared_task


@shared_task(ignore_result=True)
def sweep() -> int:
    """End leases whose time ran out."""
    from annotation.services.queue import sweep_expired

    return sweep_expired()


@shared_task(ignore_result=True)
def seal() -> int:
    """Give what the log was told since the last time its place in the chain."""
    from annotation.services import log

    return log.seal()


@shared_task(ignore_result=True)
def measure(project_id: int) -> None:
    """Make the quality report of a project."""
    from annotation.models import Project
    from annotation.services import quality

    project = Project.objects.filter(pk=project_id).first()
    if project is not None:
        quality.measure(project)


@shared_task(ignore_result=True)
def tend() -> int:
    """See to what judgments leave behind: disagreement written down, exercises settled."""
    from annotation.services import tending

    return tending.tend_all()
