"""Doubts about actors who move together: the same models, the same way, in the same windows.

Two searches, because groups act in two ways. A *raid* fills one window: far more people than at
other times say the same of one model, and their acts are about little else. A *lockstep* group
spreads over many windows, but its members keep turning up in the same ones with the same word.
Members of a group count together as the people one would have expected there, not as a crowd.
Groups that leave no trace in time are looked for in `feedback.trust.concert`.
"""

from collections import defaultdict
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from feedback.trust.acts import Acts

#: Window lengths in seconds in which a raid is looked for.
RAID_WINDOWS = (3_600.0, 6 * 3_600.0, 86_400.0)
#: Standard deviations above what is expected, and times as many, before a window is one.
RAID_SIGMA = 5.0
RAID_TIMES = 2.5
RAID_LEAST = 8
#: A member has so many acts in raided cells, and they are so large a part of all of theirs.
MEMBER_ACTS = 2
MEMBER_SHARE = 0.6

LOCKSTEP_WINDOW = 600.0
#: Nats of evidence for a pair beyond log(number of pairs), and shared windows at least.
LOCKSTEP_NATS = 6.0
LOCKSTEP_SHARED = 4
LOCKSTEP_SHARE = 0.5
GROUP_LEAST = 3
#: A cell fuller than this holds no evidence about any two of the people in it.
CELL_MOST = 400
#: Groups that are looked for at most in one reading.
MOST_GROUPS = 50


@dataclass(frozen=True)
class Group:
    """Actors that move together, what they push, and how many of them count."""

    kind: str
    actors: frozenset[int]
    pushes: frozenset[tuple[int, int]]  # (target, sign)
    counted: float
    since: float
    until: float


def find(acts: Acts) -> list[Group]:
    """The groups in these acts: lockstep first, then raids, the most striking one first.

    The members of a group are left out of the search for the next one: a crowd that is there for
    one thing changes what looks usual for everything else.
    """
    groups = _lockstep(acts) if len(acts) else []
    while len(groups) < MOST_GROUPS:
        inside = {actor for group in groups for actor in group.actors}
        rest = acts.take(~np.isin(acts.actor, list(inside)))
        raid = _raid(rest) if len(rest) else None
        if raid is None:
            return groups
        groups.append(raid)
    return groups


# Raids --------------------------------------------------------------------------------------


def _raid(acts: Acts) -> Group | None:
    """The most striking raid, if there is one."""
    flagged: dict[tuple[int, int], np.ndarray] = {}
    height: dict[tuple[int, int], tuple[float, float]] = {}
    for seconds in RAID_WINDOWS:
        for shift in (0.0, seconds / 2):
            for inside, push, count, expected in _surplus(acts, seconds, shift):
                flagged[push] = flagged.get(push, False) | inside
                sigma = (count - expected) / sqrt(expected + 1)
                height[push] = max(height.get(push, (0.0, 0.0)), (sigma, expected))
    if not flagged:
        return None
    anywhere = np.logical_or.reduce(list(flagged.values()))
    for push in sorted(flagged, key=lambda one: height[one], reverse=True):
        who, pushes = set(), {push}
        for actor, own in acts.by_actor():
            hits = own[anywhere[own]]
            if not flagged[push][own].any():
                continue
            if len(hits) >= MEMBER_ACTS and len(hits) >= MEMBER_SHARE * len(own):
                who.add(actor)
        if len(who) < GROUP_LEAST:
            continue
        # What else most of them push in raided cells belongs to it.
        own = anywhere & np.isin(acts.actor, list(who))
        for other in flagged:
            on_other = own & flagged[other]
            if len(np.unique(acts.actor[on_other])) >= len(who) / 2:
                pushes.add(other)
        counted = min(max(1.0, height[push][1]), sqrt(len(who)))
        times = acts.time[own]
        since, until = float(times.min()), float(times.max())
        return Group("raid", frozenset(who), frozenset(pushes), counted, since, until)
    return None


def _surplus(acts: Acts, seconds: float, shift: float):
    """Cells (window, target, sign) in which many more people act than at other times.

    Yields (mask of the acts, (target, sign), people, expected people). What is expected is the
    people active in the window, times the usual share of them in such a cell: the median over
    windows, each with the weight of its people, so that quiet nights do not set the measure.
    """
    window = np.floor((acts.time + shift) / seconds).astype(np.int64)
    active = _people(acts.actor, window[:, None])
    windows = sorted(key[0] for key in active)
    if len(windows) < 3:
        return
    pushes = {(int(t), int(s)) for t, s in zip(acts.target, acts.sign, strict=True) if s}
    for push in sorted(pushes):
        of_push = (acts.target == push[0]) & (acts.sign == push[1])
        inside = _people(acts.actor[of_push], window[of_push, None])
        usual = _median(
            np.array([inside.get((w,), 0) / active[w,] for w in windows]),
            np.array([active[w,] for w in windows], dtype=float),
        )
        total = sum(inside.values()) / sum(active.values())
        # A median of nothing says little where people are few: a part of the mean stands in.
        usual = max(usual, 0.3 * total)
        for (w,), count in inside.items():
            others = active[w,] - count
            # People who came for this alone do not make more of it to be expected.
            expected = usual * others / max(1e-9, 1 - usual) if usual < 0.9 else active[w,]
            high = (count - expected) / sqrt(expected + 1) > RAID_SIGMA
            if count >= RAID_LEAST and count >= RAID_TIMES * expected and high:
                yield of_push & (window == w), push, float(count), float(expected)


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    """The weighted median."""
    order = np.argsort(values)
    reached = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(values[order][min(reached, len(values) - 1)])


def _people(actor: np.ndarray, cell: np.ndarray) -> dict[tuple, int]:
    """How many different actors each cell has."""
    found = np.unique(np.column_stack([cell, actor]), axis=0)
    cells, counts = np.unique(found[:, :-1], axis=0, return_counts=True)
    return {tuple(int(part) for part in c): int(n) for c, n in zip(cells, counts, strict=True)}


# Lockstep -----------------------------------------------------------------------------------


def _lockstep(acts: Acts) -> list[Group]:
    """Pairs that share rare cells too often to be chance, joined into groups.

    A shared cell (10 minutes, target, sign) is worth -log q nats, q being the share of all acts
    with that target and sign: being active at the same time proves nothing, agreeing on what is
    seldom said does, a little each time.
    """
    window = np.floor(acts.time / LOCKSTEP_WINDOW).astype(np.int64)
    pushes = np.column_stack([acts.target, acts.sign])
    kinds, kind = np.unique(pushes, axis=0, return_inverse=True)
    kind = kind.ravel()
    usual = np.bincount(kind, minlength=len(kinds)) / len(acts)
    worth = -np.log(usual)
    cells: dict[tuple[int, int], set[int]] = defaultdict(set)
    for actor, w, k in zip(acts.actor, window, kind, strict=True):
        if kinds[k][1]:
            cells[int(w), int(k)].add(int(actor))
    own_cells: dict[int, int] = defaultdict(int)
    for people in cells.values():
        for actor in people:
            own_cells[actor] += 1
    shared: dict[tuple[int, int], list] = {}
    for (_, k), people in cells.items():
        able = sorted(a for a in people if own_cells[a] >= LOCKSTEP_SHARED)
        if not 2 <= len(able) <= CELL_MOST:
            continue
        for i, one in enumerate(able):
            for two in able[i + 1 :]:
                known = shared.setdefault((one, two), [0, 0.0, set()])
                known[0] += 1
                known[1] += float(worth[k])
                known[2].add(k)
    n = len(own_cells)
    needed = log(max(2, n * (n - 1) / 2)) + LOCKSTEP_NATS
    parent: dict[int, int] = {}
    evidence: dict[int, set[int]] = defaultdict(set)

    def root(actor: int) -> int:
        while parent.setdefault(actor, actor) != actor:
            parent[actor] = parent[parent[actor]]
            actor = parent[actor]
        return actor

    for (one, two), (count, nats, ks) in shared.items():
        most = max(own_cells[one], own_cells[two])
        if count >= LOCKSTEP_SHARED and count >= LOCKSTEP_SHARE * most and nats >= needed:
            parent[root(one)] = root(two)
            evidence[one] |= ks
            evidence[two] |= ks
    together: dict[int, set[int]] = defaultdict(set)
    for actor in parent:
        together[root(actor)].add(actor)
    groups = []
    for actors in together.values():
        if len(actors) < GROUP_LEAST:
            continue
        ks = set().union(*(evidence[actor] for actor in actors))
        own = np.isin(acts.actor, list(actors))
        groups.append(
            Group("lockstep", frozenset(actors),
                  frozenset((int(kinds[k][0]), int(kinds[k][1])) for k in ks), 1.0,
                  float(acts.time[own].min()), float(acts.time[own].max()))
        )  # fmt: skip
    return groups
