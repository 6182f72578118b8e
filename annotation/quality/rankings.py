"""How far rankings agree: Kendall's tau of two people and W of all, over units at once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from .agreement import Estimate, bootstrap_mean

Ranking = Sequence[float]


Taus = Mapping[object, list[tuple[object, object, float]]]


def kendall_tau(rankings: Mapping[object, Mapping[object, Ranking]]) -> Estimate:
    """Kendall's tau-b (1945): the mean over units of the mean over pairs of people.

    `rankings[unit][person]` are the places of the unit's items, in one order of items for all; 1
    is best, ties share a place.
    """
    return mean_tau(taus(rankings))


def mean_tau(found: Taus) -> Estimate:
    """The same, of what `taus` gives."""
    means = [sum(tau for _, _, tau in rows) / len(rows) for rows in found.values() if rows]
    if not means:
        return Estimate(None)
    pairs = sum(map(len, found.values()))
    return Estimate.of(float(np.mean(means)), bootstrap_mean(np.array(means)), len(means), pairs)


def taus(rankings: Mapping[object, Mapping[object, Ranking]]) -> Taus:
    """Of each unit: tau-b of every two people; left out where one tied everything.

    tau-b = sum of s_i s_j over pairs of items / sqrt(untied pairs of one x of the other), for the
    signs s of who comes first.
    """
    found: dict[object, list] = {unit: [] for unit in rankings}
    for units, table in _alike(rankings):
        signs = _signs(table)
        untied = np.abs(signs).sum(2)
        one, two = np.triu_indices(table.shape[1], 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            root = np.sqrt(untied[:, one] * untied[:, two])
            tau = (signs[:, one] * signs[:, two]).sum(2) / root
        for unit, row in zip(units, tau, strict=True):
            people = list(rankings[unit])
            for n, m, value in zip(one, two, row.tolist(), strict=True):
                if math.isfinite(value):
                    found[unit].append((people[n], people[m], value))
    return found


def _alike(rankings):
    """Units with as many people and items as each other: their names, and `(units, people,
    items)` of places. Units of one person or one item, or of uneven rows, are left out."""
    groups = defaultdict(list)
    for unit, places in rankings.items():
        sizes = {len(p) for p in places.values()}
        if len(places) > 1 and len(sizes) == 1:
            groups[len(places), sizes.pop()].append(unit)
    for (_, items), units in groups.items():
        if items > 1:
            rows = [[list(p) for p in rankings[unit].values()] for unit in units]
            yield units, np.array(rows, dtype=float)


def _signs(places: np.ndarray) -> np.ndarray:
    """Of `(..., items)`: for every two items which comes first, `(..., pairs)`."""
    one, two = np.triu_indices(places.shape[-1], 1)
    return np.sign(places[..., two] - places[..., one])


def kendall_w(rankings: Mapping[object, Mapping[object, Ranking]]) -> Estimate:
    """Kendall's coefficient of concordance W in [0, 1], corrected for ties: the mean over units.

    W = 12 S / (m^2 (n^3 - n) - m T) for m people and n items, S the squared deviations of the sums
    of ranks and T the sum of t^3 - t over groups of t tied items (Kendall and Babington Smith
    1939; Siegel 1956); so it takes at least two people and three items.
    """
    found, pairs = [], 0
    for _units, table in _alike(rankings):
        _, people, items = table.shape
        if items < 3:
            continue
        same = (table[..., :, None] == table[..., None, :]).sum(3)
        ranks = (table[..., :, None] > table[..., None, :]).sum(3) + (same + 1) / 2
        spread = ((ranks.sum(1) - people * (items + 1) / 2) ** 2).sum(1)
        # An item tied with t - 1 others adds t^2 - 1, so a group of t adds t^3 - t.
        whole = people**2 * (items**3 - items) - people * (same**2 - 1).sum((1, 2))
        known = whole > 0
        found += (12 * spread[known] / whole[known]).tolist()
        pairs += int(known.sum()) * people * (people - 1) // 2
    if not found:
        return Estimate(None)
    return Estimate.of(float(np.mean(found)), bootstrap_mean(np.array(found)), len(found), pairs)
