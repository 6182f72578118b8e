"""Entries for Celery."""

from celery import shared_task

from inference.services import deployments


@shared_task
def sweep() -> int:
    """End deployments that have drained."""
    return deployments.end_drained()
