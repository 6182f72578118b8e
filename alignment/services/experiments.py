"""Live comparisons: count what came of the conversations, judge, and act on a boundary.

`watch` is called every quarter of a minute. A look adds the conversations that have settled since
the last one, so its cost does not grow with the age of the comparison.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from alignment import events
from alignment.models import Decision, Experiment, Round
from alignment.services import locks
from alignment.stats.release import MEASURES, Rules, judge
from annotation.models import Project
from config.errors import Conflict, DomainError, Invalid
from feedback import selectors as feedback
from inference.models import Deployment
from inference.services import deployments

logger = logging.getLogger(__name__)

State = Experiment.State
Arm = Deployment.Arm
PATH_POINTS = 240

#: How a conversation is read, besides the rules of `alignment.stats.release`. Reactions are
#: waited for; that an answer failed or was late is known sooner.
READING = {"window_s": 300, "quick_s": 60, "slow_ms": 10_000}


def settings_of(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The rules of a comparison, checked and completed. Raises Invalid naming the wrong one."""
    given = dict(given or {})
    reading = {name: given.pop(name, default) for name, default in READING.items()}
    for name, value in reading.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**7:
            raise Invalid(
                f"experiment.{name}: must be a whole number from 1.",
                fields={f"experiment.{name}": "must be a whole number from 1"},
            )
    try:
        rules = Rules.from_mapping(given)
    except ValueError as error:
        name, _, problem = str(error).partition(": ")
        raise Invalid(f"experiment.{error}.", fields={f"experiment.{name}": problem}) from None
    return rules.as_dict() | reading


def begin(
    *,
    project: Project,
    candidate: Deployment,
    rules: Mapping[str, Any],
    turn: Round | None = None,
) -> Experiment:
    """Compare a serving canary with the live policy from now on; an older comparison ends."""
    control = Deployment.objects.serving(project.slug).filter(arm=Arm.LIVE).first()
    if control is None or control.pk == candidate.pk:
        raise Conflict(f"Nothing is live in '{project.slug}' to compare with.")
    with transaction.atomic():
        locks.wait_for(f"experiments:{project.pk}")
        running = project.experiments.filter(state=State.RUNNING).first()
        share = candidate.weight / max(1, candidate.weight + control.weight)
        if running is not None:
            same = (running.candidate_id, running.control_id) == (candidate.pk, control.pk)
            if same and abs(running.share - share) < 1e-9:
                return running
            end(running, State.REPLACED)
        now = timezone.now()
        return Experiment.objects.create(
            project=project,
            round=turn,
            candidate=candidate,
            control=control,
            share=share,
            rules=dict(rules),
            counts=_nothing(now),
            counted_until=now,
        )


def end(experiment: Experiment, state: str) -> None:
    """Close a comparison."""
    experiment.state, experiment.ended_at = state, timezone.now()
    experiment.save(update_fields=["state", "ended_at"])


def watch() -> dict[str, int]:
    """Look at every running comparison and act on what it says; how many came to what."""
    done: dict[str, int] = {}
    for pk in list(Experiment.objects.filter(state=State.RUNNING).values_list("pk", flat=True)):
        with locks.held(f"experiment:{pk}") as mine:
            if not mine:
                continue
            try:
                action = look(pk)
            except DomainError as error:
                logger.warning("Experiment %s: %s", pk, error.detail)
                action = "failed"
            except Exception:  # one that cannot be judged keeps none of the others waiting
                logger.exception("Experiment %s could not be looked at.", pk)
                action = "failed"
        done[action] = done.get(action, 0) + 1
    return done


def look(pk, *, now: datetime | None = None) -> str:
    """Count, judge and act; the action taken."""
    related = ("project", "round", "candidate__model_version", "control__model_version")
    experiment = Experiment.objects.select_related(*related).get(pk=pk)
    if experiment.state != State.RUNNING:
        return "ended"
    now = now or timezone.now()
    candidate, control = experiment.candidate, experiment.control
    if {candidate.state, control.state} != {Deployment.State.SERVING}:
        end(experiment, State.REPLACED)
        return "replaced"
    _count(experiment, now)
    rules = {k: v for k, v in experiment.rules.items() if k not in READING}
    outcome = judge(experiment.counts, Rules.from_mapping(rules)).as_dict()
    experiment.outcome = outcome
    experiment.looked_at = now
    experiment.path = _thinned([*experiment.path, _point(experiment, outcome, now)])
    # Someone may have ended it meanwhile; what they decided stands.
    seen = ("counts", "counted_until", "outcome", "looked_at", "path")
    experiment.save(update_fields=seen)
    if not Experiment.objects.filter(pk=pk, state=State.RUNNING).exists():
        return "ended"
    _act(experiment, outcome)
    return outcome["action"]


def _count(experiment: Experiment, now: datetime) -> None:
    """Add the conversations that settled since the last look."""
    rules, counts = experiment.rules, experiment.counts
    arms = {experiment.candidate_id: "candidate", experiment.control_id: "control"}
    since = {
        "window_s": experiment.counted_until,
        "quick_s": datetime.fromisoformat(counts["quick_until"]),
    }
    for name, begun in since.items():
        window = timedelta(seconds=rules[name])
        until = now - window
        if until <= begun:
            continue
        found = feedback.arm_outcomes(
            deployments=arms, since=begun, until=until, window=window, slow_ms=rules["slow_ms"]
        )
        quick = name == "quick_s"
        for pk, seen in found.items():
            arm = counts[arms[pk]]
            if quick:
                arm["answered"] += seen["n"]
                arm["slow"] += seen["slow"]
                arm["failed"] += seen["failed"]
            else:
                arm["n"] += seen["n"]
                arm["loved"] += seen["loved"]
                arm["complained"] += seen["complained"]
        if quick:
            counts["quick_until"] = until.isoformat()
        else:
            experiment.counted_until = until
    dealt = feedback.dealt(deployments=arms, since=experiment.started_at)
    counts["dealt"] = {name: dealt.get(pk, 0) for pk, name in arms.items()}
    counts["votes"] = feedback.votes_between(
        project_ids=[experiment.project_id],
        model=experiment.candidate.model_version_id,
        other=experiment.control.model_version_id,
        since=experiment.started_at,
    )
    counts["share"] = experiment.share


def _act(experiment: Experiment, outcome: dict[str, Any]) -> None:
    action, model = outcome["action"], experiment.candidate.model_version
    project, reason = experiment.project, outcome["reason"]
    if action in ("halt", "undecided"):
        known = Decision.Action.HALT if action == "halt" else Decision.Action.UNDECIDED
        if action == "halt" and not experiment.halted:
            experiment.halted = True
            experiment.save(update_fields=["halted"])
            _record(experiment, known, outcome)
        elif action == "undecided" and not _recorded(experiment, known):
            _record(experiment, known, outcome)
        return
    if action == "promote":
        with transaction.atomic():
            deployments.promote(project=project.slug, model_version=model, reason=reason)
            end(experiment, State.PROMOTED)
            _record(experiment, Decision.Action.PROMOTE, outcome)
    elif action == "rollback":
        with transaction.atomic():
            deployments.undeploy(project=project.slug, arm=experiment.candidate.arm, reason=reason)
            end(experiment, State.ROLLED_BACK)
            _record(experiment, Decision.Action.ROLLBACK, outcome)
    if action in ("promote", "rollback"):
        logger.info("%s: %s %s. %s", project.slug, action, model, reason)
        events.models_changed(project.slug)


def _record(experiment: Experiment, action: str, outcome: dict[str, Any]) -> None:
    Decision.objects.create(
        project=experiment.project,
        round=experiment.round,
        model=experiment.candidate.model_version,
        action=action,
        reason=outcome["reason"],
        numbers={
            "experiment": str(experiment.pk),
            "counts": experiment.counts,
            "measures": outcome["measures"],
            "mismatch": outcome["mismatch"],
        },
    )


def _recorded(experiment: Experiment, action: str) -> bool:
    return Decision.objects.filter(
        project=experiment.project, action=action, numbers__experiment=str(experiment.pk)
    ).exists()


def _nothing(now: datetime) -> dict[str, Any]:
    empty = dict.fromkeys(("n", "answered", *MEASURES), 0)
    return {
        "control": dict(empty),
        "candidate": dict(empty),
        "dealt": {"control": 0, "candidate": 0},
        "votes": {"wins": 0, "losses": 0, "ties": 0},
        "quick_until": now.isoformat(),
    }


def _point(experiment: Experiment, outcome: dict[str, Any], now: datetime) -> dict[str, Any]:
    """One look, short enough to keep hundreds of."""
    counts = experiment.counts
    point: dict[str, Any] = {
        "t": now.isoformat(timespec="seconds"),
        "n": counts["control"]["n"] + counts["candidate"]["n"],
    }
    for name, one in outcome["measures"].items():
        middle = one.get("difference") if name != "votes" else one["candidate"]
        point[name] = [
            None if value is None else round(value, 4)
            for value in (middle, one["low"], one["high"])
        ]
    return point


def _thinned(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Looks that added something, at most PATH_POINTS of them, the newest always among them."""
    if len(points) > 1 and {**points[-1], "t": 0} == {**points[-2], "t": 0}:
        points = [*points[:-2], points[-1]]
    while len(points) > PATH_POINTS:
        points = points[:-1:2] + points[-1:]
    return points
