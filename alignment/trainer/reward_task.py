"""Task `reward`: fit a reward model on pairs and reactions; `score_texts` for the tasks that use
one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from alignment.rewards.features import Featurizer, prompt_text
from alignment.rewards.model import Ends, RewardModel, fit_reward_model
from alignment.stats import auroc, bootstrap_mean, correct, ece, pair_report, sigmoid, wilson

from .context import Context
from .data import Rows, read_preferences, read_unpaired
from .files import publish_folder
from .schema import FieldError


def execute(context: Context) -> dict[str, Any]:
    """Fit, evaluate held out, write the artefact; returns the report's metrics."""
    run, params = context.run, context.params
    pairs = read_preferences("pairs", run["pairs"]) if run["pairs"] else Rows([])
    reactions = read_unpaired("reactions", run["reactions"]) if run["reactions"] else Rows([])
    context.warnings += pairs.warnings("pairs") + reactions.warnings("reactions")
    try:
        featurizer = Featurizer(
            params["encoder"], params["max_tokens"], run["cache"], context.device
        )
    except ValueError as error:
        raise FieldError("params.encoder", str(error)) from None

    tick = context.ticker("features")
    prompts = {id(r): prompt_text(r["messages"]) for r in (*pairs.rows, *reactions.rows)}
    texts = [(prompts[id(r)], r[k]) for r in pairs.rows for k in ("chosen", "rejected")]
    texts += [(prompts[id(r)], r["completion"]) for r in reactions.rows]
    features = featurizer(texts, tick)
    n = 2 * len(pairs.rows)
    ends = Ends(features[:n:2], features[1:n:2], features[n:])

    train = [i for i, r in enumerate(pairs.rows) if r["split"] == "train"]
    held = [i for i, r in enumerate(pairs.rows) if r["split"] == "eval"]
    train_r = [i for i, r in enumerate(reactions.rows) if r["split"] == "train"]
    held_r = [i for i, r in enumerate(reactions.rows) if r["split"] == "eval"]
    if not train and not train_r:
        name = "pairs" if run["pairs"] else "reactions"
        raise FieldError(name, "has no row to train on: every row is held out")
    context.check_stop()
    context.progress.write("fit", 0, 1, pairs=len(train), reactions=len(train_r))
    model, notes = fit_reward_model(
        featurizer,
        [pairs.rows[i] for i in train],
        [reactions.rows[i] for i in train_r],
        Ends(ends.chosen[train], ends.rejected[train], ends.reactions[train_r]),
        params,
        context.seed,
    )
    metrics: dict[str, Any] = {"n_train": len(train), "n_eval": len(held)}
    metrics |= pair_metrics(
        model, [pairs.rows[i] for i in held], ends.chosen[held], ends.rejected[held]
    )
    metrics["unseen"] = _unseen(
        model,
        [pairs.rows[i] for i in (*train, *held)],
        notes.pop("out_of_fold"),
        ends.chosen[held],
        ends.rejected[held],
    )
    if train_r:
        metrics["reactions"] = _reaction_metrics(
            model, [reactions.rows[i] for i in held_r], ends.reactions[held_r]
        ) | {"n_train": len(train_r)}
    answers = np.concatenate([ends.chosen[train], ends.rejected[train], ends.reactions[train_r]])
    rewards = model.heads(answers).mean(1)
    metrics |= {
        "reward_mean": float(rewards.mean()),
        "reward_std": float(rewards.std()),
        "members": model.members,
        "features_cached": featurizer.cached,
        "features_computed": featurizer.computed,
        **notes,
    }
    model.config |= {"reward_mean": metrics["reward_mean"], "reward_std": metrics["reward_std"]}
    publish_folder(context.artefact, model.save)
    context.progress.write(
        "fit", 1, 1, accuracy=metrics.get("accuracy"), auroc=metrics.get("auroc"), l2=notes["l2"]
    )
    return metrics


def pair_metrics(
    model: RewardModel, rows: list[dict], chosen: np.ndarray, rejected: np.ndarray
) -> dict[str, Any]:
    """Accuracy, interval, AUROC, ECE and the three baselines on pairs with features `(P, d)`."""
    if not rows:
        return {"n": 0, "accuracy": None, "accuracy_ci": None, "auroc": None, "ece": None}
    margin = (model.heads(chosen) - model.heads(rejected)).mean(1)
    soft = np.array([r["soft_label"] for r in rows])
    groups = [r["prompt_hash"] for r in rows]
    report = pair_report(margin, soft, groups)
    longer = np.array([float(len(r["chosen"]) - len(r["rejected"])) for r in rows])
    baselines = {"chance": {"accuracy": 0.5, "accuracy_ci": [0.5, 0.5]}}
    baselines["longer"] = _baseline(longer, soft, groups)
    if len(model.baseline):
        span = model.featurizer.blocks()["whole"]
        difference = model.standardise(chosen)[:, span] - model.standardise(rejected)[:, span]
        gap = (difference @ model.baseline).double().numpy()
        baselines["embedding_logreg"] = _baseline(gap, soft, groups)
        right = correct(margin, soft) - correct(gap, soft)
        mean, low, high = bootstrap_mean(right[soft != 0.5], np.array(groups)[soft != 0.5])
        report["gain_over_embedding_logreg"] = mean
        report["gain_over_embedding_logreg_ci"] = [low, high]
    return report | {"baselines": baselines}


def _unseen(
    model: RewardModel,
    rows: list[dict],
    out_of_fold: np.ndarray,
    chosen: np.ndarray,
    rejected: np.ndarray,
) -> dict[str, Any]:
    """Accuracy over all pairs, each by a model that did not see its prompt: the held-out ones by
    the model itself, the others by the fits of the cross-validation. Many times the pairs that are
    held out, so a much tighter interval; slightly optimistic, as the penalty was chosen on the
    same fits.
    """
    held = (model.heads(chosen) - model.heads(rejected)).mean(1) if len(chosen) else []
    margin = np.concatenate([out_of_fold, held])
    rows = rows[len(rows) - len(margin) :]
    soft = np.array([r["soft_label"] for r in rows])
    report = pair_report(margin, soft, [r["prompt_hash"] for r in rows]) if rows else {}
    return {k: report.get(k) for k in ("n", "accuracy", "accuracy_ci")}


def _baseline(margin: np.ndarray, soft: np.ndarray, groups: list[str]) -> dict[str, Any]:
    report = pair_report(margin, soft, groups)
    return {k: report[k] for k in ("accuracy", "accuracy_ci")}


def _reaction_metrics(model: RewardModel, rows: list[dict], features: np.ndarray) -> dict[str, Any]:
    if not rows:
        return {"n": 0}
    scores = model.heads(features).mean(1)
    labels = np.array([r["label"] for r in rows])
    p = sigmoid(model.heads(features) + model.bias.double().numpy()).mean(1)
    right = float(((p > 0.5) == labels).sum())
    return {
        "n": len(rows),
        "accuracy": right / len(rows),
        "accuracy_ci": wilson(right, len(rows)),
        "liked_share": float(labels.mean()),
        "auroc": auroc(scores, labels),
        "ece": ece(p, labels),
    }


def score_texts(
    model: RewardModel, items: list[tuple[list[dict], str]], context: Context, phase: str = "score"
) -> np.ndarray:
    """Rewards `(n, M)` of (messages, answer) items."""
    texts = [(prompt_text(messages), answer) for messages, answer in items]
    return model.score(texts, context.ticker(phase))


def load_reward_model(context: Context) -> RewardModel:
    """The run's reward model; `FieldError` if it cannot be used."""
    try:
        model = RewardModel.load(context.run["reward_model"], context.run["cache"], context.device)
        _ = model.featurizer
    except ValueError as error:
        raise FieldError("reward_model", str(error)) from None
    return model
