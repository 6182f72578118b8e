"""What the console is told while things happen: small payloads, one group a project."""

import logging
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)


def group(project_slug: str) -> str:
    """The channel group of a project's console."""
    return f"console.{project_slug}"


def run_changed(run, point: dict[str, Any] | None = None) -> None:
    """Tell viewers how a run stands; `point` is its newest line of progress."""
    _send(run.project.slug, {"kind": "run", "run": run_state(run), "point": point})


def log_changed(run) -> None:
    """Show viewers the end of what a run's trainer printed."""
    payload = {"kind": "log", "run": str(run.pk), "text": run.log}
    _send(run.project.slug, payload)


def round_changed(turn) -> None:
    """Tell viewers how a round stands."""
    _send(turn.project.slug, {"kind": "round", "round": round_state(turn)})


def models_changed(project_slug: str) -> None:
    """Tell viewers that another model serves now."""
    _send(project_slug, {"kind": "models"})


def run_state(run) -> dict[str, Any]:
    """A run as it goes over the wire."""
    return {
        "id": str(run.pk),
        "task": run.task,
        "round": str(run.round_id) if run.round_id else None,
        "state": run.state,
        "phase": run.phase,
        "step": run.step,
        "total": run.total,
        "metrics": run.metrics,
        "error": run.error,
    }


def round_state(turn) -> dict[str, Any]:
    """A round as it goes over the wire."""
    return {
        "id": str(turn.pk),
        "number": turn.number,
        "state": turn.state,
        "step": turn.step,
        "steps": turn.steps,
        "error": turn.error,
    }


def _send(project_slug: str, payload: dict[str, Any]) -> None:
    message = {"type": "console.changed", "payload": payload}
    try:
        async_to_sync(get_channel_layer().group_send)(group(project_slug), message)
    except Exception:
        # Viewers see it at their next look; the work itself must not stop for them.
        logger.warning("The console was not told of a change.", exc_info=True)
