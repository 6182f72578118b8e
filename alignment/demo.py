"""What `manage.py prepare` does for this app."""

from pathlib import Path

from django.conf import settings

from alignment.models import Round, Run
from alignment.services import supervision


def prepare() -> list[str]:
    """Make the folders of artefacts and runs, and see to what a stop left half done.

    Safe to repeat; a round that was under way goes on as soon as the workers are up.
    """
    for folder in (settings.ARTEFACTS_DIR, settings.RUNS_DIR):
        Path(folder).mkdir(parents=True, exist_ok=True)
    supervision.supervise()
    going_on = Round.objects.filter(state__in=Round.ACTIVE).select_related("project")
    lines = [f"Round {turn.number} of project '{turn.project}' goes on." for turn in going_on]
    alone = Run.objects.filter(state__in=Run.ACTIVE, round=None).count()
    return lines + ([f"{alone} training runs go on."] if alone else [])
