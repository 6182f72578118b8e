"""Who said what of which unit, in long form: the shape every statistic here reads."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np


@dataclass(frozen=True)
class Labels:
    """n labels: label k says that `people[person[k]]` gave `values[value[k]]` to
    `units[unit[k]]`. The three index arrays are `(n,)`; `values` are sorted.
    """

    unit: np.ndarray
    person: np.ndarray
    value: np.ndarray
    units: tuple
    people: tuple
    values: tuple

    def __len__(self) -> int:
        return len(self.unit)

    def counts(self) -> np.ndarray:
        """How often each unit was given each value, `(units, values)`."""
        table = np.zeros((len(self.units), len(self.values)), dtype=np.int64)
        np.add.at(table, (self.unit, self.value), 1)
        return table

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Every two labels of one unit, as two index arrays into the labels."""
        order = np.argsort(self.unit, kind="stable")
        sizes = np.bincount(self.unit, minlength=len(self.units))
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        first, second = [], []
        for size in np.unique(sizes[sizes > 1]):
            left, right = np.array(list(combinations(range(size), 2))).T
            begin = starts[sizes == size][:, None]
            first.append(order[begin + left].ravel())
            second.append(order[begin + right].ravel())
        if not first:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        return np.concatenate(first), np.concatenate(second)

    def only(self, keep: np.ndarray) -> Labels:
        """The labels where `keep` `(n,)` is True, with units, people and values numbered anew."""
        return labels_of(
            (self.units[u], self.people[p], self.values[v])
            for u, p, v in zip(self.unit[keep], self.person[keep], self.value[keep], strict=True)
        )


def labels_of(triples: Iterable[tuple[Hashable, Hashable, Hashable]]) -> Labels:
    """Labels of (unit, person, value) triples. Values must be comparable with each other."""
    rows = list(triples)
    units, unit = _numbered(row[0] for row in rows)
    people, person = _numbered(row[1] for row in rows)
    values = tuple(sorted({row[2] for row in rows}))
    place = {value: n for n, value in enumerate(values)}
    value = np.array([place[row[2]] for row in rows], dtype=np.int64)
    return Labels(unit, person, value, units, people, values)


def _numbered(names: Iterable[Hashable]) -> tuple[tuple, np.ndarray]:
    place: dict[Hashable, int] = {}
    index = [place.setdefault(name, len(place)) for name in names]
    return tuple(place), np.array(index, dtype=np.int64)
