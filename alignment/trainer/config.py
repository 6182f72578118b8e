"""What run.json may say, by task. Reads no torch, so a caller can validate before it starts the
process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alignment.objectives import registry
from alignment.stats.gate import Gate

from .contract import SUPPLIED
from .schema import Field, FieldError, check

COMMON: dict[str, Field] = {
    "task": Field(str, choices=("reward", "sample", "score", "policy", "evaluate")),
    "seed": Field(int, 0, low=0, high=2**31 - 1),
    "threads": Field(int, None, null=True, low=1, high=1024),
    "device": Field(str, "auto", choices=("auto", "cpu", "cuda")),
    "cache": Field(str, "cache"),
    "params": Field(dict, {}),
}
#: Places numbers may go besides progress.jsonl, through accelerate.
TRACKERS = ("tensorboard",)
FOLDERS = ("model", "base_model", "reference", "last", "baseline", "reward_model")
PATH = Field(str)
OPTIONAL_PATH = Field(str, None, null=True)

GENERATION: dict[str, Field] = {
    "temperature": Field(float, 1.0, above=0.0, high=10.0),
    "top_p": Field(float, 1.0, above=0.0, high=1.0),
    "max_new_tokens": Field(int, 128, low=1, high=32768),
    "max_prompt_tokens": Field(int, 512, low=1),
    "batch": Field(int, 64, low=1, high=4096),
}


def _gate(name: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        Gate.from_mapping(value)
    except ValueError as error:
        field, _, problem = str(error).partition(": ")
        raise FieldError(name + field.removeprefix("gate"), problem) from None
    return value


def _patterns(name: str, value: list) -> list[str]:
    for place, pattern in enumerate(value):
        try:
            re.compile(pattern)
        except (TypeError, re.error) as error:
            raise FieldError(f"{name}.{place}", f"is not a regular expression: {error}") from None
    return value


def _trackers(name: str, value: list) -> list[str]:
    for one in value:
        if one not in TRACKERS:
            raise FieldError(name, f"holds {one!r}; known: {', '.join(TRACKERS)}")
    return value


def _betas(name: str, value: list) -> list[float]:
    if len(value) != 2 or not all(isinstance(b, int | float) and 0 <= b < 1 for b in value):
        raise FieldError(name, f"must be two numbers from 0 to below 1, got {value!r}")
    return [float(b) for b in value]


LORA: dict[str, Field] = {
    "r": Field(int, 16, low=1, high=1024),
    "alpha": Field(float, 32.0, above=0.0),
    "dropout": Field(float, 0.0, low=0.0, high=0.9),
    "targets": Field((str, list), "all-linear"),
    "dora": Field(bool, False),
}

INPUTS: dict[str, dict[str, Field]] = {
    "reward": {"pairs": OPTIONAL_PATH, "reactions": OPTIONAL_PATH},
    "sample": {
        "model": PATH,
        "base_model": OPTIONAL_PATH,
        "prompts": PATH,
        "reward_model": OPTIONAL_PATH,
    },
    "score": {"reward_model": PATH, "data": PATH},
    "policy": {
        "model": PATH,
        "reference": OPTIONAL_PATH,
        "base_model": OPTIONAL_PATH,
        "last": OPTIONAL_PATH,
        **dict.fromkeys(SUPPLIED, OPTIONAL_PATH),
        "prompts": OPTIONAL_PATH,
    },
    "evaluate": {
        "kind": Field(str, choices=("reward", "policy")),
        "reward_model": PATH,
        "pairs": OPTIONAL_PATH,
        "model": OPTIONAL_PATH,
        "baseline": OPTIONAL_PATH,
        "reference": OPTIONAL_PATH,
        "base_model": OPTIONAL_PATH,
        "prompts": OPTIONAL_PATH,
        "harms": OPTIONAL_PATH,
        "regression": OPTIONAL_PATH,
    },
}

PARAMS: dict[str, dict[str, Field]] = {
    "reward": {
        "encoder": Field(str, "minilm"),
        "max_tokens": Field(int, 256, low=8, high=8192),
        "members": Field(int, 5, low=1, high=64),
        "resample": Field(str, "bootstrap", choices=("bootstrap", "init")),
        "l2": Field((float, str), "auto", low=0.0),
        "folds": Field(int, 5, low=2, high=20),
        "label_smoothing": Field(float, 0.0, low=0.0, high=0.499),
        "strength": Field(str, "ignore", choices=("ignore", "scale")),
        "reaction_weight": Field(float, 1.0, low=0.0),
        "centre": Field(float, 0.0, low=0.0),
    },
    "sample": {
        "n": Field(int, 4, low=1, high=1024),
        **GENERATION,
        "pairs": Field(str, "none", choices=("none", "best_worst", "random")),
        "pair_margin": Field(float, 0.0, low=0.0),
        "max_spread": Field(float, None, null=True, above=0.0),
        "soft_labels": Field(bool, False),
        "ask": Field(int, 0, low=0),
    },
    "score": {},
    "policy": {
        "objective": Field(str, "dpo", choices=tuple(registry.trainable(SUPPLIED))),
        "objective_params": Field(dict, {}),
        "epochs": Field(float, 1.0, above=0.0, high=1000.0),
        "batch": Field(int, 16, low=1, high=65536),
        "lr": Field(float, 1e-4, above=0.0, high=10.0),
        "warmup": Field(float, 0.1, low=0.0, high=1.0),
        "schedule": Field(str, "linear", choices=("linear", "cosine", "constant")),
        "min_lr": Field(float, 0.0, low=0.0, high=1.0),
        "weight_decay": Field(float, 0.0, low=0.0),
        "betas": Field(list, [0.9, 0.95], then=_betas),
        "max_grad_norm": Field(float, 1.0, above=0.0),
        "sft_weight": Field(float, 0.0, low=0.0),
        "max_prompt_tokens": Field(int, 512, low=1),
        "max_completion_tokens": Field(int, 512, low=1),
        "tokens": Field(int, 4096, low=16),
        "dtype": Field(str, "auto", choices=("auto", "float32", "bfloat16")),
        "lora": Field(dict, None, null=True, then=lambda n, v: check(LORA, v, n)),
        "gradient_checkpointing": Field(bool, False),
        "share_prompt": Field(str, "auto", choices=("auto", "never")),
        "kl_every": Field(float, 0.5, low=0.0),
        "kl_prompts": Field(int, 16, low=1, high=4096),
        "kl_max_new_tokens": Field(int, 96, low=1, high=8192),
        "kl_budget": Field(float, None, null=True, above=0.0),
        "checkpoint_every": Field(int, 50, low=1),
        "keep_checkpoints": Field(int, 2, low=1),
        "trackers": Field(list, [], then=_trackers),
    },
    "evaluate": {
        "split": Field(str, "eval", choices=("eval", "train", "all")),
        "n": Field(int, 1, low=1, high=1024),
        **GENERATION,
        "bootstrap": Field(int, 2000, low=100, high=100000),
        "level": Field(float, 0.95, above=0.0, high=0.9999),
        "unsafe_patterns": Field(list, [], then=_patterns),
        "delta": Field(float, 0.05, above=0.0, high=0.5),
        "gate": Field(dict, None, null=True, then=_gate),
    },
}


def check_objective(name: str, values: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Parameters of an objective checked against the registry, defaults filled in."""
    schema = {}
    for key, param in registry.get(name).params.items():
        kind = str if param.choices else float
        schema[key] = Field(
            kind,
            param.default,
            choices=param.choices,
            low=param.low,
            high=param.high,
            above=param.above,
        )
    return check(schema, values, at)


def check_params(task: str, values: Any, at: str = "params") -> dict[str, Any]:
    """Parameters of a task with defaults; `FieldError` names the field."""
    params = check(PARAMS[task], values, at)
    if task == "reward" and isinstance(params["l2"], str) and params["l2"] != "auto":
        raise FieldError(f"{at}.l2", f"must be 'auto' or a number, got {params['l2']!r}")
    if task == "policy":
        params["objective_params"] = check_objective(
            params["objective"], params["objective_params"], f"{at}.objective_params"
        )
        kind = registry.get(params["objective"]).inputs
        if params["sft_weight"] and kind in ("samples", "text"):
            raise FieldError(f"{at}.sft_weight", f"has no best answer to raise among {kind}")
    return params


def check_run(values: Any) -> dict[str, Any]:
    """A whole run.json as a mapping with defaults; `FieldError` names the field."""
    if not isinstance(values, Mapping):
        raise FieldError("run.json", f"must be an object, got {type(values).__name__}")
    if "task" not in values:
        raise FieldError("task", "is required")
    task = COMMON["task"].check("task", values["task"])
    run = check({**COMMON, **INPUTS[task]}, values)
    run["params"] = check_params(task, run["params"])

    def need(key: str, why: str) -> None:
        if run[key] is None:
            raise FieldError(key, f"is required {why}")

    if task == "reward" and run["pairs"] is None and run["reactions"] is None:
        raise FieldError("pairs", "is required (or reactions)")
    if task == "sample" and run["params"]["pairs"] != "none":
        need("reward_model", "to choose pairs (params.pairs)")
    if task == "sample" and run["params"]["ask"]:
        need("reward_model", "to find what to ask (params.ask)")
    if task == "policy":
        objective = registry.get(run["params"]["objective"])
        need(objective.inputs, f"by the objective {objective.name}")
    if task == "evaluate":
        for key in ("pairs",) if run["kind"] == "reward" else ("model", "baseline", "prompts"):
            need(key, f"for kind {run['kind']}")
    return run


def load_run(run_dir: Path) -> dict[str, Any]:
    """run.json of a folder, checked, with every path made absolute and seen to exist."""
    path = run_dir / "run.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FieldError("run.json", "is missing") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FieldError("run.json", f"is not JSON: {error}") from None
    run = check_run(values)
    for key in INPUTS[run["task"]]:
        if key == "kind" or run[key] is None:
            continue
        if not run[key] or "\0" in run[key]:
            raise FieldError(key, "must be a path")
        target = Path(run[key])
        target = target if target.is_absolute() else run_dir / target
        folder = key in FOLDERS
        if folder and not target.is_dir():
            raise FieldError(key, f"folder not found: {run[key]}")
        if not folder and not target.is_file():
            raise FieldError(key, f"file not found: {run[key]}")
        run[key] = target.resolve()
    cache = Path(run["cache"])
    run["cache"] = cache if cache.is_absolute() else run_dir / cache
    return run
