"""Accuracy, AUROC, calibration of preference probabilities. Pure numpy.

`margin` is reward(chosen) - reward(rejected), `soft_label` P(chosen preferred).
"""

from __future__ import annotations

import numpy as np

from .intervals import bootstrap_mean, wilson


def sigmoid(x) -> np.ndarray:
    """Logistic function without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, dtype=float)))


def correct(margin, soft_label=None) -> np.ndarray:
    """1 where the margin agrees with the label, 0 where it does not, 1/2 where the margin is zero;
    `(n,)`.

    Where the soft label is below 1/2 the rejected answer is the preferred one. Ties (1/2) count as
    1/2.
    """
    margin = np.asarray(margin, dtype=float)
    sign = np.sign(margin)
    if soft_label is not None:
        sign = sign * np.sign(np.asarray(soft_label, dtype=float) - 0.5)
    return (sign + 1.0) / 2.0


def auroc(scores, labels) -> float:
    """Area under the ROC curve by ranks (ties count half); NaN where one class is absent."""
    scores, labels = np.asarray(scores, dtype=float), np.asarray(labels).astype(bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return float("nan")
    order = np.argsort(scores, kind="stable")
    _, first, inverse, counts = np.unique(
        scores[order], return_index=True, return_inverse=True, return_counts=True
    )
    ranks = np.empty(len(scores))
    ranks[order] = (first + (counts + 1) / 2.0)[inverse]
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def ece(probabilities, outcomes, bins: int = 10) -> float:
    """Expected calibration error over equal-width bins: sum of |mean outcome - mean probability| x
    share.
    """
    p, y = np.asarray(probabilities, dtype=float), np.asarray(outcomes, dtype=float)
    if len(p) == 0:
        return float("nan")
    index = np.clip((p * bins).astype(int), 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    gap = np.bincount(index, weights=y, minlength=bins) - np.bincount(
        index, weights=p, minlength=bins
    )
    return float(np.abs(gap[count > 0]).sum() / len(p))


def pair_report(margin, soft_label=None, clusters=None, *, level: float = 0.95) -> dict:
    """n, accuracy with interval, AUROC, ECE and log-loss of reward margins `(n,)`.

    Ties (soft label 1/2) are left out of accuracy and AUROC, and counted. Each pair is read in both
    orders for AUROC and ECE, so that the side on which the chosen answer is written carries no
    information. The interval is Wilson's where every pair has a cluster (prompt) of its own, else a
    bootstrap by cluster.
    """
    margin = np.asarray(margin, dtype=float)
    soft = np.ones_like(margin) if soft_label is None else np.asarray(soft_label, dtype=float)
    clear = soft != 0.5
    right = correct(margin[clear], soft[clear])
    n = int(clear.sum())
    report: dict = {"n": n, "ties": int((~clear).sum())}
    if n == 0:
        return report | dict.fromkeys(("accuracy", "accuracy_ci", "auroc", "ece", "log_loss"))
    groups = None if clusters is None else np.asarray(clusters, dtype=object)[clear].astype(str)
    if groups is None or len(set(groups)) == n:
        low, high = wilson(float(right.sum()), n, level)
    else:
        _, low, high = bootstrap_mean(right, groups, level=level)
        low, high = max(low, 0.0), min(high, 1.0)
    both = np.concatenate([margin, -margin])
    target = np.concatenate([soft, 1.0 - soft])
    sides = np.concatenate([clear, clear])
    p = sigmoid(both)
    log_p = -np.logaddexp(0.0, -margin)
    log_q = -np.logaddexp(0.0, margin)
    return report | {
        "accuracy": float(right.mean()),
        "accuracy_ci": [low, high],
        "auroc": auroc(both[sides], target[sides] > 0.5),
        "ece": ece(p, target),
        "log_loss": float(-(soft * log_p + (1 - soft) * log_q).mean()),
    }
