"""P[Love | prompt, answer] (RLUF, arXiv 2505.14946): a logistic model with exposure correction.

Few who see an answer react, and they are not like the rest: people react to the very good and the
very bad. A first model predicts whether a seen answer is reacted to at all; each reaction then
weighs the inverse of that, so that the reactions stand for all that was seen (inverse propensity
weighting, stabilised and clipped). The second model predicts love among reactions, with these
weights times trust; a calibration on held-out scores makes its output a probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from feedback.arena import style
from feedback.love.calibrate import Calibration, calibrate

#: Weights above or below this many times the mean are cut: variance for a little bias.
CLIP = 8.0
#: A class is weighed up to this many times, so that a rare dislike is not drowned.
CLASS_MOST = 4.0
FOLDS = 3
#: What counts as a word for the hashed features.
WORDS = {"token_pattern": r"(?u)\b\w+\b|[?!]"}
BITS = 12


@dataclass(frozen=True)
class Seen:
    """n answers that were seen. `loved` 1, 0 or nan where nobody reacted; `trust` in [0, 1];
    `group` is whose they are: cross-fitting never splits a person."""

    prompts: Sequence[str]
    answers: Sequence[str]
    loved: np.ndarray
    trust: np.ndarray
    group: np.ndarray


@dataclass
class LoveModel:
    """`predict(prompts, answers)` gives P[Love] in [0, 1]; `reach` how often people react."""

    love: object
    calibration: Calibration
    reach: float
    effective: float
    held_out: np.ndarray = field(repr=False)

    def predict(self, prompts: Sequence[str], answers: Sequence[str]) -> np.ndarray:
        """(n,) probabilities."""
        return self.calibration(self.love.decision_function(features(prompts, answers)))


def features(prompts: Sequence[str], answers: Sequence[str]):
    """(n, d) sparse: hashed words of the answer and of the prompt, and the answer's dress."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(n_features=2**BITS, ngram_range=(1, 2), norm="l2", **WORDS)
    dress = np.array([style.counts(text) for text in answers], dtype=float).reshape(-1, 4)
    long = np.log1p(dress)
    asked = np.log1p([[len(text)] for text in prompts])
    own = np.hstack([long / 5, (long[:, :1] / 5) ** 2, asked / 5])
    answer = hashed.transform(answers)
    asked_words = hashed.transform(prompts) * 0.5
    return hstack([answer, asked_words, csr_matrix(own)]).tocsr()


def propensities(x, reacted: np.ndarray, group: np.ndarray, *, strength: float = 0.3) -> np.ndarray:
    """(n,) cross-fitted P(react | seen), each from a model that did not meet that person."""
    reacted = np.asarray(reacted, dtype=bool)
    mean = reacted.mean()
    found = np.full(len(reacted), mean)
    if 0 < reacted.sum() < len(reacted):
        for train, test in folds_by(group):
            if len(np.unique(reacted[train])) == 2:
                fitted = logistic(strength).fit(x[train], reacted[train])
                found[test] = fitted.predict_proba(x[test])[:, 1]
    return found


def inverse_weights(propensity: np.ndarray, reacted: np.ndarray) -> np.ndarray:
    """(n,) stabilised inverse propensity weights of the reacted ones, mean 1, clipped; else 0."""
    reacted = np.asarray(reacted, dtype=bool)
    weights = np.zeros(len(propensity))
    if reacted.any():
        raw = reacted.mean() / np.clip(propensity[reacted], 1e-3, 1)
        raw = np.clip(raw, 1 / CLIP, CLIP)
        weights[reacted] = raw / raw.mean()
    return weights


def fit(seen: Seen, *, strength: float = 1.0, correct: bool = True) -> LoveModel:
    """Fit both models and the calibration. Raises ValueError without both kinds of reactions."""
    x = features(seen.prompts, seen.answers)
    loved = np.asarray(seen.loved, dtype=float)
    reacted = np.isfinite(loved)
    y = loved[reacted] > 0.5
    if y.all() or not y.any():
        raise ValueError("P[Love] needs reactions of both kinds")
    weight = np.asarray(seen.trust, dtype=float)[reacted]
    if correct:
        propensity = propensities(x, reacted, seen.group)
        weight = weight * inverse_weights(propensity, reacted)[reacted]
    own, group = x[reacted], np.asarray(seen.group)[reacted]
    balanced = weight * _class_weights(y, weight)
    scores = np.full(len(y), np.nan)
    for train, test in folds_by(group):
        if len(np.unique(y[train])) == 2:
            fold = logistic(strength).fit(own[train], y[train], sample_weight=balanced[train])
            scores[test] = fold.decision_function(own[test])
    known = np.isfinite(scores)
    calibration = calibrate(scores[known], y[known], weight[known])
    held_out = np.full(len(loved), np.nan)
    held_out[np.flatnonzero(reacted)[known]] = calibration(scores[known])
    love = logistic(strength).fit(own, y, sample_weight=balanced)
    effective = float(weight.sum() ** 2 / max(1e-12, (weight**2).sum()))
    return LoveModel(love, calibration, float(reacted.mean()), effective, held_out)


def cross_predict(seen: Seen, *, correct: bool = True, folds: int = FOLDS) -> np.ndarray:
    """(n,) P[Love] of every answer by whole models (calibration and all) that never met its
    person: what an honest evaluation compares with the labels."""
    out = np.full(len(seen.loved), np.nan)
    for train, test in folds_by(seen.group, folds):
        part = Seen(
            [seen.prompts[i] for i in train], [seen.answers[i] for i in train],
            np.asarray(seen.loved)[train], np.asarray(seen.trust)[train],
            np.asarray(seen.group)[train],
        )  # fmt: skip
        fitted = fit(part, correct=correct)
        prompts, answers = [seen.prompts[i] for i in test], [seen.answers[i] for i in test]
        out[test] = fitted.predict(prompts, answers)
    return out


def _class_weights(y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    good = float(weight[y].sum() / weight.sum())
    up = np.where(y, 0.5 / max(good, 1e-6), 0.5 / max(1 - good, 1e-6))
    return np.minimum(up, CLASS_MOST)


def logistic(strength: float):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=200, tol=1e-3)


def folds_by(group: np.ndarray, folds: int = FOLDS):
    """(train, test) indices; a group is never on both sides."""
    names, place = np.unique(group, return_inverse=True)
    shuffled = np.random.default_rng(0).permutation(len(names))
    fold = shuffled[place] % min(folds, max(2, len(names)))
    for one in range(fold.max() + 1):
        test = fold == one
        if test.any() and not test.all():
            yield np.flatnonzero(~test), np.flatnonzero(test)
