"""Runs and models side by side: curves on one scale, win rates as a matrix, answers in columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from alignment import plots
from alignment.models import Run
from annotation.models import Project
from feedback.models import Leaderboard
from inference.models import ModelVersion

MOST_RUNS, MOST_MODELS, ANSWERS = 6, 6, 20


def run_curves(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """For each number of the runs' progress a row of plots, one a run, all on one scale."""
    rows = []
    for name, title in plots.SERIES.items():
        series = []
        for run in runs:
            points = [
                (place, point[name], str(point.get("step", place)))
                for place, point in enumerate(run.curve)
                if isinstance(point.get(name), int | float)
            ]
            series.append(points if len(points) >= 2 else [])
        drawn = plots.on_one_scale(series)
        if any(drawn):
            rows.append({"title": title, "plots": drawn})
    return rows


def run_numbers(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Numbers and settings in which the runs differ or that all have, a row each."""
    from alignment.overview import flat

    tables = []
    for title, of in (("metrics", lambda r: r.metrics), ("settings", _settings)):
        flats = [dict(flat(of(run))) for run in runs]
        names = list(dict.fromkeys(name for one in flats for name in one))
        for name in names[:200]:
            values = [one.get(name, "–") for one in flats]
            if title == "settings" and len(set(values)) == 1:
                continue
            differs = len(set(values)) > 1
            tables.append({"group": title, "name": name, "values": values, "differs": differs})
    return tables


def _settings(run: Run) -> dict[str, Any]:
    return {"seed": run.config.get("seed", 0), **run.config.get("params", {})}


def win_matrix(project: Project, models: Sequence[ModelVersion]) -> list[dict[str, Any]]:
    """Row beats column: on held-out prompts by the reward model, where two were compared, and by
    the leaderboard of votes."""
    measured: dict[tuple, dict[str, Any]] = {}
    found = Run.objects.filter(
        project=project, task="evaluate", state=Run.State.DONE, base__in=list(models)
    ).select_related("round")
    made = dict(
        Run.objects.filter(project=project, task="policy", model__in=list(models)).values_list(
            "round_id", "model_id"
        )
    )
    for run in found.only("round_id", "base_id", "metrics", "round__number"):
        winner = made.get(run.round_id)
        rate = run.metrics.get("win_rate")
        if winner is None or rate is None:
            continue
        low, high = (run.metrics.get("win_rate_ci") or (None, None))[:2]
        measured[winner, run.base_id] = {"value": rate, "low": low, "high": high}
        measured[run.base_id, winner] = {
            "value": 1 - rate,
            "low": None if high is None else 1 - high,
            "high": None if low is None else 1 - low,
        }
    voted = _voted(project)
    rows = []
    for one in models:
        cells = []
        for other in models:
            same = one.pk == other.pk
            vote = voted.get((one.name, other.name))
            cell = None if same else {"measured": measured.get((one.pk, other.pk)), "votes": vote}
            cells.append(cell)
        rows.append({"model": one, "cells": cells})
    return rows


def _voted(project: Project) -> dict[tuple[str, str], float]:
    """Chance that a vote goes to the first, by the strengths of the leaderboard."""
    board = Leaderboard.objects.filter(project=project).first()
    rating = {row["model"]: row["score"] for row in board.board["places"]} if board else {}
    return {
        (a, b): 1 / (1 + 10 ** ((rating[b] - rating[a]) / 400))
        for a in rating
        for b in rating
        if a != b
    }


def answers(
    project: Project, models: Sequence[ModelVersion], limit: int = ANSWERS
) -> list[dict[str, Any]]:
    """Held-out prompts that all the models answered, each answer with its reward.

    Read from the evaluations of their rounds; rewards of different rounds come from different
    reward models, which is told by `round`.
    """
    wanted = {model.pk: model.name for model in models}
    found: dict[str, dict[str, Any]] = {}
    runs = Run.objects.filter(project=project, task="evaluate", state=Run.State.DONE)
    made = dict(
        Run.objects.filter(project=project, task="policy", model__in=wanted).values_list(
            "round_id", "model_id"
        )
    )
    for run in runs.select_related("round").defer("curve", "log").order_by("-created_at"):
        sides = {"model": made.get(run.round_id), "baseline": run.base_id}
        if not set(sides.values()) & set(wanted):
            continue
        path = Path(run.folder) / "artefact" / "answers.parquet"
        if not run.folder or not path.exists():
            continue
        columns = ["model", "prompt_id", "prompt", "text", "n_tokens", "reward_mean"]
        for row in pq.read_table(path, columns=columns).to_pylist():
            name = wanted.get(sides.get(row["model"]))
            if name is None:
                continue
            prompt = found.setdefault(row["prompt_id"], {"prompt": row["prompt"], "answers": {}})
            said = {
                "text": row["text"],
                "tokens": row["n_tokens"],
                "reward": row["reward_mean"],
                "round": run.round.number if run.round else None,
            }
            prompt["answers"].setdefault(name, said)
    names = [model.name for model in models]
    shared = [one for one in found.values() if all(name in one["answers"] for name in names)]
    return [
        {"prompt": _question(one["prompt"]), "columns": [one["answers"][name] for name in names]}
        for one in shared[:limit]
    ]


def _question(prompt: str) -> str:
    import json

    try:
        messages = json.loads(prompt)
        content = messages[-1]["content"]
    except (ValueError, LookupError, TypeError):
        return prompt
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
