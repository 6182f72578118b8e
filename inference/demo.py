"""Put the starter policy on record and let it serve the demo project."""

from inference.selectors import live_policy
from inference.services import deployments, registry

PROJECT = "demo"


def prepare() -> list[str]:
    """Register the starter and deploy it where nothing is live yet. Safe to repeat."""
    starter = registry.ensure_starter()
    live = live_policy(project=PROJECT)
    if live is None:
        deployments.deploy(project=PROJECT, model_version=starter, reason="first policy")
        live = starter
    return [f"Model {live.name} answers in project '{PROJECT}'."]
