"""All doubts together, and what the weights do to a rate."""

from dataclasses import dataclass

import numpy as np

from feedback.trust import brigades, concert, habits
from feedback.trust.acts import Acts, Doubts

_SAYS = {
    **dict.fromkeys(
        ("raid", "lockstep"),
        "One of {n} people who said the same of the same models in the same hours; together they "
        "count as {counted:.1f}.",
    ),
    "concert": "One of {n} people who call one model bad and another good every time, far more "
    "than moods and the models explain; together they count as {counted:.1f}.",
}
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
    groups = judge_groups(acts, doubts)
    return Weighed(doubts.weights, doubts, groups)


def judge_groups(acts: Acts, doubts: Doubts) -> list[brigades.Group]:
    """Doubt the acts by which groups push; returns the groups."""
    groups = brigades.find(acts)
    inside = [actor for group in groups for actor in group.actors]
    groups += concert.find(acts.take(~np.isin(acts.actor, inside)))
    for group in groups:
        members = np.isin(acts.actor, list(group.actors))
        pushed = np.zeros(len(acts), dtype=bool)
        for target, sign in group.pushes:
            pushed |= (acts.target == target) & (acts.sign == sign)
        factor = group.counted / len(group.actors)
        says = _SAYS[group.kind].format(n=len(group.actors), counted=group.counted)
        doubts.add(np.flatnonzero(members & pushed), group.kind, factor, says)
    return groups


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
