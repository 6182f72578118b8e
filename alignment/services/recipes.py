"""Recipes as the services use them: the trainer's, with refusals a client can read."""

from typing import Any

from alignment.trainer.config import PARAMS, check_params
from alignment.trainer.recipes import Recipe, load_recipe, recipe_names
from alignment.trainer.schema import FieldError
from config.errors import Invalid


def load(name: str, *, files: bool = False) -> Recipe:
    """The bundled recipe of that name; with `files` also that of a YAML file. Raises Invalid."""
    if not files and name not in recipe_names():
        raise Invalid(
            f"There is no recipe '{name}'; choose one of {', '.join(recipe_names())}.",
            fields={"recipe": "is not known"},
        )
    try:
        return load_recipe(name)
    except FieldError as error:
        fields = {error.field: error.problem}
        raise Invalid(f"The recipe cannot be used. {error}.", fields=fields) from None


def trained_by(recipe: Recipe) -> str:
    """What a recipe trains when it is run by itself: its policy, or else its reward model."""
    for task in ("policy", "reward"):
        if task in recipe.stages:
            return task
    raise Invalid(f"The recipe {recipe.name} trains nothing by itself.")


def params_for(task: str, *layers: Any) -> dict[str, Any]:
    """Layers of a task's parameters, later ones over earlier ones, checked and completed."""
    merged: dict[str, Any] = {}
    for layer in layers:
        if not isinstance(layer, dict):
            raise Invalid(f"{task}: must be an object.", fields={task: "must be an object"})
        merged |= layer
    if task not in PARAMS:
        raise Invalid(f"There is no task '{task}'; choose one of {', '.join(PARAMS)}.")
    try:
        return check_params(task, merged, task)
    except FieldError as error:
        raise Invalid(f"{error}.", fields={error.field: error.problem}) from None
