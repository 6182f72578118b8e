"""Recipes: YAML files of stages with parameters, checked against the tasks and the registry of
objectives.

    recipe = load_recipe("online-dpo")          # by name, from alignment/recipes/
    recipe = load_recipe(Path("mine.yaml"))     # or a file
    recipe.stages["policy"]                     # goes into run.json's "params" unchanged

Reads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from alignment.stats.gate import Gate

from .config import check_params
from .schema import Field, FieldError, check

FOLDER = Path(__file__).resolve().parent.parent / "recipes"
STAGES = ("reward", "sample", "policy", "evaluate", "gate")
SCHEMA = {
    "name": Field(str),
    "title": Field(str, ""),
    "description": Field(str, ""),
    "stages": Field(dict),
}


@dataclass(frozen=True)
class Recipe:
    """A named list of stages; every stage's parameters complete with their defaults."""

    name: str
    title: str
    description: str
    stages: Mapping[str, Mapping[str, Any]]

    @property
    def gate(self) -> Gate:
        """The release criteria (the defaults where the recipe states none)."""
        return Gate(**self.stages.get("gate", {}))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, to be stored with a run."""
        return asdict(self)


def parse_recipe(text: str) -> Recipe:
    """A recipe from YAML text; `FieldError` names the field that is wrong."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise FieldError("recipe", f"is not YAML{where}") from None
    return check_recipe(values)


def check_recipe(values: Any) -> Recipe:
    """A recipe from plain values; `FieldError` names the field that is wrong."""
    top = check(SCHEMA, values, "recipe")
    if not top["name"].strip():
        raise FieldError("recipe.name", "must not be empty")
    if not top["stages"]:
        raise FieldError("recipe.stages", f"must have at least one of {', '.join(STAGES)}")
    stages: dict[str, dict[str, Any]] = {}
    for stage, params in top["stages"].items():
        at = f"stages.{stage}"
        if stage not in STAGES:
            raise FieldError(at, f"is not a stage; known: {', '.join(STAGES)}")
        params = {} if params is None else params
        if stage == "gate":
            stages[stage] = _gate(params, at)
        else:
            stages[stage] = check_params(stage, params, at)
    ordered = {stage: stages[stage] for stage in STAGES if stage in stages}
    return Recipe(top["name"], top["title"], " ".join(top["description"].split()), ordered)


def _gate(params: Any, at: str) -> dict[str, Any]:
    if not isinstance(params, Mapping):
        raise FieldError(at, f"must be an object, got {type(params).__name__}")
    try:
        return asdict(Gate.from_mapping(params))
    except ValueError as error:
        field, _, problem = str(error).partition(": ")
        raise FieldError(at + field.removeprefix("gate"), problem) from None


def recipe_names() -> list[str]:
    """Names of the bundled recipes."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml"))


def load_recipe(name: str | Path) -> Recipe:
    """A bundled recipe by name, or a YAML file by path; `FieldError` if it is unknown or wrong."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{name}.yaml"
        if str(name) not in recipe_names():
            known = ", ".join(recipe_names())
            raise FieldError("recipe", f"{name!r} is not a bundled recipe; known: {known}")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise FieldError("recipe", f"file not found: {name}") from None
    return parse_recipe(text)
