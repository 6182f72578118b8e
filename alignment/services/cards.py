"""The model card, written by itself from what is on record: Markdown, after Mitchell et al. 2019
(arXiv 1810.03993)."""

from collections.abc import Mapping
from typing import Any

import yaml

from alignment.models import Decision, Run
from inference.models import ModelVersion

NUMBERS = {
    "accuracy": "Preference accuracy, held out",
    "auroc": "AUROC",
    "ece": "Calibration error",
    "win_rate": "Win rate against its parent, held out",
    "lc_win_rate": "The same at equal length",
    "reward_gain": "Gain of reward",
    "kl": "KL to its parent, nats an answer",
    "length_ratio": "Length over its parent's",
    "distinct_2": "Distinct word pairs",
}


def at_birth(run: Run, name: str, metrics: Mapping[str, Any]) -> str:
    """The card that goes into the artefact: what is known when training ends, no times in it."""
    parts = [*_head(name, run.base.name if run.base else None, run), *_numbers(metrics)]
    parts += ["", "Later evaluations, decisions and where it served: see the console."]
    return "\n".join([*parts, ""])


def card(version: ModelVersion) -> str:
    """The card as of now, with evaluations, decisions and deployments."""
    run = Run.objects.filter(model=version).select_related("snapshot", "round", "project").first()
    parent = version.parent.name if version.parent else None
    lines = _head(version.name, parent, run)
    metrics = dict(version.metadata.get("metrics", {}))
    if run and run.round:
        evaluated = run.round.runs.filter(task="evaluate").first()
        if evaluated and version.kind == ModelVersion.Kind.POLICY:
            metrics |= evaluated.metrics
    lines += _numbers(metrics)
    if run and run.round and run.round.gate.get("words"):
        lines += ["", "## Gate", "", run.round.gate["words"]]
    decisions = Decision.objects.filter(model=version).select_related("by").order_by("created_at")
    if decisions:
        lines += ["", "## Decisions", ""]
        lines += [
            f"- {one.created_at:%Y-%m-%d %H:%M} UTC, {one.get_action_display().lower()} by "
            f"{one.by.pseudonym if one.by else 'the rules'}: {_line(one.reason)}"
            for one in decisions
        ]
    served = version.deployments.order_by("started_at")
    if served:
        lines += ["", "## Service", ""]
        lines += [
            f"- {one.started_at:%Y-%m-%d %H:%M} UTC, {one.get_arm_display().lower()} of "
            f"{one.project}, {one.weight / 10:g} %, {one.get_state_display().lower()}"
            for one in served[:50]
        ]
    lines += ["", "## Files", "", f"SHA-256 over all files: `{version.digest}`", ""]
    return "\n".join(lines)


def _head(name: str, parent: str | None, run: Run | None) -> list[str]:
    front = {"model_name": name, "tags": ["preferendum"]}
    if parent:
        front["base_model"] = parent
    lines = ["---", yaml.safe_dump(front, sort_keys=False).strip(), "---", "", f"# {name}", ""]
    if run is None:
        return [*lines, "It was registered, not trained, here."]
    what = {"policy": "A policy", "reward": "A reward model"}.get(run.task, "A model")
    made = f"by round {run.round.number} of " if run.round else "in "
    lines.append(f"{what} trained {made}project `{run.project.slug}` by `{run.recipe}`.")
    if parent:
        lines.append(f"It began with `{parent}`.")
    if run.snapshot is not None:
        taken, counts = run.snapshot, run.snapshot.counts
        lines += [
            "",
            "## Data",
            "",
            f"Snapshot `{taken.digest}`: {counts.get('preference', {}).get('records', 0)} "
            f"judgments and {counts.get('reaction', {}).get('records', 0)} reactions by "
            f"{taken.people} people. People appear by pseudonym only.",
            f"Held out: {taken.query.get('eval_share', 0):.0%} of the prompts, by their hash.",
        ]
    settings = {"seed": run.config.get("seed", 0), **run.config.get("params", {})}
    text = yaml.safe_dump(settings, sort_keys=True, allow_unicode=True).rstrip()
    return [*lines, "", "## Settings", "", "```yaml", text, "```"]


def _numbers(metrics: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, words in NUMBERS.items():
        value = metrics.get(name)
        if not isinstance(value, int | float):
            continue
        low, high = (metrics.get(f"{name}_ci") or (None, None))[:2]
        interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
        rows.append(f"| {words} | {value:.3f} | {interval} |")
    if not rows:
        return []
    return ["", "## Measured", "", "| measure | value | 95 % interval |", "|---|---|---|", *rows]


def _line(text: str) -> str:
    return " ".join(text.split())
