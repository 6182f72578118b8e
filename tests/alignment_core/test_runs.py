"""The trainer's tasks from run.json to artefact, in this process and as a process of its own."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest

from . import tiny


def test_a_reward_model_learns_what_people_prefer(reward_folder):
    report = tiny.report(reward_folder)
    assert report["status"] == "done"
    metrics = report["metrics"]
    assert (metrics["n_train"], metrics["n"]) == (30, 10)
    assert metrics["accuracy"] >= 0.9
    assert metrics["accuracy_ci"][0] > 0.5
    assert metrics["unseen"]["n"] == 40
    assert metrics["unseen"]["accuracy"] >= 0.9
    low, high = metrics["unseen"]["accuracy_ci"]
    assert high - low < metrics["accuracy_ci"][1] - metrics["accuracy_ci"][0]
    assert set(metrics["baselines"]) == {"chance", "longer", "embedding_logreg"}
    assert metrics["baselines"]["longer"]["accuracy"] == 0.0
    assert (reward_folder / "artefact" / "model.safetensors").is_file()


def test_a_refit_reads_features_from_the_cache(run, reward_folder, feature_cache):
    values = {"task": "reward", "pairs": "data/pairs.parquet", "cache": str(feature_cache)}
    code, report, _ = run(values, pairs=tiny.pair_rows(40))
    assert code == 0
    assert report["metrics"]["features_computed"] == 0
    assert report["metrics"]["accuracy"] == tiny.report(reward_folder)["metrics"]["accuracy"]


def test_reactions_alone_fit_a_reward_model(run, feature_cache):
    rows = [
        {"prompt": tiny.user(f"question {i}"), "completion": text, "label": liked}
        for i in range(30)
        for text, liked in ((f"yes {i}!!", True), (f"no {i} because", False))
    ]
    values = {"task": "reward", "reactions": "data/r.parquet", "cache": str(feature_cache)}
    code, report, _ = run(values, r=rows)
    assert code == 0
    assert report["metrics"]["reactions"]["auroc"] > 0.9
    assert report["metrics"]["n_train"] == 0


def test_sampling_scores_and_pairs_the_answers(run, policy_folder, reward_folder, feature_cache):
    values = {
        "task": "sample",
        "model": str(policy_folder),
        "prompts": "data/prompts.parquet",
        "reward_model": str(reward_folder / "artefact"),
        "cache": str(feature_cache),
        "params": {"n": 4, "max_new_tokens": 12, "pairs": "best_worst", "ask": 2},
    }
    code, report, folder = run(values, prompts=tiny.prompt_rows(5))
    assert code == 0, report
    samples = pq.read_table(folder / "artefact" / "samples.parquet").to_pylist()
    assert len(samples) == 20
    assert all(len(s["token_ids"]) == s["n_tokens"] <= 12 for s in samples)
    rewards = {(s["prompt_id"], s["text"]): s["reward_mean"] for s in samples}
    pairs = pq.read_table(folder / "artefact" / "pairs.parquet").to_pylist()
    assert len(pairs) == 5
    for pair in pairs:
        own = [v for (p, _), v in rewards.items() if p == pair["prompt_id"]]
        assert rewards[pair["prompt_id"], pair["chosen"]] == max(own)
        assert rewards[pair["prompt_id"], pair["rejected"]] == min(own)
        assert pair["source"] == "sampled"
    asked = pq.read_table(folder / "artefact" / "ask.parquet").to_pylist()
    spreads = [a["spread"] for a in asked]
    assert len(asked) == 2
    assert spreads == sorted(spreads, reverse=True)


def test_sampling_is_repeatable_and_follows_the_seed(run, policy_folder):
    def texts(name, seed):
        values = {
            "task": "sample",
            "model": str(policy_folder),
            "prompts": "data/prompts.parquet",
            "seed": seed,
            "params": {"n": 2, "max_new_tokens": 8},
        }
        _, _, folder = run(values, name, prompts=tiny.prompt_rows(3))
        return pq.read_table(folder / "artefact" / "samples.parquet")["text"].to_pylist()

    assert texts("a", 1) == texts("b", 1) != texts("c", 2)


def test_scoring_carries_the_other_columns_over(run, reward_folder, feature_cache):
    rows = [
        {"prompt": tiny.user("question 1"), "completion": "yes 1!!", "mine": 7},
        {"prompt": tiny.user("question 1"), "completion": "no 1 because of that", "mine": 8},
        {"prompt": "not json", "completion": "x", "mine": 9},
    ]
    values = {
        "task": "score",
        "reward_model": str(reward_folder / "artefact"),
        "data": "data/rows.parquet",
        "cache": str(feature_cache),
    }
    code, report, folder = run(values, rows=rows)
    assert code == 0
    scored = pq.read_table(folder / "artefact" / "scores.parquet").to_pylist()
    assert [s["mine"] for s in scored] == [7, 8, 9]
    assert scored[0]["reward_mean"] > scored[1]["reward_mean"]
    assert scored[2]["reward_mean"] is None
    assert "1 rows could not be read" in report["warnings"][0]


@pytest.mark.parametrize("lora", [None, {"r": 4}, {"r": 4, "dora": True}])
def test_dpo_prefers_what_people_preferred_and_publishes_a_policy(run, policy_folder, lora):
    values = {
        "task": "policy",
        "model": str(policy_folder),
        "pairs": "data/pairs.parquet",
        "params": {
            "epochs": 4,
            "batch": 6,
            "lr": 1e-2 if lora else 3e-3,
            "lora": lora,
            "kl_prompts": 4,
            "kl_max_new_tokens": 8,
            "kl_every": 2,
            "trackers": ["tensorboard"],
        },
    }
    code, report, folder = run(values, pairs=tiny.pair_rows())
    assert code == 0, report
    lines = tiny.progress(folder)
    assert lines[0]["loss"] == pytest.approx(0.6931, abs=2e-3)
    assert lines[-1]["loss"] < 0.4
    assert {"accuracy", "margin", "kl", "entropy", "mean_tokens", "lr", "grad_norm"} <= {*lines[-1]}
    assert lines[-1]["tokens_per_s"] > 0
    assert 0 < lines[-1]["mfu"] < 1
    assert lines[-1]["memory_mib"] > 50
    assert next((folder / "trackers").rglob("*tfevents*")).stat().st_size > 100
    assert report["metrics"]["eval_accuracy"] == 1.0
    assert report["metrics"]["kl"] > 0
    assert report["metrics"]["shared_prompt"] is True
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder / "artefact")
    tokenizer = AutoTokenizer.from_pretrained(folder / "artefact")
    assert tokenizer.chat_template == tiny.TEMPLATE
    assert model.config.model_type == "llama"
    assert (folder / "artefact" / "adapter" / "adapter_config.json").is_file() == bool(lora)
    assert report["metrics"]["weights_hash"] != report["metrics"]["reference_hash"]


def test_under_an_adapter_the_reference_is_the_model_without_it(run, policy_folder, tmp_path):
    found = []
    copied = shutil.copytree(policy_folder, tmp_path / "copy")
    for name, reference in (("off", policy_folder), ("loaded", copied)):
        values = {
            "task": "policy",
            "model": str(policy_folder),
            "reference": str(reference),
            "pairs": "data/pairs.parquet",
            "params": {"lr": 1e-2, "lora": {"r": 4}, "kl_prompts": 4, "kl_max_new_tokens": 6},
        }
        code, report, _ = run(values, name, pairs=tiny.pair_rows())
        assert code == 0, report
        found.append(report["metrics"])
    assert found[0]["kl"] > 0.01
    for key in ("kl", "kl_k1", "loss", "eval_loss"):
        assert found[0][key] == pytest.approx(found[1][key], abs=1e-5), key


def test_a_second_run_reads_the_reference_from_the_cache(run, policy_folder, tmp_path):
    values = {
        "task": "policy",
        "model": str(policy_folder),
        "pairs": "data/pairs.parquet",
        "cache": str(tmp_path / "shared"),
        "params": {"batch": 8, "kl_prompts": 1, "kl_max_new_tokens": 4},
    }
    _, first, _ = run(values, "a", pairs=tiny.pair_rows())
    _, second, _ = run(values, "b", pairs=tiny.pair_rows())
    assert first["metrics"]["reference_computed"] == 48
    assert second["metrics"]["reference_computed"] == 0
    assert first["metrics"]["weights_hash"] == second["metrics"]["weights_hash"]


def test_a_policy_against_itself_is_a_draw(run, policy_folder, reward_folder, feature_cache):
    values = {
        "task": "evaluate",
        "kind": "policy",
        "model": str(policy_folder),
        "baseline": str(policy_folder),
        "reward_model": str(reward_folder / "artefact"),
        "prompts": "data/prompts.parquet",
        "cache": str(feature_cache),
        "params": {"n": 2, "max_new_tokens": 8, "level": 0.999, "gate": {"min_prompts": 2}},
    }
    code, report, folder = run(values, prompts=tiny.prompt_rows(24))
    assert code == 0, report
    metrics = report["metrics"]
    assert metrics["win_rate_ci"][0] <= 0.5 <= metrics["win_rate_ci"][1]
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-4)
    assert set(metrics["by_group"]) == {"a", "b"}
    assert metrics["gate"]["passed"] is False
    answers = pq.read_table(folder / "artefact" / "answers.parquet").to_pylist()
    assert len(answers) == 96


def test_a_reward_model_is_evaluated_on_a_file(run, reward_folder, feature_cache):
    values = {
        "task": "evaluate",
        "kind": "reward",
        "reward_model": str(reward_folder / "artefact"),
        "pairs": "data/pairs.parquet",
        "cache": str(feature_cache),
    }
    code, report, _ = run(values, pairs=tiny.pair_rows(40))
    assert code == 0
    trained = tiny.report(reward_folder)["metrics"]
    for key in ("n", "accuracy", "accuracy_ci", "auroc", "ece", "baselines"):
        assert report["metrics"][key] == trained[key], key
    assert report["metrics"]["by"]["source"]["human"]["n"] == 10


def test_the_command_runs_as_a_process_and_then_rests(tmp_path, policy_folder):
    folder = tiny.write_run(
        tmp_path / "run",
        {
            "task": "sample",
            "model": str(policy_folder),
            "prompts": "data/prompts.parquet",
            "params": {"n": 1, "max_new_tokens": 4},
        },
        prompts=tiny.prompt_rows(2),
    )
    process = tiny.start(folder)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["status"] == "done"
    before = (folder / "report.json").read_bytes()
    from alignment.trainer.__main__ import execute

    assert execute(folder) == 0
    assert (folder / "report.json").read_bytes() == before
