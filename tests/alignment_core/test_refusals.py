"""What run.json, recipes and data may not say, and that the reason names the field."""

from __future__ import annotations

import json

import pytest

from alignment.trainer.config import PARAMS, check_run
from alignment.trainer.data import BadRow, held_out, parse_prompt, prompt_hash
from alignment.trainer.recipes import check_recipe, load_recipe, parse_recipe, recipe_names
from alignment.trainer.schema import FieldError

from . import tiny

POLICY = {"task": "policy", "model": "m", "pairs": "p"}


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ([], "run.json", "must be an object"),
        ({}, "task", "is required"),
        ({"task": "dance"}, "task", "must be one of reward, sample"),
        ({"task": "sample", "prompts": "p"}, "model", "is required"),
        ({"task": "reward"}, "pairs", "or reactions"),
        (POLICY | {"modle": "x"}, "modle", "did you mean 'model'?"),
        (POLICY | {"seed": -1}, "seed", "at least 0"),
        (POLICY | {"seed": True}, "seed", "a whole number"),
        (POLICY | {"params": {"lr": 0}}, "params.lr", "greater than 0"),
        (POLICY | {"params": {"lr": "fast"}}, "params.lr", "must be a number"),
        (POLICY | {"params": {"lr": float("nan")}}, "params.lr", "must be finite"),
        (POLICY | {"params": {"batch": 2.5}}, "params.batch", "a whole number"),
        (POLICY | {"params": {"betas": [0.9]}}, "params.betas", "two numbers"),
        (POLICY | {"params": {"objective": "dop"}}, "params.objective", "dpo"),
        (
            POLICY | {"params": {"objective_params": {"beta": -1}}},
            "params.objective_params.beta",
            "greater than 0",
        ),
        (
            POLICY | {"params": {"objective_params": {"tau": 1}}},
            "params.objective_params.tau",
            "not a known key",
        ),
        (POLICY | {"params": {"lora": {"r": 0}}}, "params.lora.r", "at least 1"),
        (POLICY | {"params": {"objective": "kto"}}, "unpaired", "by the objective kto"),
        (
            {"task": "sample", "model": "m", "prompts": "p", "params": {"pairs": "best_worst"}},
            "reward_model",
            "to choose pairs",
        ),
        (
            {"task": "evaluate", "kind": "policy", "reward_model": "r", "model": "m"},
            "baseline",
            "for kind policy",
        ),
        (
            {"task": "evaluate", "kind": "reward", "reward_model": "r", "pairs": "p"}
            | {"params": {"gate": {"kl": 1}}},
            "params.gate.kl",
            "is not a criterion",
        ),
        (
            {"task": "reward", "pairs": "p", "params": {"l2": "much"}},
            "params.l2",
            "'auto' or a number",
        ),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values, field, words):
    with pytest.raises(FieldError) as caught:
        check_run(values)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_defaults_are_filled_in_and_a_whole_number_serves_as_a_number():
    run = check_run(POLICY | {"params": {"kl_budget": 20, "lr": "1e-5"}})
    assert run["params"]["kl_budget"] == 20.0
    assert run["params"]["lr"] == 1e-5
    assert run["params"]["objective_params"] == {"beta": 0.1, "label_smoothing": 0.0}
    assert run["params"]["batch"] == PARAMS["policy"]["batch"].default


def test_a_missing_file_is_refused_before_anything_is_loaded(run):
    code, report, _ = run({"task": "reward", "pairs": "data/none.parquet"})
    assert (code, report["status"]) == (2, "failed")
    assert report["reason"] == "pairs: file not found: data/none.parquet"
    code, report, _ = run(POLICY | {"pairs": "data/none.parquet"}, "b")
    assert report["field"] == "model"


def test_a_missing_column_is_refused_by_name(run):
    code, report, _ = run(
        {"task": "reward", "pairs": "data/p.parquet"}, p=[{"prompt": "[]", "chosen": "a"}]
    )
    assert code == 2
    assert report["reason"] == "pairs: column 'rejected' is missing from p.parquet"


def test_a_file_that_is_no_parquet_is_refused(run, tmp_path):
    (tmp_path / "run" / "data").mkdir(parents=True)
    (tmp_path / "run" / "data" / "p.parquet").write_bytes(b"PAR0 nonsense")
    code, report, _ = run({"task": "reward", "pairs": "data/p.parquet"})
    assert code == 2
    assert "not readable as Parquet" in report["reason"]


def test_a_folder_without_run_json_or_with_broken_json_says_so(tmp_path):
    from alignment.trainer.__main__ import main

    assert main([str(tmp_path)]) == 2
    assert tiny.report(tmp_path)["reason"] == "run.json: is missing"
    (tmp_path / "run.json").write_text("{")
    assert main([str(tmp_path)]) == 2
    assert "is not JSON" in tiny.report(tmp_path)["reason"]
    assert main([str(tmp_path / "nowhere")]) == 2


def test_bad_rows_are_left_out_counted_and_listed(run, feature_cache):
    good = tiny.pair_rows(12)
    bad = [
        {**good[0], "prompt": "not json"},
        {**good[1], "prompt": "[]"},
        {**good[2], "chosen": None},
        {**good[3], "rejected": good[3]["chosen"]},
        {**good[4], "prompt": '[{"content": "no role"}]'},
    ]
    values = {"task": "reward", "pairs": "data/p.parquet", "cache": str(feature_cache)}
    code, report, _ = run(values, p=good + bad)
    assert code == 0
    assert report["metrics"]["n_train"] + report["metrics"]["n_eval"] == 12
    text = report["warnings"][0]
    assert text.startswith("pairs: left out 5 rows")
    for reason in ("not JSON", "not a chat list", "chosen is not text", "the same", "no role"):
        assert reason in text, reason


def test_a_soft_label_or_weight_out_of_range_is_a_bad_row(run):
    rows = [{**r, "soft_label": 1.5} for r in tiny.pair_rows(3)]
    code, report, _ = run({"task": "reward", "pairs": "data/p.parquet"}, p=rows)
    assert code == 2
    assert "no usable row; row 0: soft_label 1.5 is not between 0 and 1" in report["reason"]


def test_hostile_texts_pass_through_every_task(run, policy_folder, feature_cache):
    hostile = [
        "",
        " ",
        "<script>alert(1)</script>",
        "e" + "\u0301" * 10_000,
        "\u202eright to left\u202c \u0000 \u0007",
        "<|end|><|assistant|>",
        "[SEP][CLS]",
        "long " * 50_000,
    ]
    rows = [
        {"prompt": tiny.user(f"q{i} {text[:2000]}"), "chosen": text, "rejected": f"plain {i}"}
        | {"split": "eval" if i % 4 == 3 else "train"}
        for i, text in enumerate(hostile)
    ]
    lone = json.dumps([{"role": "user", "content": "x"}]).replace("x", "\\ud800")
    rows.append({"prompt": lone, "chosen": "a", "rejected": "b", "split": "train"})
    values = {"task": "reward", "pairs": "data/p.parquet", "cache": str(feature_cache)}
    code, report, _ = run(values, "reward", p=rows)
    assert code == 0, report
    values = {
        "task": "policy",
        "model": str(policy_folder),
        "pairs": "data/p.parquet",
        "params": {"max_prompt_tokens": 60, "max_completion_tokens": 60, "kl_prompts": 1}
        | {"kl_max_new_tokens": 3},
    }
    code, report, _ = run(values, "policy", p=rows)
    assert code == 0, report
    assert report["metrics"]["n_train"] == 7


def test_prompts_are_read_in_their_forms():
    parts = [{"type": "text", "text": "a"}, {"type": "image", "url": "x"}]
    assert parse_prompt(json.dumps([{"role": "user", "content": parts}])) == [
        {"role": "user", "content": "a"}
    ]
    assert parse_prompt('"hello"')[0]["content"] == "hello"
    with pytest.raises(BadRow, match="no content"):
        parse_prompt('[{"role": "user", "content": 3}]')


def test_the_held_out_fifth_is_stable_and_about_a_fifth():
    keys = [prompt_hash([{"role": "user", "content": str(i)}]) for i in range(2000)]
    share = sum(map(held_out, keys)) / 2000
    assert share == pytest.approx(0.2, abs=0.03)
    assert [held_out(k) for k in keys] == [held_out(k) for k in keys]


@pytest.mark.parametrize("name", recipe_names())
def test_every_bundled_recipe_is_valid(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.title
    assert recipe.description
    for stage in set(recipe.stages) - {"gate"}:
        assert set(recipe.stages[stage]) == set(PARAMS[stage])


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("name: x\nstages: {policy: {objective: nope}}", "stages.policy.objective"),
        ("name: x\nstages: {polish: {}}", "stages.polish"),
        (
            "name: x\nstages: {policy: {objective_params: {beta: 0}}}",
            "stages.policy.objective_params.beta",
        ),
        ("name: x\nstages: {gate: {kl_budgte: 3}}", "stages.gate.kl_budgte"),
        ("name: x\nstages: {gate: {kl_budget: lots}}", "stages.gate.kl_budget"),
        ("name: x\nstages: {}", "recipe.stages"),
        ("stages: {reward: {}}", "recipe.name"),
        ("name: x\nstages: {reward: {members: 0}}", "stages.reward.members"),
        ("[", "recipe"),
    ],
)
def test_a_wrong_recipe_is_refused_by_its_field(text, field):
    with pytest.raises(FieldError) as caught:
        parse_recipe(text)
    assert caught.value.field == field


def test_an_unknown_recipe_is_refused_with_the_known_names():
    with pytest.raises(FieldError, match="known: dpo, grpo, kto, lipo, online-dpo, reward-bt"):
        load_recipe("../../etc/passwd")
    with pytest.raises(FieldError, match="file not found"):
        load_recipe("nowhere.yaml")
    assert check_recipe({"name": "mine", "stages": {"reward": None}}).gate.win_rate_low == 0.5
