"""Which version answers which conversations. Every change is one transaction with its reason.

Answers under way are not touched: a message keeps the version it began with, and a deployment
that is replaced drains (`inference.tasks.sweep` ends it) before the engine may forget it.
"""

import asyncio
import hashlib
import logging
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from config.errors import Conflict, DomainError, Invalid
from config.models import User
from inference import client
from inference.errors import EngineDown
from inference.models import Deployment, ModelVersion

logger = logging.getLogger(__name__)

WHOLE = 1000
Arm = Deployment.Arm
State = Deployment.State


def deploy(
    *,
    project: str,
    model_version: ModelVersion,
    arm: str = Arm.LIVE,
    weight: int = WHOLE,
    by: User | None = None,
    reason: str = "",
) -> Deployment:
    """Let a policy serve as `arm`; the one that held the arm drains.

    `weight` is the share in parts per thousand of an arm beside the live one, which takes what
    is left of 1000. Deploying what serves already, with the same share, changes nothing.
    """
    if model_version.kind != ModelVersion.Kind.POLICY:
        raise Invalid(f"'{model_version.name}' is not a policy; only policies answer chats.")
    if arm not in Arm.values:
        raise Invalid(f"'{arm}' is not an arm; choose one of {', '.join(Arm.values)}.")
    if arm != Arm.LIVE and not 1 <= weight <= WHOLE:
        raise Invalid("A share is 1 to 1000 parts of 1000.", fields={"weight": str(weight)})
    _prepare_engine(model_version)
    with transaction.atomic():
        return _deploy(project, model_version, arm, weight, by, reason)


@transaction.atomic
def undeploy(*, project: str, arm: str, by: User | None = None, reason: str = "") -> None:
    """Take an arm out of service; its share goes back to the live arm."""
    serving = _locked(project)
    if arm not in serving:
        raise Conflict(f"Nothing serves as {arm} in '{project}'.")
    if arm == Arm.LIVE and len(serving) > 1:
        raise Conflict("Take the other arms out of service before the live one.")
    _drain(serving.pop(arm), reason)
    _rebalance(serving)


def promote(
    *, project: str, model_version: ModelVersion, by: User | None = None, reason: str = ""
) -> Deployment:
    """Make a version the live one; an arm on which it was tried ends."""
    _prepare_engine(model_version)
    with transaction.atomic():
        for arm, deployment in _locked(project).items():
            if arm != Arm.LIVE and deployment.model_version_id == model_version.pk:
                _drain(deployment, reason or "promoted")
        return _deploy(project, model_version, Arm.LIVE, WHOLE, by, reason or "promoted")


def rollback(*, project: str, by: User | None = None, reason: str = "") -> Deployment:
    """Serve again what was live before. Going back twice goes back two steps, not to and fro."""
    with transaction.atomic():
        current = _locked(project).get(Arm.LIVE)
        if current is None:
            raise Conflict(f"Nothing is live in '{project}', so there is nothing to go back from.")
        origin = current
        while origin.restores is not None:
            origin = origin.restores
        previous = (
            Deployment.objects.filter(
                project=project, arm=Arm.LIVE, started_at__lt=origin.started_at
            )
            .exclude(model_version=current.model_version_id)
            .select_related("model_version")
            .order_by("-started_at")
            .first()
        )
        if previous is None:
            raise Conflict(f"'{current.model_version}' is the first live model of '{project}'.")
        restored = _deploy(
            project, previous.model_version, Arm.LIVE, WHOLE, by, reason or "rolled back"
        )
        restored.restores = previous
        restored.save(update_fields=["restores"])
    _prepare_engine(restored.model_version)
    return restored


def choose(*, project: str, key: str) -> Deployment:
    """The deployment for a conversation: a stable share of the keys goes to each arm."""
    serving = list(Deployment.objects.serving(project))
    if not serving:
        raise Conflict(f"No model serves in '{project}' yet.")
    return deal(serving, project=project, key=key)


def deal(serving: list[Deployment], *, project: str, key: str) -> Deployment:
    """As `choose`, among deployments that were looked up before."""
    point = int.from_bytes(hashlib.sha256(f"{project}:{key}".encode()).digest()[:8]) % WHOLE
    # The live arm comes last, so a new arm takes its share and moves nobody else.
    for deployment in sorted(serving, key=lambda one: (one.arm == Arm.LIVE, one.arm)):
        if point < deployment.weight:
            return deployment
        point -= deployment.weight
    return serving[0]


def end_drained() -> int:
    """End deployments whose last answer must be over, and let the engine forget them."""
    before = timezone.now() - timedelta(seconds=settings.ENGINE_TOTAL_S + 60)
    drained = Deployment.objects.filter(state=State.DRAINING, ended_at__lt=before)
    ended = 0
    for deployment in drained.select_related("model_version"):
        deployment.state = State.ENDED
        deployment.save(update_fields=["state"])
        ended += 1
        version = deployment.model_version
        if not version.deployments.exclude(state=State.ENDED).exists():
            try:
                _in_own_loop(client.unload(version))
            except DomainError as exc:
                logger.warning("%s stays loaded: %s", version.name, exc.detail)
    return ended


def _deploy(
    project: str, version: ModelVersion, arm: str, weight: int, by: User | None, reason: str
) -> Deployment:
    serving = _locked(project)
    if arm != Arm.LIVE and Arm.LIVE not in serving:
        raise Conflict(f"Deploy a live model in '{project}' before a {arm}.")
    if arm != Arm.LIVE:
        taken = sum(one.weight for name, one in serving.items() if name not in {arm, Arm.LIVE})
        if taken + weight > WHOLE:
            raise Conflict(f"The other arms take {taken} of 1000; {weight} more is too much.")
    present = serving.get(arm)
    if present is not None and present.model_version_id == version.pk:
        if arm != Arm.LIVE and present.weight != weight:
            present.weight = weight
            present.save(update_fields=["weight"])
        _rebalance(serving)
        return present
    if present is not None:
        _drain(present, "")
    serving[arm] = Deployment.objects.create(
        project=project, model_version=version, arm=arm, weight=min(weight, WHOLE),
        started_by=by, reason=reason[:300],
    )  # fmt: skip
    _rebalance(serving)
    return serving[arm]


def _locked(project: str) -> dict[str, Deployment]:
    """The serving deployments by arm; changes of one project wait for each other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"arms:{project}"])
    return {one.arm: one for one in Deployment.objects.serving(project)}


def _drain(deployment: Deployment, reason: str) -> None:
    deployment.state = State.DRAINING
    deployment.ended_at = timezone.now()
    if reason:
        deployment.reason = f"{deployment.reason}; ended: {reason}".removeprefix("; ")[:300]
    deployment.save(update_fields=["state", "ended_at", "reason"])


def _rebalance(serving: dict[str, Deployment]) -> None:
    """Give the live arm what the others leave of 1000."""
    live = serving.get(Arm.LIVE)
    if live is None:
        return
    left = WHOLE - sum(one.weight for arm, one in serving.items() if arm != Arm.LIVE)
    if live.weight != left:
        live.weight = left
        live.save(update_fields=["weight"])


def _prepare_engine(version: ModelVersion) -> None:
    """Have the engine read the weights now, so the first chat need not wait. Best effort."""
    try:
        _in_own_loop(client.load(version, again=True))
    except EngineDown:
        # Its supervisor has it read what serves as soon as it is up again.
        logger.info("The engine is not up; it will load %s when it is.", version.name)
    except DomainError as exc:
        logger.warning("%s will be loaded at its first chat: %s", version.name, exc.detail)


def _in_own_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run engine calls from a use-case: a thread of its own, so never inside a running loop."""

    async def run() -> None:
        try:
            await work
        finally:
            await client.close()

    asyncio.run(run())
