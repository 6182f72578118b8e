"""The reward model beside three baselines on published human comparisons.

    python -m alignment.lab.real_pairs DATA_FOLDER [--sets hh_rlhf_harmless llmbar] [--json]

Cross-validation by prompt: every pair is scored once, by a model that has seen no pair of the same
prompt (or dialogue, or debate). The baselines answer the same pairs: a coin, the longer answer, and
logistic regression on the frozen sentence embeddings (of prompt and answer read together, and of
the answer alone), its penalty chosen by cross-validation inside the training part.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np

from alignment.lab.real_data import SETS, Row, read
from alignment.rewards.features import Featurizer, prompt_text
from alignment.rewards.model import Ends, fit_reward_model
from alignment.stats import auroc, bootstrap_mean, correct, ece, sigmoid
from alignment.trainer.config import PARAMS

PENALTIES = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)


def fold_of(group: str, folds: int) -> int:
    """The part a group belongs to: stable for ever, whatever else is in the set."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") % folds


def folds_of(groups: list[str], folds: int) -> np.ndarray:
    """Part of each row; with few groups they are dealt out in turn, so that no part is empty."""
    names = sorted(set(groups), key=lambda g: hashlib.sha256(g.encode()).digest())
    if len(names) >= 20 * folds:
        return np.array([fold_of(g, folds) for g in groups])
    place = {name: i % folds for i, name in enumerate(names)}
    return np.array([place[g] for g in groups])


def logistic(differences: np.ndarray, weights: np.ndarray, groups: np.ndarray, parts: int = 5):
    """Weights of a logistic regression without intercept on differences (n, d), by Newton steps.

    The ridge is the one of least held-out log-loss over the groups.
    """

    def fit(x: np.ndarray, a: np.ndarray, l2: float) -> np.ndarray:
        theta = np.zeros(x.shape[1])
        for _ in range(25):
            p = sigmoid(x @ theta)
            gradient = x.T @ (a * (1 - p)) - l2 * theta
            hessian = (x * (a * p * (1 - p))[:, None]).T @ x + l2 * np.eye(x.shape[1])
            step = np.linalg.solve(hessian, gradient)
            theta += step
            if np.abs(step).max() < 1e-6:
                break
        return theta

    inner = folds_of(list(groups), parts)
    losses = []
    for l2 in PENALTIES:
        loss = 0.0
        for part in range(parts):
            train, test = inner != part, inner == part
            if test.any() and train.any():
                margin = differences[test] @ fit(differences[train], weights[train], l2)
                loss += float((weights[test] * np.logaddexp(0.0, -margin)).sum())
        losses.append(loss)
    return fit(differences, weights, PENALTIES[int(np.argmin(losses))])


def _interval(values: np.ndarray, groups: list[str]) -> list[float]:
    _, low, high = bootstrap_mean(values, groups)
    return [round(max(low, -1.0), 4), round(min(high, 1.0), 4)]


def measure(
    rows: list[Row], cache: Path, folds: int = 5, params: dict | None = None, seed: int = 0
) -> dict:
    """Accuracy with 95 % intervals of the reward model and of the baselines on a set of pairs."""
    defaults = {key: field.default for key, field in PARAMS["reward"].items()}
    params = defaults | (params or {})
    groups = [str(row["group"]) for row in rows]
    prompts = [prompt_text(json.loads(str(row["prompt"]))) for row in rows]
    featurizer = Featurizer(params["encoder"], params["max_tokens"], cache)
    started = time.monotonic()
    sides = {
        side: featurizer([(p, str(r[side])) for p, r in zip(prompts, rows, strict=True)])
        for side in ("chosen", "rejected")
    }
    alone = {
        side: featurizer([("", str(r[side])) for r in rows])[:, featurizer.blocks()["whole"]]
        for side in ("chosen", "rejected")
    }
    seconds = {"features": time.monotonic() - started}
    whole = featurizer.blocks()["whole"]
    gaps = {
        "embedding_logreg": (sides["chosen"] - sides["rejected"])[:, whole].astype(float),
        "answer_logreg": (alone["chosen"] - alone["rejected"]).astype(float),
    }
    soft = np.array([float(row["soft_label"]) for row in rows])
    margins = {name: np.zeros(len(rows)) for name in ("reward_model", *gaps)}
    margins["longer"] = np.array([len(str(r["chosen"])) - len(str(r["rejected"])) for r in rows])
    part_of = folds_of(groups, folds)
    started = time.monotonic()
    for part in range(folds):
        train, test = np.flatnonzero(part_of != part), np.flatnonzero(part_of == part)
        if not len(test) or not len(train):
            continue
        kept = [
            {"weight": 1.0, "strength": None, "soft_label": soft[i], "prompt_hash": groups[i]}
            for i in train
        ]
        ends = Ends(sides["chosen"][train], sides["rejected"][train], sides["chosen"][:0])
        model, _ = fit_reward_model(featurizer, kept, [], ends, params, seed)
        better, worse = (model.heads(sides[s][test]).mean(1) for s in ("chosen", "rejected"))
        margins["reward_model"][test] = better - worse
        for name, gap in gaps.items():
            weights = np.ones(len(train))
            theta = logistic(gap[train], weights, np.array(groups, dtype=object)[train])
            margins[name][test] = gap[test] @ theta
    seconds["fits"] = time.monotonic() - started
    right = {name: correct(margin, soft) for name, margin in margins.items()}
    reward = margins["reward_model"]
    both, target = np.concatenate([reward, -reward]), np.concatenate([soft, 1 - soft])
    report = {
        "n": len(rows),
        "groups": len(set(groups)),
        "accuracy": round(float(right["reward_model"].mean()), 4),
        "accuracy_ci": _interval(right["reward_model"], groups),
        "auroc": round(auroc(both, target > 0.5), 4),
        "ece": round(ece(sigmoid(both), target), 4),
        "baselines": {"chance": {"accuracy": 0.5}},
        "seconds": {key: round(value, 1) for key, value in seconds.items()},
    }
    for name in ("longer", *gaps):
        report["baselines"][name] = {
            "accuracy": round(float(right[name].mean()), 4),
            "accuracy_ci": _interval(right[name], groups),
            "reward_model_minus": round(float((right["reward_model"] - right[name]).mean()), 4),
            "reward_model_minus_ci": _interval(right["reward_model"] - right[name], groups),
        }
    return report


def main(argv: list[str] | None = None) -> int:
    """Measure the sets named on the command line and print a table, or one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m alignment.lab.real_pairs")
    parser.add_argument("data", type=Path, help="folder that holds the sets")
    parser.add_argument("--sets", nargs="*", choices=sorted(SETS), default=list(SETS))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path("var/lab-cache"))
    parser.add_argument("--params", type=json.loads, default={}, help="of the reward task, as JSON")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args(argv)
    reports = {}
    print(f"{'set':18}{'pairs':>7}  {'reward model':24}{'longer':>8}{'logreg':>8}{'answer':>8}")
    for name in options.sets:
        rows, left_out = read(name, options.data)
        report = measure(rows, options.cache, options.folds, options.params)
        reports[name] = report | {"left_out": left_out}
        low, high = report["accuracy_ci"]
        others = [report["baselines"][b]["accuracy"] for b in list(report["baselines"])[1:]]
        own = f"{report['accuracy']:.3f} [{low:.3f}, {high:.3f}]"
        print(
            f"{name:18}{report['n']:>7}  {own:24}" + "".join(f"{o:8.3f}" for o in others),
            flush=True,
        )
    if options.json:
        print(json.dumps(reports))
    return 0


if __name__ == "__main__":
    sys.exit(main())
