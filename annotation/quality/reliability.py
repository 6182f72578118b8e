"""What each annotator's word is worth, and what a task's labels come to once that is known.

Dawid-Skene (1979) and MACE (Hovy et al. 2013) are crowd-kit's. Crowd-BT (Chen et al. 2013) is
fitted here: the gradient of crowd-kit's NoisyBradleyTerry keeps only each worker's last row.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from .labels import Labels

#: So many judgments of average worth are added to each person's own before they are weighed.
PRIOR = 5.0
#: Labels a person needs, on average, for a confusion matrix of their own.
ENOUGH = 20
#: Above so many labels MACE takes minutes.
MACE_MOST = 30_000


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
    """Dawid and Skene's EM over a confusion matrix a person, by crowd-kit.

    The weight is the kappa of the person with the estimated truth: 1 for always right, 0 for no
    better than chance (or worse: those are heard the other way round in `soft`, and weigh nothing).
    """
    if len(labels.values) < 2 or not _evidence(labels).any():
        return majority(labels)
    with _quiet():
        from crowdkit.aggregation import DawidSkene

        model = DawidSkene(n_iter=iterations, tol=tolerance).fit(_frame(labels))
    soft = _soft(model.probas_, labels)
    return Reliability("dawid-skene", _weights(labels, soft), soft, _evidence(labels))


def mace(labels: Labels, *, restarts: int = 3, seed: int = 0) -> Reliability:
    """MACE by crowd-kit (variational Bayes): each label is the truth or the person's own spam.

    The weight is the probability that the person was not spamming.
    """
    if len(labels.values) < 2 or not _evidence(labels).any():
        return majority(labels)
    with _quiet():
        from crowdkit.aggregation import MACE

        model = MACE(n_restarts=restarts, random_state=seed)
        model.fit(_frame(labels))
    knowing = model.spamming_[:, 1] / model.spamming_.sum(1)
    # MACE numbers people in the order of their first row, which is the order of labels.people.
    evidence = _evidence(labels)
    weights = _shrunk(np.clip(knowing, 0.0, 1.0), evidence)
    return Reliability("mace", weights, _soft(model.probas_, labels), evidence)


def fitted(labels: Labels) -> Reliability:
    """The model that suits the labels: Dawid-Skene where people gave enough of them for a
    confusion matrix each, MACE, with one number a person, where they gave few."""
    evidence = _evidence(labels)
    known = evidence[evidence > 0]
    if len(known) and known.mean() < ENOUGH and len(labels) <= MACE_MOST:
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


def _frame(labels: Labels):
    import pandas as pd

    return pd.DataFrame({"task": labels.unit, "worker": labels.person, "label": labels.value})


def _soft(probabilities, labels: Labels) -> np.ndarray:
    wanted = probabilities.reindex(
        index=range(len(labels.units)), columns=range(len(labels.values)), fill_value=0.0
    ).to_numpy(dtype=float)
    return wanted / wanted.sum(1, keepdims=True)


@contextmanager
def _quiet():
    """crowd-kit speaks to older pandas and numpy; its warnings are not ours to mend."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
