"""Doubts about crowds that are of one mind: patient groups, who leave no trace in time.

People differ in mood (some like everything) and models in quality, and both together foretell how
many people call one model bad every time and another one good every time. Where far more do, the
crowd counts as the root of its number, and as four at most. People who share a taste are told
apart from people who share a plan by those who waver: a taste shows in many who mostly agree, a
plan in all or nothing. So a plan that is carried out with slips in a third of the acts is not seen
here; it does as much less harm. And a few acts each by ever new people leave nothing to see.
One person who disagrees with everybody is never doubted here.
"""

from functools import cache
from math import comb, log, sqrt

import numpy as np

from feedback.trust.acts import Acts
from feedback.trust.brigades import Group

#: Acts on the two models together, and on each, before a person says anything about a plan.
LEAST_ACTS = 6
LEAST_EACH = 2
LEAST_PEOPLE = 8
MOST_COUNTED = 4.0
#: Times as many as foretold, nats of evidence beyond log(number of pairs), and times as many in
#: excess as of those who waver.
TIMES = 3.0
NATS = 14.0
RESOLVED = 2.0
#: Part of the acts that may go against the plan, and up to which a person wavers.
SLIPS = 0.1
WAVERS = 0.4
MOST_TARGETS = 60
_MOODS, _CHANCES = np.polynomial.hermite_e.hermegauss(15)
_CHANCES = _CHANCES / _CHANCES.sum()


def find(acts: Acts) -> list[Group]:
    """Crowds of one mind, one for each pair of models they set against each other."""
    signed = acts.take(acts.sign != 0)
    targets, target = np.unique(signed.target, return_inverse=True)
    if not 2 <= len(targets) <= MOST_TARGETS:
        return []
    actors, actor = np.unique(signed.actor, return_inverse=True)
    shape = (len(actors), len(targets))
    good, bad = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.int32)
    np.add.at(good, (actor[signed.sign > 0], target[signed.sign > 0]), 1)
    np.add.at(bad, (actor[signed.sign < 0], target[signed.sign < 0]), 1)
    chances = _chances(good, bad)
    groups = []
    for down in range(len(targets)):
        for up in range(len(targets)):
            members = _crowd(good, bad, chances, down, up) if down != up else None
            if members is None:
                continue
            own = np.isin(signed.actor, actors[members])
            groups.append(
                Group("concert", frozenset(int(one) for one in actors[members]),
                      frozenset({(int(targets[down]), -1), (int(targets[up]), 1)}),
                      min(sqrt(len(members)), MOST_COUNTED), float(signed.time[own].min()),
                      float(signed.time[own].max()))
            )  # fmt: skip
    return groups


def _chances(good: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """(moods, targets): how likely a person of each mood calls a model good."""
    shares = (good.sum(0) + 1) / (good.sum(0) + bad.sum(0) + 2)
    n = (good + bad).sum(1)
    telling = n >= 3
    if telling.sum() < 20:
        spread = 1.0
    else:
        own, sizes = good.sum(1)[telling] / n[telling], n[telling]
        expected = ((good + bad)[telling] * shares).sum(1) / sizes
        variance = expected * (1 - expected)
        between = float(((own - expected) ** 2 - variance / sizes).mean())
        spread = sqrt(max(between, 0.0)) / max(float(variance.mean()), 0.05)
    # So that the average over the moods is the share itself, nearly.
    logits = np.log(shares / (1 - shares)) * sqrt(1 + 0.346 * spread**2)
    return 1 / (1 + np.exp(-(logits[None, :] + spread * _MOODS[:, None])))


def _crowd(
    good: np.ndarray, bad: np.ndarray, chances: np.ndarray, down: int, up: int
) -> np.ndarray | None:
    """Rows of those who are of one mind against `down` and for `up`, if they are a crowd."""
    n_down, n_up = good[:, down] + bad[:, down], good[:, up] + bad[:, up]
    n = n_down + n_up
    able = (n_down >= LEAST_EACH) & (n_up >= LEAST_EACH) & (n >= LEAST_ACTS)
    if able.sum() < LEAST_PEOPLE:
        return None
    slips = good[:, down] + bad[:, up]
    of_one_mind = able & (slips <= np.floor(SLIPS * n))
    count = int(of_one_mind.sum())
    if count < LEAST_PEOPLE:
        return None
    wavering = int((able & ~of_one_mind & (slips <= WAVERS * n)).sum())
    p_down, p_up = chances[:, down], 1 - chances[:, up]

    @cache
    def foretold(a: int, b: int) -> tuple[float, float]:
        """P(of one mind), P(wavering) of a person with so many acts on each."""
        few, some = int(SLIPS * (a + b)), int(WAVERS * (a + b))
        steps = [_slips(a, b, k, p_down, p_up) for k in range(some + 1)]
        return float(sum(steps[: few + 1])), float(sum(steps[few + 1 :]))

    told = np.array(
        [foretold(int(a), int(b)) for a, b in zip(n_down[able], n_up[able], strict=True)]
    )
    expected, expected_wavering = float(told[:, 0].sum()), float(told[:, 1].sum())
    # Chernoff's bound on a Poisson count.
    nats = count * log(count / max(expected, 1e-9)) - count + expected
    pairs = good.shape[1] * (good.shape[1] - 1)
    is_crowd = count >= TIMES * expected and nats >= NATS + log(pairs)
    is_plan = count - expected >= RESOLVED * max(0.0, wavering - expected_wavering)
    return np.flatnonzero(of_one_mind) if is_crowd and is_plan else None


def _slips(a: int, b: int, k: int, p_down: np.ndarray, p_up: np.ndarray) -> float:
    """P(k slips) in a acts with chance p_down and b with p_up each, averaged over moods."""
    total = np.zeros(len(p_down))
    for i in range(max(0, k - b), min(a, k) + 1):
        j = k - i
        total += (
            comb(a, i) * p_down**i * (1 - p_down) ** (a - i)
            * comb(b, j) * p_up**j * (1 - p_up) ** (b - j)
        )  # fmt: skip
    return float(_CHANCES @ total)
