"""Find jobs whose worker died, and rounds that nobody moves on, and put them before a worker."""

from datetime import timedelta

from django.core.cache import cache
from django.db.models import Q
from django.utils import timezone

from alignment import conf, events
from alignment.models import Round, Run
from alignment.services import devices, runs

#: A queued message may be lost with its broker; after so many seconds another one is sent.
RESEND_SECONDS = 60


def supervise() -> dict[str, int]:
    """Look at every unfinished run and round once; how many were put back, failed, sent again."""
    from alignment.tasks import execute_round

    done = {"requeued": 0, "failed": 0, "sent": 0, "freed": devices.sweep()}
    for run in Run.objects.filter(state=Run.State.RUNNING).select_related("project", "round"):
        outcome = runs.revive(run)
        if outcome == "alive":
            continue
        done[outcome] += 1
        run.refresh_from_db()
        events.run_changed(run)
        if outcome == "requeued":
            runs.launch(run=run)
        elif run.round_id:
            execute_round.delay(str(run.round_id))
    unheard = timezone.now() - timedelta(seconds=RESEND_SECONDS)
    never = Q(heartbeat_at=None, round=None, created_at__lt=unheard)
    lost = Run.objects.filter(Q(heartbeat_at__lt=unheard) | never, state=Run.State.QUEUED)
    for run in lost:
        runs.launch(run=run)
        done["sent"] += 1
    for turn in Round.objects.filter(state__in=Round.ACTIVE):
        if turn.runs.filter(state__in=Run.ACTIVE, heartbeat_at__isnull=False).exists():
            continue
        # One message a while is enough; a worker may be busy with something long.
        if cache.add(f"alignment:round-sent:{turn.pk}", 1, timeout=conf.STALE_SECONDS):
            execute_round.delay(str(turn.pk))
            done["sent"] += 1
    return done
