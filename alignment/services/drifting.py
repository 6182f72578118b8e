"""Measure drift: does the reward model still agree with people, do they with each other, and are
they still asked about the same things? For workers: loads the encoder and the trainer."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.utils import timezone

from alignment.models import Round, Rule, Run
from alignment.selectors import unseen_accuracy
from alignment.services import assembly, evaluations, files, parquet, snapshots
from alignment.services.drawing import draw
from alignment.services.queries import resolve_query
from alignment.stats.drift import energy_shift
from annotation import selectors as annotation
from config.errors import DomainError

logger = logging.getLogger(__name__)

#: Fewer fresh pairs, or fewer prompts on a side, say nothing.
LEAST = 20
#: So many prompts of each side are compared at most.
PROMPTS = 400


def measure_all() -> int:
    """Measure every rule that asks for it; how many there were."""
    asked = [
        rule
        for rule in Rule.objects.filter(enabled=True).select_related("project")
        if {rule.accuracy_drop, rule.agreement_drop, rule.prompt_shift} != {None}
    ]
    for rule in asked:
        try:
            measure(rule)
        except Exception:  # what one project lacks keeps none of the others waiting
            logger.exception("The drift of %s could not be measured.", rule.project)
    return len(asked)


def measure(rule: Rule) -> dict[str, Any]:
    """What changed since the last round's snapshot, kept with the rule."""
    last = (
        Round.objects.filter(project=rule.project, snapshot__isnull=False)
        .select_related("snapshot")
        .first()
    )
    found: dict[str, Any] = {}
    if last is not None:
        home = Path(settings.RUNS_DIR)
        with files.aside(home) as folder:
            query = resolve_query(
                rule.project,
                {"since": last.snapshot.created_at.isoformat(), "kinds": ["preference"]},
            )
            drawn = draw(folder, query, position=annotation.log_position())
            found = _agreement(last.snapshot, drawn.agreement)
            if rule.accuracy_drop is not None and drawn.pairs >= LEAST:
                found |= _accuracy(last, folder)
            if rule.prompt_shift is not None:
                found |= _prompts(last.snapshot, folder)
            found["fresh_pairs"] = drawn.pairs
    rule.measured, rule.measured_at = found, timezone.now()
    rule.save(update_fields=["measured", "measured_at"])
    return found


def _agreement(taken, now: dict[str, Any]) -> dict[str, Any]:
    before = snapshots.datasheet_of(taken).get("agreement", {}).get("preference", {})
    fresh = now.get("preference", {})
    if fresh.get("units_judged_twice", 0) < LEAST:
        return {}
    name = "krippendorff_alpha"
    return {"agreement_before": before.get(name), "agreement_now": fresh.get(name)}


def _accuracy(last: Round, folder: Path) -> dict[str, Any]:
    run = (
        Run.objects.filter(project=last.project, task="reward", state=Run.State.DONE)
        .exclude(model=None)
        .order_by("-finished_at")
        .first()
    )
    if run is None:
        return {}
    try:
        metrics = evaluations.of_pairs(
            Path(assembly.model_folder(run.model)), folder / "pairs.parquet"
        )
    except DomainError as error:
        return {"accuracy_problem": error.detail}
    return {
        "accuracy_before": unseen_accuracy(run).get("accuracy"),
        "accuracy_now": metrics.get("accuracy"),
        "accuracy_now_ci": metrics.get("accuracy_ci"),
    }


def _prompts(taken, folder: Path) -> dict[str, Any]:
    before = _texts(snapshots.folder_of(taken) / "preference.parquet")
    after = _texts(folder / "preference.parquet")
    if min(len(before), len(after)) < LEAST:
        return {}
    shift = energy_shift(_embedded(before), _embedded(after))
    return {"prompt_p": round(shift.p, 4), "prompt_distance": round(shift.distance, 5)}


def _texts(path: Path) -> list[str]:
    """The newest prompts of a file, each once."""
    found: dict[str, str] = {}
    if path.exists():
        for row in parquet.read(path, ["prompt_hash", "prompt"]):
            found[row["prompt_hash"]] = row["prompt"]
    return list(found.values())[-PROMPTS:]


def _embedded(prompts: list[str]) -> np.ndarray:
    from alignment.rewards.features import Featurizer, prompt_text

    featurizer = Featurizer(cache=Path(settings.RUNS_DIR).resolve() / "cache")
    return featurizer([(prompt_text(json.loads(prompt)), "") for prompt in prompts])[
        :, featurizer.blocks["whole"]
    ]
