"""What each annotator's word is worth, and what a task's labels come to once that is known.

Dawid-Skene (1979), MACE (Hovy et al. 2013) and Crowd-BT (Chen et al. 2013) on whole arrays, since
reports are made while people work: crowd-kit walks the same steps through tables, fifty times as
long, and its MACE mixes up labels that do not first appear in sorted order. Tests hold the first
two to crowd-kit's numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .labels import Labels

#: So many judgments of average worth are added to each person's own before they are weighed.
PRIOR = 5.0
#: Labels a person needs, on average, for a confusion matrix of their own.
ENOUGH = 20
_EPS = 1e-10


@dataclass(frozen=True)
class Reliability:
    """`weights` `(people,)` in [0, 1]; `soft` `(units, values)`, rows that sum to 1; both in the
    order of the labels they were fitted on. `evidence` counts each person's labels on units that
    someone else labelled too: a weight without any is the average of the others."""

    method: str
    weights: np.ndarray
    soft: np.ndarray
    evidence: np.ndarray

    def weight_of(self, labels: Labels) -> dict:
        """By person."""
        return dict(zip(labels.people, map(float, self.weights), strict=True))


def majority(labels: Labels) -> Reliability:
    """Everyone's word weighs the same: the shares of each value."""
    table = labels.counts().astype(float)
    soft = table / table.sum(1, keepdims=True)
    return Reliability("majority", np.ones(len(labels.people)), soft, _evidence(labels))


def dawid_skene(labels: Labels, *, iterations: int = 100, tolerance: float = 1e-5) -> Reliability:
    """Dawid and Skene's EM over a confusion matrix a person, begun at the majority; it ends when
    the evidence lower bound of a label grows by less than `tolerance`.

    The weight is the kappa of the person with the estimated truth: 1 for always right, 0 for no
    better than chance (or worse: those are heard the other way round in `soft`, and weigh nothing).
    """
    if len(labels.values) < 2 or not _evidence(labels).any():
        return majority(labels)
    unit, size = labels.unit, len(labels.values)
    said = labels.person * size + labels.value  # what was said by whom, in one number
    cells = len(labels.people) * size
    used = np.bincount(said, minlength=cells).reshape(-1, size, 1) > 0
    soft = majority(labels).soft
    bound = -np.inf
    prior, confusion = soft.mean(0), _confusion(said, soft[unit], used)
    for _ in range(iterations):
        logs = np.log(confusion.reshape(cells, size))[said] + 0.0
        score = np.log(np.maximum(prior, _EPS)) + _summed(unit, logs, len(labels.units))
        soft = np.exp(score - score.max(1, keepdims=True))
        soft /= soft.sum(1, keepdims=True)
        prior, confusion = soft.mean(0), _confusion(said, soft[unit], used)
        logs = np.log(confusion.reshape(cells, size))[said] + np.log(np.maximum(prior, _EPS))
        entropy = -(np.log(np.maximum(soft, _EPS)) * soft).sum()
        reached = ((soft[unit] * logs).sum() + entropy) / len(labels)
        if reached - bound < tolerance:
            break
        bound = reached
    return Reliability("dawid-skene", _weights(labels, soft), soft, _evidence(labels))


def _confusion(said: np.ndarray, truth: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The chance that a person says each value when each is true, `(people, said, true)`; values
    that a person never used are 1, so that their logarithm adds nothing."""
    size = used.shape[1]
    found = _summed(said, truth, used.size).reshape(-1, size, size)
    found = np.where(used, np.maximum(found, _EPS), 0.0)
    found /= found.sum(1, keepdims=True)
    return np.where(used, found, 1.0)


def _summed(index: np.ndarray, rows: np.ndarray, size: int) -> np.ndarray:
    """The rows `(n, values)` added up by index: `(size, values)`."""
    columns = [np.bincount(index, rows[:, k], minlength=size) for k in range(rows.shape[1])]
    return np.stack(columns, axis=1)


def mace(labels: Labels, *, restarts: int = 3, iterations: int = 50, seed: int = 0) -> Reliability:
    """MACE by variational Bayes: each label is the truth or the person's own spam (Hovy et al.
    2013, with their priors: Beta(1/2, 1/2) on spamming, Dirichlet(10) on what is said then).

    Of `restarts` the likeliest is kept. The weight is the probability that the person was not
    spamming.
    """
    if len(labels.values) < 2 or not _evidence(labels).any():
        return majority(labels)
    runs = [_mace(labels, iterations, seed + n) for n in range(restarts)]
    _, knowing, soft = max(runs, key=lambda run: run[0])
    evidence = _evidence(labels)
    return Reliability("mace", _shrunk(np.clip(knowing, 0.0, 1.0), evidence), soft, evidence)


def _mace(labels: Labels, iterations: int, seed: int) -> tuple[float, np.ndarray, np.ndarray]:
    """One run from one start: log-likelihood, each person's chance of not spamming `(people,)`,
    soft labels `(units, values)`."""
    from scipy.special import digamma

    unit, person, value = labels.unit, labels.person, labels.value
    people, size, units = len(labels.people), len(labels.values), len(labels.units)
    said = person * size + value

    def normal(counts: np.ndarray, prior: float) -> np.ndarray:
        total = (counts + prior).sum(1, keepdims=True)
        return np.exp(digamma(counts + prior) - digamma(total))

    def start(columns: int) -> np.ndarray:
        drawn = 1 + 1.5 * np.random.RandomState(seed).uniform(size=(people, columns))
        return drawn / drawn.sum(1, keepdims=True)

    spam, spoken = start(2), start(size)  # columns of spam: spamming, knowing
    for step in range(iterations + 1):
        guess = spam[person, 0] * spoken[person, value]  # said, and not because it is true
        either = guess + spam[person, 1]
        score = np.bincount(unit, np.log(guess), minlength=units)[:, None] + np.bincount(
            unit * size + value, np.log(either / guess), minlength=units * size
        ).reshape(units, size)
        top = score.max(1, keepdims=True)
        soft = np.exp(score - top)
        total = soft.sum(1, keepdims=True)
        soft /= total
        if step == iterations:
            break
        true = soft[unit, value]
        knew = true * spam[person, 1] / either
        spammed = 1 - knew  # (1 - true) + true x guess / either
        spoken = normal(np.bincount(said, spammed, people * size).reshape(people, size), 10.0)
        counts = [np.bincount(person, spammed, people), np.bincount(person, knew, people)]
        spam = normal(np.stack(counts, axis=1), 0.5)
    return float((top + np.log(total)).sum()), spam[:, 1] / spam.sum(1), soft


def fitted(labels: Labels) -> Reliability:
    """The model that suits the labels: Dawid-Skene where people gave enough of them for a
    confusion matrix each, MACE, with one number a person, where they gave few."""
    evidence = _evidence(labels)
    known = evidence[evidence > 0]
    if len(known) and known.mean() < ENOUGH:
        return mace(labels)
    return dawid_skene(labels)


METHODS = {"majority": majority, "dawid-skene": dawid_skene, "mace": mace}


@dataclass(frozen=True)
class CrowdBT:
    """`scores` `(items,)`, mean 0, in log-odds; `ability` `(people,)`, the chance that a person
    orders a pair as the scores say it; `weights` = 2 ability - 1, no less than 0."""

    scores: np.ndarray
    ability: np.ndarray
    weights: np.ndarray
    log_likelihood: float


def crowd_bt(
    winner: Sequence[int],
    loser: Sequence[int],
    person: Sequence[int],
    *,
    share: Sequence[float] | None = None,
    items: int | None = None,
    people: int | None = None,
    ridge: float = 0.05,
    trust: tuple[float, float] = (10.0, 1.0),
) -> CrowdBT:
    """Bradley-Terry with annotator ability (Chen et al. 2013, eq. 6):

        P(i beats j | k) = eta_k s(v_i - v_j) + (1 - eta_k) s(v_j - v_i)

    The mode with a normal prior on scores (`ridge` / 2 x squares) and a Beta(`trust`) prior on eta,
    which says who is likelier right and so settles which end is up; by scipy's L-BFGS. `share`
    `(n,)` is 1 for a win and 1/2 for a tie, when the order of the two does not matter.
    """
    from scipy.optimize import minimize

    winner, loser, person = (np.asarray(x, dtype=np.int64) for x in (winner, loser, person))
    share = np.ones(len(winner)) if share is None else np.asarray(share, dtype=float)
    items = items or int(max(winner.max(), loser.max())) + 1
    people = people or int(person.max()) + 1

    def negative(x: np.ndarray) -> tuple[float, np.ndarray]:
        v, eta = x[:items], _logistic(x[items:])
        gap = v[winner] - v[loser]
        p, e = _logistic(gap), eta[person]
        right = e * p + (1 - e) * (1 - p)
        # A tie is half a win and half a loss.
        slope_right = share / right - (1 - share) / (1 - right)
        value = -(share * np.log(right) + (1 - share) * np.log1p(-right)).sum()
        slope_gap = -slope_right * (2 * e - 1) * p * (1 - p)
        slope_e = -slope_right * (2 * p - 1) * e * (1 - e)
        gradient = np.zeros_like(x)
        gradient[:items] = np.bincount(winner, slope_gap, items) - np.bincount(
            loser, slope_gap, items
        )
        gradient[items:] = np.bincount(person, slope_e, people)
        value += 0.5 * ridge * (v**2).sum()
        gradient[:items] += ridge * v
        value -= (trust[0] * np.log(eta) + trust[1] * np.log1p(-eta)).sum()
        gradient[items:] -= trust[0] * (1 - eta) - trust[1] * eta
        return float(value), gradient

    start = np.concatenate([np.zeros(items), np.full(people, np.log(trust[0] / trust[1]))])
    bounds = [(-30, 30)] * items + [(-12, 12)] * people
    found = minimize(
        negative,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 2000, "ftol": 1e-12},
    )
    scores, ability = found.x[:items], _logistic(found.x[items:])
    weights = np.clip(2 * ability - 1, 0.0, 1.0)
    return CrowdBT(scores - scores.mean(), ability, weights, -float(found.fun))


# Helpers ------------------------------------------------------------------------------------


def _logistic(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x)))


def _evidence(labels: Labels) -> np.ndarray:
    shared = np.bincount(labels.unit, minlength=len(labels.units)) > 1
    return np.bincount(
        labels.person, weights=shared[labels.unit].astype(float), minlength=len(labels.people)
    )


def _weights(labels: Labels, soft: np.ndarray) -> np.ndarray:
    """Each person's kappa with the soft truth, over shared units, shrunk to the average."""
    shared = (np.bincount(labels.unit, minlength=len(labels.units)) > 1)[labels.unit]
    unit, person, value = labels.unit[shared], labels.person[shared], labels.value[shared]
    people, size = len(labels.people), len(labels.values)
    said = np.zeros((people, size))
    truth = np.zeros((people, size))
    agree = np.zeros(people)
    np.add.at(said, (person, value), 1.0)
    np.add.at(truth, person, soft[unit])
    np.add.at(agree, person, soft[unit, value])
    n = said.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = agree / n
        chance = (said / n[:, None] * truth / n[:, None]).sum(1)
        kappa = np.where(chance < 1 - 1e-9, (seen - chance) / (1 - chance), seen)
    return _shrunk(np.clip(np.nan_to_num(kappa), 0.0, 1.0), n)


def _shrunk(weights: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    total = evidence.sum()
    average = float((weights * evidence).sum() / total) if total else 1.0
    return (weights * evidence + PRIOR * average) / (evidence + PRIOR)
