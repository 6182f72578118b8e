"""What the console's pages show: reads only."""

from collections.abc import Iterable
from typing import Any

from django.core.cache import cache

from alignment import plots, selectors
from alignment.models import Round, Run
from annotation import selectors as annotation
from annotation.models import Project
from feedback import selectors as feedback
from inference import selectors as inference
from inference.models import Deployment, ModelVersion

ROUNDS = 20

#: Many open consoles ask for the same counts; they are read so often and no oftener.
COUNTS_SECONDS = 2

#: A round's or run's state as a badge: its tone (static/css/components/badge.css).
TONES = {
    "queued": "",
    "running": "busy",
    "paused": "caution",
    "done": "positive",
    "released": "positive",
    "refused": "caution",
    "skipped": "",
    "failed": "negative",
    "cancelled": "",
}


def live_counts(project: Project) -> dict[str, int]:
    """The numbers at the head of the console: what people did, as of a moment ago."""
    key = f"alignment:counts:{project.pk}"
    return cache.get_or_set(key, lambda: _counts(project), COUNTS_SECONDS)


def _counts(project: Project) -> dict[str, int]:
    judged = annotation.counts(project)
    chats = feedback.counts(project_ids=[project.pk])
    return {
        "judgments": judged["judgments"],
        "people": judged["people"],
        "open": judged["open"],
        "prompts": judged["prompts"],
        "conversations": chats["conversations"],
        "reactions": chats["reactions"],
    }


def of_project(project: Project) -> dict[str, Any]:
    """The overview: counts, what serves, the present round, the last rounds and decisions."""
    turns = list(
        project.rounds.select_related("base", "snapshot").prefetch_related("runs__model")[:ROUNDS]
    )
    rows = [round_row(turn) for turn in turns]
    active = next((turn for turn in turns if turn.state in Round.ACTIVE), None)
    return {
        "counts": live_counts(project),
        "serving": inference.serving(project=project.slug),
        "active": active,
        "rounds": rows,
        "history": _history(rows),
        "decisions": project.decisions.select_related("model", "by", "round")[:8],
    } | (of_round(active) if active else {})


def round_row(turn: Round) -> dict[str, Any]:
    """A round as one line of a table."""
    runs = {run.task: run for run in turn.runs.all()}
    model = runs["policy"].model if "policy" in runs else None
    return {
        "turn": turn,
        "tone": TONES[turn.state],
        "model": model,
        "numbers": selectors.headline(runs),
        "seconds": _seconds(turn),
    }


def of_round(turn: Round) -> dict[str, Any]:
    """A round's steps with the run of each, its numbers and its verdict."""
    runs = {run.task: run for run in turn.runs.select_related("model", "base")}
    steps = []
    for value, label in Round.Step.choices:
        noted = turn.steps.get(value, {})
        state = noted.get("state", "")
        steps.append(
            {
                "name": value,
                "label": label,
                "state": state,
                "tone": TONES.get(state, ""),
                "sentence": noted.get("sentence", ""),
                "run": runs.get(value),
            }
        )
    done = sum(1 for step in steps if step["state"] not in ("", "running"))
    evaluated = runs.get("evaluate")
    return {
        "turn": turn,
        "tone": TONES[turn.state],
        "steps": steps,
        "done": done,
        "running": next((r for r in runs.values() if r.state == Run.State.RUNNING), None),
        "curves": plots.curves(runs["policy"].curve) if "policy" in runs else [],
        "numbers": selectors.headline(runs),
        "evaluation": evaluated.metrics if evaluated else {},
        "verdict": verdict(turn),
        "model": runs["policy"].model if "policy" in runs else None,
        "seconds": _seconds(turn),
    }


def verdict(turn: Round) -> str:
    """What came of a round, in one sentence."""
    if turn.state == Round.State.RELEASED:
        return "The new policy passed every criterion and was released."
    if turn.state == Round.State.REFUSED:
        missed = sum(1 for line in turn.gate.get("criteria", []) if not line["passed"])
        word = "criterion" if missed == 1 else "criteria"
        return f"Not released: {missed} {word} did not hold. {turn.base} goes on serving."
    if turn.state == Round.State.FAILED:
        return f"The round failed. {turn.error}"
    if turn.state == Round.State.CANCELLED:
        return f"The round was cancelled. {turn.base or 'What served'} goes on serving."
    return "The round is under way."


def model_rows(project: Project, versions: Iterable[ModelVersion]) -> list[dict[str, Any]]:
    """The models table: each version with its lineage, where it serves, its headline number.

    `versions` come from `selectors.models_of`; as many queries for fifty of them as for one.
    """
    versions = list(versions)
    past = Deployment.objects.filter(project=project.slug, arm=Deployment.Arm.LIVE)
    were_live = set(past.values_list("model_version", flat=True).distinct())
    rounds = {v.run.round_id for v in versions if getattr(v, "run", None) and v.run.round_id}
    evaluated = {
        run.round_id: run.metrics
        for run in Run.objects.filter(round__in=rounds, task="evaluate").only("round_id", "metrics")
    }
    rows = []
    for version in versions:
        run = getattr(version, "run", None)
        is_live = any(one.arm == "live" for one in version.serving)
        compared = None
        if run and version.kind == ModelVersion.Kind.POLICY:
            compared = evaluated.get(run.round_id)
        rows.append(
            {
                "version": version,
                "lineage": selectors.lineage(version),
                "run": run,
                "arms": version.serving,
                "is_live": is_live,
                "may_go_back": is_live and bool(were_live - {version.pk}),
                "headline": compared or (run.metrics if run else {}),
            }
        )
    return rows


def _history(rows: list[dict[str, Any]]) -> list[plots.Plot]:
    """Rounds side by side, oldest first."""
    ended = [row for row in reversed(rows) if row["numbers"]]
    wanted = [
        ("Win rate against the policy before", "win_rate", 0.5),
        ("Accuracy of the reward model on unseen prompts", "rm_accuracy", 0.5),
        ("Gain of mean reward", "reward_gain", 0.0),
    ]
    found = [
        plots.history(
            title,
            [
                (str(row["turn"].number), row["numbers"].get(key), row["numbers"].get(f"{key}_ci"))
                for row in ended
            ],
            rule=rule,
        )
        for title, key, rule in wanted
    ]
    return [plot for plot in found if plot is not None]


def _seconds(turn: Round) -> int | None:
    if not turn.finished_at:
        return None
    return round((turn.finished_at - (turn.started_at or turn.created_at)).total_seconds())


def flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as (dotted name, words), for a list of facts."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            found += flat(value, f"{path}.")
        else:
            found.append((path, _words(value)))
    return found


def _words(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int | float):
        return plots.number(value, 4)
    if isinstance(value, list):
        joiner = " to " if len(value) == 2 else ", "
        return joiner.join(_words(item) for item in value) or "–"
    return str(value)
