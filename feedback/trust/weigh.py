"""All doubts together, and what the weights do to a rate."""

from dataclasses import dataclass

import numpy as np

from feedback.trust import brigades, habits
from feedback.trust.acts import Acts, Doubts

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Weighed:
    """`weights` (n,) in [0, 1] in the order of the acts; `doubts` and `groups` say why."""

    weights: np.ndarray
    doubts: Doubts
    groups: list[brigades.Group]


def weigh(acts: Acts) -> Weighed:
    """Weigh every act by how it, its actor and those who move with them act."""
    doubts = Doubts(len(acts))
    habits.judge(acts, doubts)
    groups = brigades.judge(acts, doubts)
    return Weighed(doubts.weights, doubts, groups)


def rates(acts: Acts, weights: np.ndarray | None = None) -> dict[int, tuple[float, float, float]]:
    """The weighted share of good among good and bad, by target: (share, low, high).

    The 95 % interval allows for acts of one actor hanging together (the ratio's sandwich over
    actors), on the logit scale with half an act of each kind added, so that it stays in (0, 1).
    """
    weights = np.ones(len(acts)) if weights is None else weights
    found = {}
    for target in np.unique(acts.target):
        own = (acts.target == target) & (acts.sign != 0)
        w, good = weights[own], acts.sign[own] > 0
        total = float(w.sum())
        if not total:
            found[int(target)] = (float("nan"), 0.0, 1.0)
            continue
        share = float((w @ good + 0.5) / (total + 1))
        _, actor = np.unique(acts.actor[own], return_inverse=True)
        by_actor = np.bincount(actor, weights=w * (good - share))
        sd = max(
            float(np.sqrt((by_actor**2).sum())) / (total + 1),
            float(np.sqrt(share * (1 - share) / (total + 1))) if total < 5 else 0.0,
        )
        half = Z95 * sd / (share * (1 - share))
        logit = np.log(share / (1 - share))
        low, high = 1 / (1 + np.exp(-(logit - half))), 1 / (1 + np.exp(-(logit + half)))
        found[int(target)] = (share, float(low), float(high))
    return found
