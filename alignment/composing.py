"""A recipe as a form: fields with defaults, ranges and help from the trainer's schema and the
registry of objectives; what was sent back, read and checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alignment.objectives import registry
from alignment.services import recipes
from alignment.trainer.config import PARAMS
from alignment.trainer.recipes import recipe_names
from alignment.trainer.schema import Field
from config.errors import Invalid


@dataclass(frozen=True)
class FormField:
    """One field of the form: `kind` is number, whole, mixed, text, choice, yes or json."""

    name: str
    label: str
    kind: str
    value: Any
    help: str = ""
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    null: bool = False
    error: str = ""

    @property
    def shown(self) -> str:
        """The value as it stands in the input."""
        if self.value is None:
            return ""
        if self.kind == "json" and not isinstance(self.value, str):
            return json.dumps(self.value, ensure_ascii=False)
        return str(self.value)

    @property
    def bounds(self) -> str:
        """The range in words."""
        if self.low is None and self.high is None:
            return ""
        if self.high is None:
            return f"from {self.low:g}"
        return f"{self.low:g} to {self.high:g}" if self.low is not None else f"to {self.high:g}"


@dataclass(frozen=True)
class Form:
    """The fields of one recipe: its task's parameters, and those of its objective."""

    recipe: str
    task: str
    title: str
    description: str
    fields: list[FormField]
    objective: str
    objective_fields: list[FormField]
    objective_about: str


def choices() -> list[dict[str, str]]:
    """The recipes that can be run by themselves."""
    found = []
    for name in recipe_names():
        recipe = recipes.load(name)
        if {"policy", "reward"} & set(recipe.stages):
            found.append({"name": name, "title": recipe.title or name})
    return found


def form(
    recipe: str,
    given: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    objective: str = "",
) -> Form:
    """The form of a recipe, filled with its own values, or with what was `given`."""
    found = recipes.load(recipe)
    task = recipes.trained_by(found)
    values, errors = dict(found.stages[task]), dict(errors or {})
    own = objective or str(values.get("objective", ""))
    if own and own not in (registry.names() if task == "policy" else [own]):
        raise Invalid(f"There is no objective '{own}'.", fields={"objective": "is not known"})
    fields = [
        _field(name, field, values.get(name), given, errors, task)
        for name, field in PARAMS[task].items()
        if name not in ("objective", "objective_params", "gate")
    ]
    objective_fields, about = [], ""
    if task == "policy":
        declared = registry.get(own)
        about = f"{declared.title}. {declared.source}".strip()
        same = own == values.get("objective")
        preset = values.get("objective_params", {}) if same else {}
        for name, param in declared.params.items():
            kind = "choice" if param.choices else "number"
            key = f"objective_params.{name}"
            value = preset.get(name, param.default)
            objective_fields.append(
                FormField(
                    name=key,
                    label=name,
                    kind=kind,
                    value=given.get(key, value) if given is not None else value,
                    help=param.help,
                    choices=tuple(param.choices or ()),
                    low=param.low if param.low is not None else param.above,
                    high=param.high,
                    error=errors.get(f"{task}.{key}", ""),
                )
            )
    return Form(
        recipe=found.name,
        task=task,
        title=found.title,
        description=found.description,
        fields=fields,
        objective=own,
        objective_fields=objective_fields,
        objective_about=about,
    )


def read(recipe: str, given: Mapping[str, str]) -> dict[str, Any]:
    """The parameters a form sent, checked. Raises Invalid naming the fields."""
    found = recipes.load(recipe)
    task = recipes.trained_by(found)
    values: dict[str, Any] = {}
    for name, field in PARAMS[task].items():
        if name in ("objective", "objective_params", "gate"):
            continue
        kind = _kind(field)
        if kind == "yes":
            values[name] = given.get(name) == "on"
        elif name in given:
            values[name] = _value(f"{task}.{name}", kind, given[name], field.null)
    if task == "policy" and given.get("objective"):
        values["objective"] = given["objective"]
        prefix = "objective_params."
        declared = registry.REGISTRY.get(given["objective"])
        values["objective_params"] = {
            key.removeprefix(prefix): _value(
                f"{task}.{key}", "number" if not param.choices else "text", given[key], True
            )
            for name, param in (declared.params.items() if declared else ())
            if (key := f"{prefix}{name}") in given
        }
    return recipes.params_for(task, dict(found.stages[task]), values)


def described(recipe: str, objective: str = "") -> dict[str, Any]:
    """The form as REST tells it."""
    made = form(recipe, objective=objective)

    def plain(field: FormField) -> dict[str, Any]:
        return {
            "name": field.name, "kind": field.kind, "default": field.value, "help": field.help,
            "choices": list(field.choices), "low": field.low, "high": field.high,
            "null": field.null,
        }  # fmt: skip

    return {
        "recipe": made.recipe,
        "task": made.task,
        "title": made.title,
        "description": made.description,
        "fields": [plain(field) for field in made.fields],
        "objective": made.objective,
        "objective_about": made.objective_about,
        "objective_fields": [plain(field) for field in made.objective_fields],
        "objectives": list(PARAMS["policy"]["objective"].choices or ()),
    }


def _field(
    name: str,
    field: Field,
    value: Any,
    given: Mapping[str, str] | None,
    errors: Mapping[str, str],
    task: str,
) -> FormField:
    kind = _kind(field)
    if given is not None:
        value = given.get(name) == "on" if kind == "yes" else given.get(name, value)
    return FormField(
        name=name,
        label=name.replace("_", " "),
        kind=kind,
        value=value,
        help=field.help,
        choices=tuple(str(c) for c in field.choices or ()),
        low=field.low if field.low is not None else field.above,
        high=field.high,
        null=field.null,
        error=errors.get(f"{task}.{name}", ""),
    )


def _kind(field: Field) -> str:
    kinds = field.kind if isinstance(field.kind, tuple) else (field.kind,)
    if field.choices:
        return "choice"
    if kinds == (bool,):
        return "yes"
    if kinds == (int,):
        return "whole"
    if kinds == (float,):
        return "number"
    if set(kinds) & {list, dict}:
        return "json"
    return "mixed" if float in kinds else "text"


def _value(name: str, kind: str, text: str, null: bool) -> Any:
    text = text.strip()
    if not text and (null or kind in ("number", "whole", "json")):
        return None
    try:
        if kind == "whole":
            return int(text)
        if kind == "number":
            return float(text)
        if kind == "json":
            return json.loads(text)
        if kind == "mixed":
            return float(text) if text[:1].isdigit() else text
    except ValueError:
        words = {"whole": "a whole number", "json": "JSON"}.get(kind, "a number")
        raise Invalid(
            f"{name}: must be {words}, got {text!r}.", fields={name: f"must be {words}"}
        ) from None
    return text
