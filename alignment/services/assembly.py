"""The folder of a run: `run.json` and the data files it names."""

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from django.conf import settings

from alignment.errors import RunFailed, TooLittleData
from alignment.models import Round, Run
from alignment.objectives import registry
from alignment.services import files, gating, parquet, pool, snapshots
from inference.models import ModelVersion

PROMPTS = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("prompt_hash", pa.string()),
        ("group", pa.string()),
    ]
)

PAIRS = pa.schema(
    [
        ("prompt", pa.string()),
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("weight", pa.float64()),
        ("soft_label", pa.float64()),
        ("strength", pa.int64()),
        ("margin", pa.float64()),
        ("source", pa.string()),
        ("prompt_hash", pa.string()),
        ("split", pa.string()),
        ("chosen_ids", pa.list_(pa.int32())),
        ("rejected_ids", pa.list_(pa.int32())),
    ]
)


def assemble(run: Run, folder: Path) -> None:
    """Write the run's inputs into `folder` unless they are there already.

    Raises TooLittleData when there is nothing to train on, Invalid when a model's or a
    snapshot's files are missing.
    """
    if (folder / "run.json").exists():
        return
    data = folder / "data"
    data.mkdir(exist_ok=True)
    inputs = _INPUTS[run.task](run, data)
    task = "sample" if run.task == "ask" else run.task
    files.write_json(
        folder / "run.json",
        {
            "task": task,
            "seed": run.config.get("seed", 0),
            "cache": str(Path(settings.RUNS_DIR).resolve() / "cache"),
            "params": run.config.get("params", {}),
            **inputs,
        },
    )


def model_folder(version: ModelVersion) -> str:
    """The folder of a model's files. Raises RunFailed when it is gone."""
    folder = files.artefact_path(version.location)
    if not folder.is_dir():
        raise RunFailed(f"The files of model '{version}' are missing from {version.location}.")
    return str(folder.resolve())


def made_by(turn: Round, task: str) -> ModelVersion:
    """The model that a round's finished run made."""
    return turn.runs.select_related("model").get(task=task).model


def artefact_of(turn: Round, task: str) -> Path:
    """The artefact folder of a round's finished run."""
    run = turn.runs.get(task=task)
    return Path(run.folder) / "artefact"


def _reward(run: Run, data: Path) -> dict[str, Any]:
    folder = snapshots.folder_of(run.snapshot)
    named = {"pairs": folder / "pairs.parquet", "reactions": folder / "reaction.parquet"}
    inputs = {
        key: str(path.resolve())
        for key, path in named.items()
        if path.exists() and parquet.count(path)
    }
    if not inputs:
        raise TooLittleData("The snapshot holds neither judged pairs nor reactions to learn from.")
    return inputs


def _sample(run: Run, data: Path) -> dict[str, Any]:
    turn = run.round
    limit = turn.config["sample_prompts"]
    share = turn.snapshot.query["eval_share"]
    _write_prompts(run, data / "prompts.parquet", "train", share, limit)
    return {
        "model": model_folder(run.base),
        "prompts": "data/prompts.parquet",
        "reward_model": model_folder(made_by(turn, "reward")),
    }


#: Which of a snapshot's files an objective reads that does not read pairs.
_OF_SNAPSHOT = {"unpaired": "reaction", "lists": "ranking", "text": "demonstration"}


def _other(run: Run, kind: str) -> dict[str, Any]:
    """What a policy is optimised on where that is not pairs: a round's scored samples as lists,
    else a file of the snapshot.
    """
    if run.round_id and kind in ("lists", "samples"):
        path = artefact_of(run.round, "sample") / "samples.parquet"
    elif kind in _OF_SNAPSHOT:
        path = snapshots.folder_of(run.snapshot) / f"{_OF_SNAPSHOT[kind]}.parquet"
    else:
        raise TooLittleData(f"The objective reads {kind}, which no snapshot holds.")
    if not path.exists() or not parquet.count(path):
        raise TooLittleData(f"The objective reads {kind}, and there is no {path.stem} record.")
    return {kind: str(path.resolve())}


def _policy(run: Run, data: Path) -> dict[str, Any]:
    objective = run.config.get("params", {}).get("objective", "dpo")
    if (kind := registry.get(objective).inputs) != "pairs":
        return {"model": model_folder(run.base), **_other(run, kind)}
    folder = snapshots.folder_of(run.snapshot)
    path = folder / "pairs.parquet"
    judged: Iterable[dict[str, Any]] = parquet.read(path) if path.exists() else ()
    if run.round_id:
        config = run.round.config
        limit = config["human_pairs"] if config["human_weight"] > 0 else 0
        judged = _chosen_by_hash(judged, limit, run.config["seed"])
        judged = _weighted(judged, config["human_weight"])
        sampled = parquet.read(artefact_of(run.round, "sample") / "pairs.parquet")
        sampled = _weighted(sampled, config["sampled_weight"], source="sampled", split="train")
    else:
        sampled = iter(())
    count = parquet.write(data / "pairs.parquet", _both(judged, sampled), PAIRS)
    if not count:
        raise TooLittleData("There are no pairs to optimise the policy on.")
    return {"model": model_folder(run.base), "pairs": "data/pairs.parquet"}


def _evaluate(run: Run, data: Path) -> dict[str, Any]:
    turn = run.round
    limit, share = turn.config["eval_prompts"], turn.snapshot.query["eval_share"]
    _write_prompts(run, data / "prompts.parquet", "eval", share, limit)
    return {
        "kind": "policy",
        "model": model_folder(made_by(turn, "policy")),
        "baseline": model_folder(run.base),
        "reward_model": model_folder(made_by(turn, "reward")),
        "prompts": "data/prompts.parquet",
        **gating.inputs(run, data),
    }


_INPUTS: dict[str, Callable[[Run, Path], dict[str, Any]]] = {
    "reward": _reward,
    "sample": _sample,
    "policy": _policy,
    "evaluate": _evaluate,
    "ask": _sample,
}


def _write_prompts(run: Run, path: Path, split: str, share: float, limit: int) -> None:
    # Held-out prompts are the same from round to round; the others change with the seed.
    seed = "eval" if split == "eval" else f"{run.task}:{run.round.number}:{run.config['seed']}"
    rows = pool.choose(run.project, split=split, eval_share=share, limit=limit, seed=seed)
    if not parquet.write(path, rows, PROMPTS):
        side = "held-out" if split == "eval" else "training"
        raise TooLittleData(
            f"The project has no {side} prompts. Import more prompts, or chat a little more."
        )


def _chosen_by_hash(
    rows: Iterable[dict[str, Any]], limit: int, seed: int
) -> Iterator[dict[str, Any]]:
    """At most `limit` rows, picked by a hash of their pair, in their own order."""

    def key(item: tuple[int, dict[str, Any]]) -> str:
        return hashlib.sha256(f"{seed}:{item[1]['pair_id']}".encode()).hexdigest()

    picked = heapq.nsmallest(limit, enumerate(rows), key=key)
    return (row for _, row in sorted(picked, key=lambda item: item[0]))


def _weighted(
    rows: Iterable[dict[str, Any]], factor: float, **fields: Any
) -> Iterator[dict[str, Any]]:
    for row in rows:
        weight = row.get("weight")
        yield row | fields | {"weight": (1.0 if weight is None else weight) * factor}


def _both(*parts: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for rows in parts:
        for row in rows:
            yield {name: row.get(name) for name in PAIRS.names}
