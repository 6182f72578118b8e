"""Reading door: models with their lineage, snapshots, and what runs and rounds came to."""

import uuid
from typing import Any

from django.db.models import Prefetch, Q, QuerySet

from alignment.models import Round, Run, Snapshot
from annotation.models import Project
from config.errors import Invalid
from inference.models import Deployment, ModelVersion


def model(name: str) -> ModelVersion:
    """A model version by name or id. Raises Invalid when there is none."""
    known = ModelVersion.objects.filter(_by_id_or(name, name=name)) if "\0" not in name else None
    found = known.first() if known is not None else None
    if found is None:
        raise Invalid(f"There is no model '{name}'.", fields={"model": "is not known"})
    return found


def snapshot(name: str) -> Snapshot | None:
    """A snapshot by id, or the newest with that hash."""
    return Snapshot.objects.filter(_by_id_or(name, digest=name)).first()


def models_of(project: Project) -> QuerySet[ModelVersion]:
    """The models that a project trained or served, newest first, ready for lineage."""
    served = Deployment.objects.filter(project=project.slug)
    return (
        ModelVersion.objects.filter(Q(run__project=project) | Q(deployments__in=served))
        .distinct()
        .select_related("parent", "run__snapshot", "run__round")
        .defer("run__curve", "run__log")
        .prefetch_related(
            Prefetch("deployments", queryset=served.filter(state="serving"), to_attr="serving")
        )
        .order_by("-created_at")
    )


def lineage(version: ModelVersion) -> dict[str, Any]:
    """Where a model comes from: its run, recipe, snapshot, and how many judged how much."""
    run = getattr(version, "run", None)
    taken = run.snapshot if run else None
    counts = taken.counts if taken else {}
    return {
        "parent": version.parent.name if version.parent else None,
        "run": str(run.pk) if run else None,
        "round": run.round.number if run and run.round else None,
        "recipe": run.recipe if run else None,
        "snapshot": str(taken.pk) if taken else None,
        "snapshot_hash": taken.digest if taken else None,
        "judgments": counts.get("preference", {}).get("records", 0),
        "reactions": counts.get("reaction", {}).get("records", 0),
        "people": taken.people if taken else 0,
        "metrics": version.metadata.get("metrics", {}),
    }


def run_result(run: Run) -> dict[str, Any]:
    """What came of a run, as `manage.py train --json` prints it."""
    return {
        "run": str(run.pk),
        "model": run.model.name if run.model else None,
        "verdict": run.state,
        "metrics": run.metrics,
        "error": run.error,
    }


def round_result(turn: Round) -> dict[str, Any]:
    """What came of a round, as `manage.py run_round --json` prints it."""
    runs = {run.task: run for run in turn.runs.select_related("model")}
    policy = runs.get("policy")
    took = turn.finished_at - turn.created_at if turn.finished_at else None
    return {
        "run": str(turn.pk),
        "round": turn.number,
        "model": policy.model.name if policy and policy.model else None,
        "base": turn.base.name if turn.base else None,
        "verdict": turn.state,
        "metrics": headline(runs),
        "gate": turn.gate,
        "steps": {step: turn.steps[step] for step in Round.Step.values if step in turn.steps},
        "snapshot": turn.snapshot.digest if turn.snapshot else None,
        "error": turn.error,
        "seconds": round(took.total_seconds(), 1) if took else None,
    }


def headline(runs: dict[str, Run]) -> dict[str, Any]:
    """The numbers of a round's runs that a reader asks for first."""
    found: dict[str, Any] = {}
    if "reward" in runs:
        unseen = unseen_accuracy(runs["reward"])
        for name in ("accuracy", "accuracy_ci", "n"):
            if name in unseen:
                found[f"rm_{name}"] = unseen[name]
    if "evaluate" in runs:
        wanted = (
            *("n_prompts", "win_rate", "win_rate_ci", "lc_win_rate", "lc_win_rate_ci"),
            *("reward_gain", "reward_gain_ci", "kl", "kl_ci", "mean_tokens", "length_ratio"),
        )
        metrics = runs["evaluate"].metrics
        found |= {name: metrics[name] for name in wanted if name in metrics}
    return found


def unseen_accuracy(run: Run) -> dict[str, Any]:
    """n, accuracy and accuracy_ci of a reward run over all pairs, each by a fit that did not see
    its prompt; of the held-out pairs alone where an older run has no more.

    The held-out pairs of a young project are too few to refuse or release anything by.
    """
    return run.metrics.get("unseen") or run.metrics


def _by_id_or(text: str, **other: str) -> Q:
    try:
        return Q(pk=uuid.UUID(text)) | Q(**other)
    except ValueError:
        return Q(**other)
