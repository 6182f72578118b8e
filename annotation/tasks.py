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
