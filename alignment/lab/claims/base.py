"""What a claim is: a configuration, a run for one seed, and the findings judged over all seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

Record = dict[str, Any]
"""What a run of one seed measured: numbers and lists, as JSON holds them."""


@dataclass(frozen=True)
class Finding:
    """A number measured once a seed, and the bound its 95 % interval must keep for the claim.

    Attributes:
        what: the measure in words.
        values: one a seed.
        above, below: the whole interval must lie above, or below; neither where it is only told.
    """

    what: str
    values: Sequence[float]
    above: float | None = None
    below: float | None = None

    @property
    def interval(self) -> tuple[float, float, float]:
        """Mean and 95 % t interval over the seeds."""
        return t_interval(self.values)

    @property
    def judged(self) -> bool:
        """Whether the claim depends on it."""
        return self.above is not None or self.below is not None

    @property
    def holds(self) -> bool:
        """Whether the interval lies where the claim says."""
        _, low, high = self.interval
        over = self.above is None or low > self.above
        return bool(over and (self.below is None or high < self.below))


@dataclass(frozen=True)
class Claim:
    """A claim of the method catalogue, and how the lab tries it.

    Attributes:
        name: of the command line and of its files.
        rows: of the method catalogue.
        says: the claim, in a sentence.
        config: a frozen dataclass; together with the code it decides the results.
        measure: (config, seed) to a record.
        judge: (config, records) to findings.
        draw: (axes, config, records) draws the plot.
        tiny: changes to the configuration under which it runs in a second, for the tests.
        note: what a reader of the result must know.
    """

    name: str
    rows: str
    says: str
    config: Any
    measure: Callable[[Any, int], Record]
    judge: Callable[[Any, Sequence[Record]], list[Finding]]
    draw: Callable[[Any, Any, Sequence[Record]], None]
    tiny: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    def settings(self) -> dict[str, Any]:
        """The configuration as JSON."""
        return asdict(self.config)


def verdict(findings: Sequence[Finding]) -> str:
    """`reproduced` when every judged finding holds, `in part` when some do, else `not
    reproduced`.
    """
    held = [f.holds for f in findings if f.judged]
    if not held:
        raise ValueError("a claim needs at least one finding with a bound")
    return "reproduced" if all(held) else "in part" if any(held) else "not reproduced"


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean and Student's t interval of a few independent values; the whole line for one of them."""
    from scipy.stats import t

    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return float(x.mean()), float("-inf"), float("inf")
    half = float(t.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return float(x.mean()), float(x.mean()) - half, float(x.mean()) + half


def column(records: Sequence[Record], *path: str) -> np.ndarray:
    """A value, or a list of values, of every record."""
    out = []
    for record in records:
        value: Any = record
        for key in path:
            value = value[key]
        out.append(value)
    return np.array(out, dtype=np.float64)


COLOURS = ("#0b6e4f", "#b3541e", "#3b5ba5", "#8a3f8f", "#6b6b6b", "#b08900")
MARKERS = ("o", "s", "^", "D", "v", "P")


def band(axes, x: Sequence[float], rows: np.ndarray, name: str, place: int) -> None:
    """A curve, mean over seeds of `(seeds, points)`, with its 95 % band; NaN points are left out
    where any seed has none.
    """
    rows = np.asarray(rows, dtype=np.float64)
    keep = np.isfinite(rows).all(0)
    if not keep.any():
        return
    points = [t_interval(c) for c in rows[:, keep].T]
    mean, low, high = np.array(points).T
    x = np.asarray(x, dtype=np.float64)[keep]
    colour = COLOURS[place % len(COLOURS)]
    axes.plot(x, mean, color=colour, marker=MARKERS[place % len(MARKERS)], ms=3.5, label=name)
    if np.isfinite(low).all():
        axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)


def gained(rows: np.ndarray) -> np.ndarray:
    """Curves `(seeds, points)` above each one's first point: seeds differ in where they start."""
    return rows - rows[:, :1]


def points(axes, names: Sequence[str], rows: Sequence[Sequence[float]]) -> None:
    """One mean with its interval for each of several arms, the seeds as small dots."""
    for place, values in enumerate(rows):
        mean, low, high = t_interval(values)
        colour = COLOURS[place % len(COLOURS)]
        axes.scatter([place] * len(values), values, s=9, color=colour, alpha=0.35, linewidth=0)
        error = None if not np.isfinite(low) else [[mean - low], [high - mean]]
        axes.errorbar([place], [mean], yerr=error, fmt="o", color=colour, capsize=4)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_xlim(-0.6, len(names) - 0.4)
