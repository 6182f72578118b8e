"""Task `sample`: answers of a policy to prompts; with a reward model also scores, pairs and
questions for people.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from alignment.rollouts import by_prompt, choose, most_disputed, preference_row
from alignment.stats import distinct_n

from .context import Context
from .data import BadRow, read_prompts
from .files import PREFERENCE, SAMPLES, publish_folder, write_rows
from .generate import answer_text, sample
from .modeling import Policy, load_policy
from .reward_task import load_reward_model, score_texts
from .schema import FieldError
from .tokenise import ChatTokenizer


def execute(context: Context) -> dict[str, Any]:
    """Sample, score if asked, choose pairs if asked; returns the report's metrics."""
    run, params = context.run, context.params
    prompts = read_prompts("prompts", run["prompts"])
    context.warnings += prompts.warnings("prompts")
    # A reward model that cannot be used is refused before the sampling, not after it.
    reward_model = load_reward_model(context) if run["reward_model"] else None
    policy = load_policy("model", run["model"], run["base_model"], context.device)
    begun = time.monotonic()
    rows = sample_rows(context, policy, prompts.rows, params["n"], context.seed)
    seconds = time.monotonic() - begun
    scores = None
    if reward_model is not None:
        items = [(r["messages"], r["text"]) for r in rows]
        scores = score_texts(reward_model, items, context)
        for row, reward in zip(rows, scores, strict=True):
            row["reward_mean"], row["reward_std"] = float(reward.mean()), float(reward.std())
    metrics = sample_metrics(rows) | {
        "n_prompts": len({r["prompt_id"] for r in rows}),
        "tokens_per_s": sum(r["n_tokens"] for r in rows) / max(seconds, 1e-9),
    }
    pairs, ask = [], []
    if scores is not None:
        metrics["reward_mean"] = float(scores.mean())
        metrics["reward_spread"] = float(scores.std(1).mean())
        pairs, ask = pairs_of(rows, scores, params, context.seed)
        metrics |= {"n_pairs": len(pairs), "n_ask": len(ask)}

    def fill(folder) -> None:
        write_rows(folder / "samples.parquet", rows_out(rows), SAMPLES)
        if params["pairs"] != "none":
            write_rows(folder / "pairs.parquet", rows_out(pairs, PREFERENCE), PREFERENCE)
        if params["ask"]:
            write_rows(folder / "ask.parquet", rows_out(ask, PREFERENCE), PREFERENCE)

    publish_folder(context.artefact, fill)
    return metrics


def rows_out(rows: list[dict], schema=SAMPLES) -> list[dict]:
    """Rows with just the columns of a schema."""
    return [{name: row.get(name) for name in schema.names} for row in rows]


def sample_rows(
    context: Context,
    policy: Policy,
    prompts: list[dict],
    n: int,
    seed: int,
    phase: str = "sample",
) -> list[dict[str, Any]]:
    """n rows a prompt as a samples file has them, with `messages` besides."""
    import json

    params = context.params
    chat = ChatTokenizer(
        policy.tokenizer,
        policy.eos_ids[0],
        params["max_prompt_tokens"],
        params["max_new_tokens"],
        policy.max_positions,
    )
    ids, kept = [], []
    for prompt in prompts:
        try:
            ids.append(chat.prompt(prompt["messages"]))
            kept.append(prompt)
        except BadRow as error:
            context.warnings.append(f"prompts: left out {prompt['prompt_id']}: {error}")
    if not kept:
        raise FieldError("prompts", "none of the prompts can be read by the policy")
    answers = sample(
        policy,
        ids,
        n,
        temperature=params["temperature"],
        top_p=params["top_p"],
        max_new_tokens=params["max_new_tokens"],
        batch=params["batch"],
        seed=seed,
        device=context.device,
        tick=context.ticker(phase),
    )
    rows = []
    for prompt, own in zip(kept, answers, strict=True):
        text = json.dumps(prompt["messages"], ensure_ascii=False)
        for index, answer in enumerate(own):
            rows.append(
                {
                    **{k: prompt[k] for k in ("prompt_id", "prompt_hash", "group", "messages")},
                    "prompt": text,
                    "sample": index,
                    "text": answer_text(policy, answer),
                    "token_ids": answer.ids,
                    "logprob": answer.logprob,
                    "n_tokens": len(answer.ids),
                    "finished": answer.finished,
                }
            )
    return rows


def sample_metrics(rows: list[dict]) -> dict[str, Any]:
    """Counts, lengths and diversity of sampled rows."""
    words = [r["text"].split() for r in rows]
    return {
        "n_samples": len(rows),
        "mean_tokens": float(np.mean([r["n_tokens"] for r in rows])),
        "finished_share": float(np.mean([r["finished"] for r in rows])),
        "distinct_1": distinct_n(words, 1),
        "distinct_2": distinct_n(words, 2),
    }


def pairs_of(
    rows: list[dict], scores: np.ndarray, params: dict[str, Any], seed: int
) -> tuple[list[dict], list[dict]]:
    """Preference rows by the strategy asked for, and the most disputed pairs in order."""
    rng = np.random.default_rng(seed)
    for index, row in enumerate(rows):
        row["index"] = index
    pairs, disputed = [], []
    for group in by_prompt(rows).values():
        own = scores[[r["index"] for r in group]]
        texts = [r["text"] for r in group]
        if params["pairs"] != "none":
            pair = choose(own, texts, params["pairs"], params["pair_margin"], rng)
            limit = params["max_spread"]
            if pair is not None and (limit is None or pair.spread <= limit):
                chosen, rejected = group[pair.chosen], group[pair.rejected]
                pairs.append(preference_row(chosen, rejected, pair, params["soft_labels"]))
        if params["ask"]:
            pair = most_disputed(own, texts)
            if pair is not None:
                disputed.append(
                    preference_row(group[pair.chosen], group[pair.rejected], pair, True)
                )
    disputed.sort(key=lambda r: -r["spread"])
    return pairs, disputed[: params["ask"]]
