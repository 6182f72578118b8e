"""What other apps may ask about models and deployments."""

from inference.models import Deployment, ModelVersion


def serving(*, project: str) -> list[Deployment]:
    """What answers new conversations of the project, live arm first."""
    return list(Deployment.objects.serving(project))


def live_policy(*, project: str) -> ModelVersion | None:
    """The version on the live arm, or None."""
    live = Deployment.objects.serving(project).filter(arm=Deployment.Arm.LIVE).first()
    return live.model_version if live else None
