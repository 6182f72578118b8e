"""What serves: released by a round, promoted or taken back by a person, each on record."""

from typing import Any

from django.db import transaction

from alignment import events
from alignment.models import Decision, Experiment, Round
from alignment.services import experiments
from annotation.models import Project
from config.errors import Conflict, Invalid
from inference.models import Deployment, ModelVersion
from inference.selectors import live_policy
from inference.services import deployments

Arm = Deployment.Arm


def release(*, turn: Round, model: ModelVersion) -> str:
    """Let a round's policy serve as its settings say. Doing it twice changes nothing more."""
    canary = turn.config["release"] == "canary"
    reason = f"round {turn.number} passed the gate"
    with transaction.atomic():
        decided = turn.decisions.filter(action=Decision.Action.RELEASE).exists()
        if not decided:
            deployment = deployments.deploy(
                project=turn.project.slug,
                model_version=model,
                arm=Arm.CANARY if canary else Arm.LIVE,
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
            if canary:
                rules = experiments.settings_of(turn.config.get("experiment"))
                experiments.begin(
                    project=turn.project, candidate=deployment, rules=rules, turn=turn
                )
    events.models_changed(turn.project.slug)
    if canary:
        share = turn.config["canary_weight"] / 10
        return f"{model} answers {share:g} % of the conversations, and is compared."
    return f"{model} answers from now on."


def canary(
    *,
    project: Project,
    model: ModelVersion,
    weight: int,
    by,
    reason: str,
    rules: dict[str, Any] | None = None,
) -> Experiment:
    """Try a policy on a share of the conversations (parts per thousand) and compare it.

    `rules` differ from the project's (`options.round.experiment`). Raises Invalid or Conflict.
    """
    reason = _reason(reason)
    of_project = ((project.options or {}).get("round") or {}).get("experiment") or {}
    checked = experiments.settings_of({**of_project, **(rules or {})})
    _share(weight)
    overruled = _refused(project, model)
    with transaction.atomic():
        deployment = deployments.deploy(
            project=project.slug,
            model_version=model,
            arm=Arm.CANARY,
            weight=weight,
            by=by,
            reason=reason,
        )
        begun = experiments.begin(project=project, candidate=deployment, rules=checked)
        action = Decision.Action.OVERRULE if overruled else Decision.Action.CANARY
        numbers = overruled.numbers if overruled else _numbers(model)
        _record(project, model, action, reason, by, numbers | {"weight": weight})
    events.models_changed(project.slug)
    return begun


def hold_out(*, project: Project, model: ModelVersion, weight: int, by, reason: str) -> Deployment:
    """Keep a share of the conversations on `model`, to see over months what the changes gain."""
    reason = _reason(reason)
    _share(weight)
    with transaction.atomic():
        deployment = deployments.deploy(
            project=project.slug,
            model_version=model,
            arm=Arm.HOLDOUT,
            weight=weight,
            by=by,
            reason=reason,
        )
        numbers = {"weight": weight}
        _record(project, model, Decision.Action.HOLDOUT, reason, by, numbers)
    events.models_changed(project.slug)
    return deployment


def retire(*, project: Project, model: ModelVersion, by, reason: str) -> None:
    """Take a canary or hold-out arm out of service; its share goes back to the live policy."""
    reason = _reason(reason)
    serving = Deployment.objects.serving(project.slug).filter(model_version=model)
    arms = list(serving.exclude(arm=Arm.LIVE))
    if not arms:
        raise Conflict(f"'{model}' is neither a canary nor held out in '{project.slug}'.")
    with transaction.atomic():
        for deployment in arms:
            deployments.undeploy(project=project.slug, arm=deployment.arm, by=by, reason=reason)
        numbers: dict[str, Any] = {"arms": [one.arm for one in arms]}
        running = project.experiments.filter(state="running", candidate__in=arms).first()
        if running is not None:
            experiments.end(running, Experiment.State.RETIRED)
            numbers |= {"counts": running.counts, "measures": running.outcome.get("measures")}
        _record(project, model, Decision.Action.RETIRE, reason, by, numbers)
    events.models_changed(project.slug)


def promote(*, project: Project, model: ModelVersion, by, reason: str) -> Deployment:
    """Make a policy the live one by hand. Raises Invalid without a reason."""
    reason = _reason(reason)
    overruled = _refused(project, model)
    with transaction.atomic():
        deployment = deployments.promote(
            project=project.slug, model_version=model, by=by, reason=reason
        )
        for running in project.experiments.filter(state="running"):
            mine = running.candidate.model_version_id == model.pk
            states = Experiment.State
            experiments.end(running, states.PROMOTED if mine else states.REPLACED)
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


def _record(project: Project, model: ModelVersion, action: str, reason: str, by, numbers) -> None:
    Decision.objects.create(
        project=project, model=model, action=action, reason=reason, by=by, numbers=numbers
    )


def _share(weight: Any) -> None:
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= 500:
        raise Invalid(
            "A share is 1 to 500 parts of 1000: the live policy keeps the greater part.",
            fields={"weight": "must be a whole number from 1 to 500"},
        )


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
