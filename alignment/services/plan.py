"""How a round is done: its settings, checked and completed before it starts."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from alignment.services import experiments, recipes
from alignment.stats.gate import Gate
from alignment.trainer.schema import Field, FieldError, check
from config.errors import Invalid

#: Answers a prompt when people are to be asked about a pair of them.
ASK_N = 4

#: A round's refit is compared with the last one on other, newer pairs, so the allowance for a
#: fall of its accuracy is wider than the gate's own.
GATE = {"rm_drop": 0.1}

SETTINGS: dict[str, Field] = {
    "recipe": Field(str, "online-dpo", help="the stages of a round and their parameters"),
    "start_from": Field(
        str, "live", choices=("live", "first"), help="policy to improve: the live or the first"
    ),
    "min_pairs": Field(int, 20, low=2, help="fewest judged pairs to begin with"),
    "sample_prompts": Field(int, 64, low=1, high=100_000, help="prompts to sample answers for"),
    "eval_prompts": Field(int, 64, low=1, high=100_000, help="held-out prompts to compare on"),
    "human_pairs": Field(int, 2000, low=0, help="most judged pairs to optimise on"),
    "human_weight": Field(float, 1.0, low=0.0, high=1000.0, help="weight of a judged pair"),
    "sampled_weight": Field(float, 1.0, low=0.0, high=1000.0, help="weight of a sampled pair"),
    "ask": Field(
        int, None, null=True, low=0, high=100_000, help="pairs to ask about, by disagreement"
    ),
    "ask_random": Field(int, 8, low=0, high=100_000, help="pairs to ask about, at random"),
    "release": Field(str, "live", choices=("live", "canary"), help="what a passed gate does"),
    "canary_weight": Field(int, 100, low=1, high=500, help="canary's share in 1000"),
    "experiment": Field(dict, {}, help="rules of the live comparison of a canary"),
    "seed": Field(int, 0, low=0, high=2**31 - 1, help="seed of all that is random"),
    "reward": Field(dict, {}, help="parameters over the recipe's"),
    "sample": Field(dict, {}, help="parameters over the recipe's"),
    "policy": Field(dict, {}, help="parameters over the recipe's"),
    "evaluate": Field(dict, {}, help="parameters over the recipe's"),
    "gate": Field(dict, {}, help="criteria over the recipe's"),
}

STAGES = ("reward", "sample", "policy", "evaluate")


def complete(
    project_options: Mapping[str, Any] | None, given: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A round's settings: the recipe's, then the project's `round` option, then `given`.

    Raises Invalid naming the first setting that cannot be used.
    """
    of_project = (project_options or {}).get("round") or {}
    try:
        values = check(SETTINGS, {**of_project, **(given or {})}, "config")
    except FieldError as error:
        raise Invalid(f"{error}.", fields={error.field: error.problem}) from None
    recipe = recipes.load(values["recipe"])
    missing = [stage for stage in STAGES if stage not in recipe.stages]
    if missing:
        raise Invalid(
            f"The recipe {recipe.name} cannot make a round: it has no {' and no '.join(missing)}.",
            fields={"config.recipe": "is not a round's"},
        )
    for stage in STAGES:
        values[stage] = recipes.params_for(stage, dict(recipe.stages[stage]), values[stage])
    # People are asked after the release, about the policy that then serves.
    asked = values["sample"]["ask"]
    values["ask"] = asked if values["ask"] is None else values["ask"]
    values["sample"]["ask"] = 0
    values["gate"] = _gate(recipe, values["gate"])
    values["experiment"] = experiments.settings_of(values["experiment"])
    return values


def asking(config: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of the sampling for people: a few answers a prompt, those in dispute chosen."""
    return recipes.params_for(
        "sample", config["sample"], {"n": ASK_N, "pairs": "none", "ask": config["ask"]}
    )


def _gate(recipe: recipes.Recipe, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return asdict(Gate.from_mapping({**asdict(recipe.gate), **GATE, **given}))
    except ValueError as error:
        raise Invalid(f"config.{error}.", fields={"config.gate": str(error)}) from None
