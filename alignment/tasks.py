"""Doors from the queue into the services."""

from celery import shared_task

from alignment.services import experiments, rounds, runs, supervision, triggers
from config.logs import about

#: A run that found every device taken is asked for again after so many seconds.
DEVICE_SECONDS = 3


@shared_task(name="alignment.tasks.execute_round")
def execute_round(round_id: str) -> None:
    """Move a round on."""
    with about(round=round_id):
        rounds.advance(round_id)


@shared_task(name="alignment.tasks.execute_run")
def execute_run(run_id: str) -> None:
    """Work on the run that goes first, then move its round on; ask again where no device is."""
    with about(run=run_id):
        if done := runs.execute_next(run_id):
            runs.after(done)
        elif runs.waits_for_device(run_id):
            execute_run.apply_async([run_id], countdown=DEVICE_SECONDS)


@shared_task(name="alignment.tasks.supervise", acks_late=False)
def supervise() -> None:
    """See to jobs whose worker died."""
    supervision.supervise()


@shared_task(name="alignment.tasks.watch_releases", acks_late=False)
def watch_releases() -> None:
    """Look at the live comparisons, and promote or roll back."""
    experiments.watch()


@shared_task(name="alignment.tasks.check_rules", acks_late=False)
def check_rules() -> None:
    """Begin the rounds whose time has come."""
    triggers.check_all()


@shared_task(name="alignment.tasks.measure_drift", acks_late=False)
def measure_drift() -> None:
    """Look how far people and reward models moved apart."""
    from alignment.services import drifting

    drifting.measure_all()
