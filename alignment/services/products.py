"""What a finished run leaves behind: its artefact copied to its place and put on record."""

import shutil
from pathlib import Path
from typing import Any

from django.conf import settings

from alignment.errors import RunFailed
from alignment.models import Run
from alignment.services import cards, files
from inference.models import ModelVersion
from inference.services import registry

KINDS = {"reward": ModelVersion.Kind.REWARD, "policy": ModelVersion.Kind.POLICY}


def keep(run: Run, folder: Path, report: dict[str, Any]) -> ModelVersion | None:
    """Register what a reward or policy run made; None for runs that make no model.

    Doing it again after a crash finds what is there. Raises RunFailed when the artefact is
    missing, Invalid when its form is refused.
    """
    kind = KINDS.get(run.task)
    if kind is None:
        return None
    made = folder / (report.get("artefact") or "artefact")
    if not made.is_dir():
        raise RunFailed("The trainer reported success and left no artefact; nothing was kept.")
    name = model_name(run)
    target = Path(settings.ARTEFACTS_DIR) / "models" / name
    if not target.exists():
        with files.aside(target.parent) as copy:
            shutil.copytree(made, copy, dirs_exist_ok=True)
            card = cards.at_birth(run, name, report.get("metrics") or {})
            (copy / "README.md").write_text(card, encoding="utf-8")
            files.settle(copy, target)
    return registry.register(
        name=name,
        kind=kind,
        location=str(target),
        parent=run.base,
        metadata=about(run, report),
    )


def model_name(run: Run) -> str:
    """The name of what a run makes; the same for the same run, never the same for two."""
    suffix = "-reward" if run.task == "reward" else ""
    if run.round_id:
        return f"{run.project.slug}-r{run.round.number}{suffix}"
    return f"{run.project.slug}-{run.pk.hex[:8]}{suffix}"


def about(run: Run, report: dict[str, Any]) -> dict[str, Any]:
    """Where a model comes from, kept with it."""
    snapshot = run.snapshot
    counts = snapshot.counts if snapshot else {}
    return {
        "project": run.project.slug,
        "run": str(run.pk),
        "recipe": run.recipe,
        "snapshot": snapshot.digest if snapshot else None,
        "judgments": counts.get("preference", {}).get("records", 0),
        "reactions": counts.get("reaction", {}).get("records", 0),
        "people": snapshot.people if snapshot else 0,
        "metrics": report.get("metrics") or {},
        "versions": report.get("versions") or {},
    }
