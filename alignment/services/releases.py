"""What serves: released by a round, promoted or taken back by a person, each on record."""

from typing import Any

from django.db import transaction

from alignment import events
from alignment.models import Decision, Round
from annotation.models import Project
from config.errors import Conflict, Invalid
from inference.models import Deployment, ModelVersion
from inference.selectors import live_policy
from inference.services import deployments


def release(*, turn: Round, model: ModelVersion) -> str:
    """Let a round's policy serve as its settings say. Doing it twice changes nothing more."""
    canary = turn.config["release"] == "canary"
    reason = f"round {turn.number} passed the gate"
    with transaction.atomic():
        decided = turn.decisions.filter(action=Decision.Action.RELEASE).exists()
        if not decided:
            deployments.deploy(
                project=turn.project.slug,
                model_version=model,
                arm=Deployment.Arm.CANARY if canary else Deployment.Arm.LIVE,
                weight=turn.config["canary_weight"] if canary else 1000,
                by=turn.requested_by,
                reason=reason,
            )
            Decision.objects.create(
                project=turn.project,
                round=turn,
                model=model,
                action=Decision.Action.RELEASE,
                reason=reason,
                numbers={"criteria": turn.gate["criteria"]},
            )
    events.models_changed(turn.project.slug)
    if canary:
        share = turn.config["canary_weight"] / 10
        return f"{model} answers {share:g} % of the conversations."
    return f"{model} answers from now on."


def promote(*, project: Project, model: ModelVersion, by, reason: str) -> Deployment:
    """Make a policy the live one by hand. Raises Invalid without a reason."""
    reason = _reason(reason)
    overruled = _refused(project, model)
    with transaction.atomic():
        deployment = deployments.promote(
            project=project.slug, model_version=model, by=by, reason=reason
        )
        Decision.objects.create(
            project=project,
            round=overruled.round if overruled else None,
            model=model,
            action=Decision.Action.OVERRULE if overruled else Decision.Action.PROMOTE,
            reason=reason,
            numbers=overruled.numbers if overruled else _numbers(model),
            by=by,
        )
    events.models_changed(project.slug)
    return deployment


def rollback(*, project: Project, model: ModelVersion, by, reason: str) -> Deployment:
    """Take `model`, the live one, back and serve again what was live before it.

    Raises Conflict when `model` is not live any more, or nothing was live before it.
    """
    reason = _reason(reason)
    live = live_policy(project=project.slug)
    if live is None or live.pk != model.pk:
        raise Conflict(f"'{model}' is not live in '{project.slug}'; '{live}' is.")
    with transaction.atomic():
        deployment = deployments.rollback(project=project.slug, by=by, reason=reason)
        Decision.objects.create(
            project=project,
            model=deployment.model_version,
            action=Decision.Action.ROLLBACK,
            reason=reason,
            numbers=_numbers(deployment.model_version),
            by=by,
        )
    events.models_changed(project.slug)
    return deployment


def _reason(text: str) -> str:
    text = (text or "").strip()
    if not text:
        raise Invalid("Say why, in a few words.", fields={"reason": "is required"})
    if len(text) > 2000 or "\0" in text:
        raise Invalid("Keep the reason under 2000 characters.", fields={"reason": "is too long"})
    return text


def _refused(project: Project, model: ModelVersion) -> Decision | None:
    """The gate's refusal that serving `model` would overrule."""
    return (
        project.decisions.filter(model=model, action=Decision.Action.REFUSE)
        .select_related("round")
        .first()
    )


def _numbers(model: ModelVersion) -> dict[str, Any]:
    return {"metrics": model.metadata.get("metrics", {})}
