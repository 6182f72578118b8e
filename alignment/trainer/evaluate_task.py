"""Task `evaluate`: a reward model on judged pairs, or a policy against a baseline policy on
held-out prompts.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from alignment.rewards.features import prompt_text
from alignment.rewards.model import RewardModel
from alignment.rollouts import k1, k3
from alignment.stats import bootstrap_mean, decide, length_controlled, win_rate, wins
from alignment.stats.gate import Gate
from alignment.stats.habits import boilerplate, praise
from alignment.stats.safety import safety

from .context import Context
from .data import read_preferences, read_prompts, read_regression
from .files import publish_folder, write_rows
from .logprobs import Divergence, LogProbs, divergences
from .modeling import Policy, load_policy
from .reward_task import load_reward_model, pair_metrics, score_texts
from .safety import Unsafe
from .sample_task import sample_metrics, sample_rows
from .schema import FieldError


def execute(context: Context) -> dict[str, Any]:
    """Evaluate by the run's `kind`; returns the report's metrics."""
    if context.run["kind"] == "reward":
        return evaluate_reward(context)
    return evaluate_policy(context)


def evaluate_reward(context: Context) -> dict[str, Any]:
    """Accuracy, calibration and baselines of a reward model on a preference file."""
    model = load_reward_model(context)
    pairs = read_preferences("pairs", context.run["pairs"])
    context.warnings += pairs.warnings("pairs")
    split = context.params["split"]
    rows = pairs.rows if split == "all" else pairs.part(split)
    if not rows:
        raise FieldError("params.split", f"no row of the file is in {split!r}")
    texts = [(prompt_text(r["messages"]), r[k]) for r in rows for k in ("chosen", "rejected")]
    features = model.featurizer(texts, context.ticker("features"))
    chosen, rejected = features[::2], features[1::2]
    metrics = pair_metrics(model, rows, chosen, rejected)
    by: dict[str, dict[str, Any]] = {}
    for key in ("source", "group"):
        values = sorted({r[key] for r in rows if r[key] is not None})
        by[key] = {}
        for value in values if len(values) <= 50 else []:
            at = [i for i, r in enumerate(rows) if r[key] == value]
            part = pair_metrics(model, [rows[i] for i in at], chosen[at], rejected[at])
            by[key][value] = {k: part.get(k) for k in ("n", "accuracy", "accuracy_ci")}
    publish_folder(
        context.artefact,
        lambda folder: write_rows(
            folder / "margins.parquet",
            [
                {
                    "prompt_hash": r["prompt_hash"],
                    "margin": float(m.mean()),
                    "spread": float(m.std()),
                }
                for r, m in zip(rows, model.heads(chosen) - model.heads(rejected), strict=True)
            ],
        ),
    )
    return metrics | {"split": split, "by": by}


def evaluate_policy(context: Context) -> dict[str, Any]:
    """Win rate, rewards, KL and lengths against a baseline, every interval by prompt."""
    run, params = context.run, context.params
    prompts = read_prompts("prompts", run["prompts"])
    context.warnings += prompts.warnings("prompts")
    reward_model = load_reward_model(context)
    unsafe = Unsafe(run["harms"], params["unsafe_patterns"], reward_model.featurizer)
    policy = load_policy("model", run["model"], run["base_model"], context.device)
    baseline = load_policy("baseline", run["baseline"], run["base_model"], context.device)
    n = params["n"]
    ours = sample_rows(context, policy, prompts.rows, n, context.seed, "sample")
    theirs = sample_rows(context, baseline, prompts.rows, n, context.seed + 1, "sample_baseline")
    metrics, ours, theirs = judge_answers(ours, theirs, reward_model, unsafe, context)
    if run["regression"] is not None:
        metrics["regression"] = regression_metrics(policy, baseline, context)
    if run["reference"] is None or run["reference"] == run["baseline"]:
        reference = baseline
    else:
        reference = load_policy("reference", run["reference"], run["base_model"], context.device)
    metrics |= kl_metrics(policy, reference, ours, context)
    if params["gate"] is not None:
        metrics["gate"] = decide(metrics, Gate.from_mapping(params["gate"])).as_dict()

    def fill(folder) -> None:
        keys = ("prompt_id", "prompt", "group", "sample", "text", "n_tokens")
        rows = [
            {"model": name, **{k: r[k] for k in (*keys, "reward_mean", "reward_std")}}
            for name, part in (("model", ours), ("baseline", theirs))
            for r in part
        ]
        write_rows(folder / "answers.parquet", rows)

    publish_folder(context.artefact, fill)
    return metrics


def judge_answers(
    ours: list[dict],
    theirs: list[dict],
    reward_model: RewardModel,
    unsafe: Unsafe,
    context: Context,
) -> tuple[dict[str, Any], list[dict], list[dict]]:
    """All that is measured of two policies by their answers alone, and the rows compared.

    Rows are those of `sample_rows`, n a prompt; prompts that only one of the two answered are
    left out.
    """
    params = context.params
    ids = {r["prompt_id"] for r in ours} & {r["prompt_id"] for r in theirs}
    ours = [r for r in ours if r["prompt_id"] in ids]
    theirs = [r for r in theirs if r["prompt_id"] in ids]
    items = [(r["messages"], r["text"]) for r in (*ours, *theirs)]
    rewards = score_texts(reward_model, items, context)
    for row, reward in zip((*ours, *theirs), rewards, strict=True):
        row["reward_mean"], row["reward_std"] = float(reward.mean()), float(reward.std())
    metrics = compare(ours, theirs, params["n"], params, context.seed)
    for prefix, rows in (("", ours), ("baseline_", theirs)):
        texts = [r["text"] for r in rows]
        metrics[f"{prefix}boilerplate"] = boilerplate(texts, [r["prompt_id"] for r in rows])
        metrics[f"{prefix}praise"] = praise(texts)
    metrics["unsafe"] = None
    if unsafe.sources:
        found = {}
        for name, rows in (("model", ours), ("baseline", theirs)):
            bad = unsafe([(r["messages"], r["text"]) for r in rows])
            for row, one in zip(rows, bad, strict=True):
                row["unsafe"] = bool(one)
            found[name] = safety(
                bad,
                [r["prompt_id"] for r in rows],
                [r["group"] for r in rows],
                delta=params["delta"],
            )
        metrics["unsafe"] = found["model"] | {
            "baseline_share": found["baseline"]["share"],
            "told_by": unsafe.sources,
        }
    return metrics, ours, theirs


def regression_metrics(policy: Policy, baseline: Policy, context: Context) -> dict[str, Any]:
    """The frozen capability set (O10): share of its prompts answered as expected, before and now.

    `expect` is a regular expression that a right answer matches; both models answer once.
    """
    cases = read_regression("regression", context.run["regression"])
    expected = {row["prompt_id"]: row["expect"] for row in cases.rows}
    shares: dict[str, dict[str, bool]] = {}
    for name, model in (("model", policy), ("baseline", baseline)):
        rows = sample_rows(context, model, cases.rows, 1, context.seed, f"regression_{name}")
        shares[name] = {
            r["prompt_id"]: bool(re.search(expected[r["prompt_id"]], r["text"], re.IGNORECASE))
            for r in rows
        }
    both = sorted(shares["model"].keys() & shares["baseline"].keys())
    change = [float(shares["model"][i]) - float(shares["baseline"][i]) for i in both]
    mean, low, high = bootstrap_mean(change, seed=context.seed)
    return {
        "n": len(both),
        "share": float(np.mean([shares["model"][i] for i in both])) if both else None,
        "baseline_share": float(np.mean([shares["baseline"][i] for i in both])) if both else None,
        "change": mean if both else None,
        "change_ci": [max(low, -1.0), min(high, 1.0)] if both else None,
        "lost": [i for i, value in zip(both, change, strict=True) if value < 0][:20],
    }


def compare(
    ours: list[dict], theirs: list[dict], n: int, params: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Every one of a prompt's n answers against every one of the baseline's; rows in equal prompt
    order.
    """
    level, draws = params["level"], params["bootstrap"]
    options = {"level": level, "draws": draws, "seed": seed}

    def table(rows: list[dict], key: str) -> np.ndarray:
        return np.array([r[key] for r in rows], dtype=float).reshape(-1, n)

    ids = [r["prompt_id"] for r in ours[::n]]
    a, b = table(ours, "reward_mean"), table(theirs, "reward_mean")
    length_a, length_b = table(ours, "n_tokens"), table(theirs, "n_tokens")
    # Equal texts are a tie whatever the reward model's rounding says.
    same = np.array(
        [
            [
                [x["text"] == y["text"] for y in theirs[i * n : i * n + n]]
                for x in ours[i * n : i * n + n]
            ]
            for i in range(len(ids))
        ]
    )
    outcome = np.where(same, 0.5, wins(a[:, :, None], b[:, None, :]))
    gap = length_a[:, :, None] - length_b[:, None, :]
    rate = win_rate(outcome.mean((1, 2)), **options)
    flat_ids = np.repeat(np.array(ids, dtype=object), n * n)
    controlled = length_controlled(
        outcome.reshape(-1),
        gap.reshape(-1),
        flat_ids,
        level=level,
        draws=min(draws, 400),
        seed=seed,
    )
    metrics: dict[str, Any] = {
        "n_prompts": len(ids),
        "win_rate": rate[0],
        "win_rate_ci": list(rate[1:]),
        "lc_win_rate": controlled[0],
        "lc_win_rate_ci": list(controlled[1:]),
    }
    for name, values in (
        ("reward", a.mean(1)),
        ("baseline_reward", b.mean(1)),
        ("reward_gain", a.mean(1) - b.mean(1)),
    ):
        mean, low, high = bootstrap_mean(values, **options)
        metrics |= {name: mean, f"{name}_ci": [low, high]}
    for prefix, rows in (("", ours), ("baseline_", theirs)):
        part = sample_metrics(rows)
        metrics |= {prefix + k: part[k] for k in ("mean_tokens", "finished_share")}
        metrics |= {prefix + k: part[k] for k in ("distinct_1", "distinct_2")}
    metrics["length_ratio"] = metrics["mean_tokens"] / max(metrics["baseline_mean_tokens"], 1e-9)
    groups: dict[str, list[float]] = {}
    for row, value in zip(ours[::n], outcome.mean((1, 2)), strict=True):
        if row["group"] is not None:
            groups.setdefault(row["group"], []).append(float(value))
    metrics["by_group"] = {
        g: {"n": len(v), "win_rate": (r := win_rate(v, **options))[0], "win_rate_ci": list(r[1:])}
        for g, v in sorted(groups.items())
    }
    return metrics


def kl_metrics(
    policy: Policy, reference: Policy, rows: list[dict], context: Context
) -> dict[str, Any]:
    """KL(policy, reference) a sequence, estimated on the policy's own samples.

    Samples drawn at another temperature or top-p are not samples of the policy; a warning says so.
    """
    from .tokenise import ChatTokenizer

    params = context.params
    if params["temperature"] != 1.0 or params["top_p"] != 1.0:
        context.warnings.append(
            "the KL is estimated on samples drawn with temperature or top_p other than 1: biased"
        )
    chat = ChatTokenizer(
        policy.tokenizer,
        policy.eos_ids[0],
        params["max_prompt_tokens"],
        params["max_new_tokens"],
        policy.max_positions,
    )
    prompts: dict[str, list[int]] = {}
    for row in rows:
        if row["prompt_id"] not in prompts:
            prompts[row["prompt_id"]] = chat.prompt(row["messages"])
    if len(policy.tokenizer) != len(reference.tokenizer):
        context.warnings.append("the reference has another vocabulary: no KL was estimated")
        return {"kl": None, "kl_ci": None, "kl_k1": None, "kl_k3": None}
    sequences = [(prompts[r["prompt_id"]], r["token_ids"]) for r in rows]
    engines = []
    for model in (policy, reference):
        engine = LogProbs(model.lm, context.device)
        engine.probe(sequences[0][0], [s[1] for s in sequences[:2]], share=True)
        engines.append(engine)
    found = divergences(*engines, sequences, tick=context.ticker("kl"))
    return kl_summary(found, [r["prompt_id"] for r in rows], context.seed)


def kl_summary(found: list[Divergence], prompts: list[str], seed: int = 0) -> dict[str, Any]:
    """KL a sequence: `kl` Rao-Blackwellised with its interval by prompt, `kl_k1`, `kl_k3` by token.

    Token values of k3 are summed: over whole sequences its ratio has too heavy a tail.
    """
    ratios = [np.array(d.logp) - np.array(d.ref_logp) for d in found]
    mean, low, high = bootstrap_mean([sum(d.kl) for d in found], prompts, seed=seed)
    return {
        "kl": mean,
        "kl_ci": [low, high],
        "kl_k1": float(np.mean([k1(r).sum() for r in ratios])),
        "kl_k3": float(np.mean([k3(r).sum() for r in ratios])),
    }
