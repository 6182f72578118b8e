"""Entries for Celery."""

from celery import shared_task

from feedback import events
from feedback.present import message_json
from feedback.services import (
    arena,
    generation,
    handover,
    handover_rules,
    images,
    leaderboard,
    love,
    rollups,
    trust,
    webhooks,
)
from feedback.threads import in_loop


@shared_task
def sweep() -> int:
    """Mark answers whose writer has died; tells the windows that are open."""
    swept = generation.sweep()
    for message in swept:
        done = {"type": "done", "message": message_json(message)}
        in_loop(events.tell, message.conversation_id, done)
    return len(swept)


@shared_task
def sweep_images() -> int:
    """Forget pictures that were never sent."""
    return images.sweep()


@shared_task
def fold() -> int:
    """Bring the counts of dashboards in step with what has happened."""
    return rollups.fold()


@shared_task
def prune() -> int:
    """Forget the counts by minute that nobody reads any more."""
    return rollups.prune()


@shared_task
def send_webhooks() -> int:
    """Tell other systems of reactions and votes; again later where nobody answered."""
    return webhooks.send_due()


@shared_task
def tally() -> int:
    """Hand votes on as judgments, and fit leaderboards whose votes or weights have changed."""
    arena.settle()
    return leaderboard.refresh_all()


@shared_task
def weigh() -> int:
    """Weigh the reactions and votes of the last weeks anew, with reasons."""
    return trust.weigh_all()


@shared_task
def estimate_love() -> int:
    """Fit P[Love] again and average it by model."""
    return love.estimate_all()


@shared_task
def hand_over() -> int:
    """Make tasks of the conversations that rules find; take back those that may not be used."""
    handover.settle()
    return handover_rules.run_all()
