"""How far people agree, beyond chance, with intervals.

Every measure comes as an `Estimate`: the value, a 95 % interval where one can be had, and how many
units and pairs of labels it rests on. What is undefined (nobody judged the same thing, or only one
value was ever used) is None, never 0 or 1.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .labels import Labels

DRAWS = 400
Z = 1.959963984540054  # of a 95 % interval
FEWEST_SHARED = 5  # units two people must share before their kappa is stated


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, the units and the pairs of labels behind it."""

    value: float | None
    low: float | None = None
    high: float | None = None
    units: int = 0
    pairs: int = 0

    @classmethod
    def of(cls, value: float, interval=(None, None), units: int = 0, pairs: int = 0) -> Estimate:
        """With everything that is not finite turned into None."""
        low, high = interval
        return cls(_finite(value), _finite(low), _finite(high), units, pairs)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


# Agreement of labels ------------------------------------------------------------------------


def alpha(labels: Labels, level: str = "nominal") -> Estimate:
    """Krippendorff's alpha = 1 - D_o / D_e (Krippendorff 2019, ch. 12), by the `krippendorff`
    library; the interval is a bootstrap over units.

    `level` is nominal, ordinal or interval; for the last the values must be numbers. Labels may be
    missing in any pattern; units with one label count for nothing.
    """
    table = labels.counts()
    paired = table[table.sum(1) > 1]
    pairs = int((paired.sum(1) * (paired.sum(1) - 1) // 2).sum())
    if len(paired) == 0 or (paired.sum(0) > 0).sum() < 2:
        return Estimate(None, units=len(paired), pairs=pairs)
    import krippendorff

    domain = list(labels.values) if level == "interval" else list(range(len(labels.values)))
    value = krippendorff.alpha(value_counts=paired, value_domain=domain, level_of_measurement=level)
    interval = _interval(paired, level, domain) if len(paired) > 1 else (None, None)
    return Estimate.of(value, interval, len(paired), pairs)


def _interval(table: np.ndarray, level: str, domain: Sequence[float]) -> tuple[float, float]:
    """Percentile interval of alpha over resampled units.

    Units with the same counts are one pattern, so a draw is a draw of how often each pattern came;
    the cost does not grow with the units.
    """
    patterns, often = np.unique(table, axis=0, return_counts=True)
    rng = np.random.default_rng(0)
    draws = rng.multinomial(often.sum(), often / often.sum(), size=DRAWS)
    return _percentiles(alpha_of_patterns(patterns, draws, level, domain))


def alpha_of_patterns(
    patterns: np.ndarray, times: np.ndarray, level: str, domain: Sequence[float]
) -> np.ndarray:
    """Alpha of each row of `times` `(draws, patterns)`, how often each row of counts in
    `patterns` `(patterns, values)` occurs; NaN where it is undefined.
    """
    counts = patterns.astype(float)
    people = counts.sum(1)
    paired = people > 1
    counts, people, times = counts[paired], people[paired], np.asarray(times)[:, paired]
    # Coincidences of each pattern: ordered pairs of values within a unit, over its people less one.
    size = counts.shape[1]
    within = np.einsum("ua,ub->uab", counts, counts)
    within[:, np.arange(size), np.arange(size)] -= counts
    within /= (people - 1)[:, None, None]
    observed = (times @ within.reshape(len(counts), -1)).reshape(-1, size, size)
    margins = observed.sum(2)
    total = margins.sum(1)
    gaps = _gaps(margins, level, np.asarray(domain))
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = (observed * gaps).sum((1, 2)) / total
        chance = np.einsum("da,db,dab->d", margins, margins, gaps) / (total * (total - 1))
        return np.where(chance > 0, 1 - seen / chance, np.nan)


def _gaps(margins: np.ndarray, level: str, domain: np.ndarray) -> np.ndarray:
    """Squared differences of values, `(draws, values, values)`; ordinal ones depend on how often
    each value was used."""
    draws, size = margins.shape
    if level == "nominal":
        return np.broadcast_to(1.0 - np.eye(size), (draws, size, size))
    if level == "interval":
        gap = (domain[:, None] - domain[None, :]) ** 2
        return np.broadcast_to(gap.astype(float), (draws, size, size))
    if level != "ordinal":
        raise ValueError(f"level must be nominal, ordinal or interval, not {level!r}")
    middle = np.cumsum(margins, axis=1) - margins / 2
    return (middle[:, :, None] - middle[:, None, :]) ** 2


def observed(labels: Labels) -> Estimate:
    """The share of pairs of labels of one unit that are equal, each unit weighing the same."""
    table = labels.counts()
    people = table.sum(1)
    table, people = table[people > 1], people[people > 1]
    if len(table) == 0:
        return Estimate(None)
    same = (table * (table - 1)).sum(1) / (people * (people - 1))
    pairs = int((people * (people - 1) // 2).sum())
    return Estimate.of(float(same.mean()), bootstrap_mean(same), len(table), pairs)


def fleiss(labels: Labels) -> Estimate:
    """Fleiss' kappa (1971) over the units that the usual number of people judged, since it wants
    as many labels on each; the interval is a bootstrap over units."""
    table = labels.counts()
    people = table.sum(1)
    if not (people > 1).any():
        return Estimate(None)
    usual = int(np.bincount(people[people > 1]).argmax())
    table = table[people == usual]
    pairs = len(table) * usual * (usual - 1) // 2
    if (table.sum(0) > 0).sum() < 2:
        return Estimate(None, units=len(table), pairs=pairs)
    patterns, often = np.unique(table, axis=0, return_counts=True)
    times = np.random.default_rng(0).multinomial(len(table), often / len(table), size=DRAWS)
    interval = _percentiles(_fleiss_of(patterns, times))
    value = float(_fleiss_of(patterns, often[None, :])[0])
    return Estimate.of(value, interval, len(table), pairs)


def _fleiss_of(patterns: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Fleiss' kappa of each row of `times` `(draws, patterns)`, how often each row of counts
    occurs; every row of `patterns` has the same sum."""
    people, units = patterns[0].sum(), times.sum(1)
    same = (patterns * (patterns - 1)).sum(1) / (people * (people - 1))
    shares = times @ patterns / (units[:, None] * people)
    seen, chance = times @ same / units, (shares**2).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (seen - chance) / (1 - chance)


@dataclass(frozen=True)
class Couple:
    """Cohen's kappa of two people."""

    first: object
    second: object
    kappa: Estimate


def cohen(labels: Labels, *, weights: str | None = None, most_people: int = 40) -> list[Couple]:
    """Cohen's kappa of every two people who share at least FEWEST_SHARED units, with its
    large-sample interval. `weights` "linear" or "quadratic" for ordered values. Of more than
    `most_people` people those with the most labels are compared.
    """
    busiest = np.argsort(-np.bincount(labels.person, minlength=len(labels.people)), kind="stable")
    allowed = np.zeros(len(labels.people), dtype=bool)
    allowed[busiest[:most_people]] = True
    i, j = labels.pairs()
    both = allowed[labels.person[i]] & allowed[labels.person[j]]
    i, j = i[both], j[both]
    swap = labels.person[i] > labels.person[j]
    i, j = np.where(swap, j, i), np.where(swap, i, j)
    size = len(labels.values)
    key = labels.person[i] * len(labels.people) + labels.person[j]
    order = np.argsort(key, kind="stable")
    cells = (labels.value[i] * size + labels.value[j])[order]
    couples, starts = np.unique(key[order], return_index=True)
    if not len(couples):
        return []
    rows = np.repeat(np.arange(len(couples)), np.diff([*starts, len(cells)]))
    tables = np.bincount(rows * size * size + cells, minlength=len(couples) * size * size)
    tables = tables.reshape(-1, size, size).astype(float)
    enough = tables.sum((1, 2)) >= FEWEST_SHARED
    first, second = np.divmod(couples[enough].astype(int), len(labels.people))
    return [
        Couple(labels.people[one], labels.people[two], kappa)
        for one, two, kappa in zip(first, second, kappas_of(tables[enough], weights), strict=True)
    ]


def kappa_of(table: np.ndarray, weights: str | None = None) -> Estimate:
    """Cohen's kappa of a square table of counts; None where both used one value only."""
    return kappas_of(np.asarray(table, dtype=float)[None], weights)[0]


def kappas_of(tables: np.ndarray, weights: str | None = None) -> list[Estimate]:
    """Cohen's kappa (1960), weighted (1968) for `weights` "linear" or "quadratic", of each of
    `(couples, values, values)` counts, with the large-sample variance of Fleiss, Cohen and
    Everitt (1969)."""
    size = tables.shape[1]
    place = np.arange(size)
    gap = np.abs(place[:, None] - place[None, :]) / max(size - 1, 1)
    w = {None: np.eye(size), "linear": 1 - gap, "quadratic": 1 - gap**2}[weights]
    n = tables.sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = tables / n[:, None, None]
        row, column = p.sum(2), p.sum(1)
        chance = np.einsum("ci,ij,cj->c", row, w, column)
        value = ((p * w).sum((1, 2)) - chance) / (1 - chance)
        beside = (column @ w.T)[:, :, None] + (row @ w)[:, None, :]
        lost = (1 - value)[:, None, None]
        spread = (p * (w - beside * lost) ** 2).sum((1, 2)) - (value - chance * (1 - value)) ** 2
        error = np.sqrt(np.maximum(spread, 0) / n) / (1 - chance)
    used = ((tables.sum(1) + tables.sum(2)) > 0).sum(1)
    found = []
    for k in range(len(tables)):
        shared = int(n[k])
        if used[k] < 2:
            found.append(Estimate(None, units=shared, pairs=shared))
            continue
        low, high = value[k] - Z * error[k], value[k] + Z * error[k]
        interval = (max(-1.0, low), min(1.0, high)) if math.isfinite(low) else (None, None)
        found.append(Estimate.of(value[k], interval, shared, shared))
    return found


def mean_kappa(couples: Sequence[Couple]) -> Estimate:
    """Cohen's kappas of couples averaged, each by the units it rests on (Light 1971); the interval
    is a bootstrap over couples."""
    known = [c.kappa for c in couples if c.kappa.value is not None]
    if not known:
        return Estimate(None)
    values = np.array([k.value for k in known])
    units = np.array([k.units for k in known], dtype=float)
    interval = bootstrap_mean(values, units) if len(known) > 2 else (None, None)
    pairs = int(units.sum())
    return Estimate.of(float((values * units).sum() / units.sum()), interval, len(known), pairs)


# Intervals ----------------------------------------------------------------------------------


def bootstrap_mean(values: np.ndarray, weights: np.ndarray | None = None) -> tuple:
    """95 % percentile interval of a (weighted) mean; (None, None) for fewer than two values."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return None, None
    weights = np.ones_like(values) if weights is None else np.asarray(weights, dtype=float)
    if len(values) > 20_000:  # the normal interval is as good, and costs nothing
        mean = (values * weights).sum() / weights.sum()
        spread = np.sqrt((weights**2 * (values - mean) ** 2).sum()) / weights.sum()
        return mean - 1.96 * spread, mean + 1.96 * spread
    rng = np.random.default_rng(0)
    means = []
    step = max(1, 1_000_000 // len(values))
    for begin in range(0, DRAWS, step):
        size = (min(step, DRAWS - begin), len(values))
        pick = rng.integers(0, len(values), size=size)
        means.append((values[pick] * weights[pick]).sum(1) / weights[pick].sum(1))
    means = np.concatenate(means)
    return _percentiles(means)


def _percentiles(draws: np.ndarray) -> tuple:
    draws = np.asarray(draws, dtype=float)
    draws = draws[np.isfinite(draws)]
    if len(draws) < 2:
        return None, None
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def by_unit(rows) -> dict:
    """(unit, person, value) rows as `{unit: {person: value}}`."""
    found: dict = defaultdict(dict)
    for unit, person, value in rows:
        found[unit][person] = value
    return dict(found)


def each_person(rows) -> dict:
    """How far each person agrees with the others, as an `Estimate` a person.

    `rows` are (unit, first, second, score in [0, 1] or None) of every two people on every unit;
    a person's value is the mean over their units of the mean over the others there.
    """
    found: dict = defaultdict(dict)
    for unit, first, second, value in rows:
        if value is not None:
            for person in (first, second):
                total, n = found[person].get(unit, (0.0, 0))
                found[person][unit] = (total + value, n + 1)
    estimates = {}
    for person, units in found.items():
        sums = np.array(list(units.values()))
        means, pairs = sums[:, 0] / sums[:, 1], int(sums[:, 1].sum())
        estimates[person] = Estimate.of(means.mean(), bootstrap_mean(means), len(means), pairs)
    return estimates


def pair_scores(labels: Labels, *, ordered: bool = False, most: int = 300_000):
    """(unit, first, second, score) of every two labels of a unit: 1 for equal, else 0 or, for
    `ordered` values, 1 less their distance over the range. At most `most` rows."""
    i, j = labels.pairs()
    i, j = i[:most], j[:most]
    if ordered:
        reach = max(len(labels.values) - 1, 1)
        scores = 1 - np.abs(labels.value[i] - labels.value[j]) / reach
    else:
        scores = (labels.value[i] == labels.value[j]).astype(float)
    names = labels.people
    for a, b, value in zip(i, j, scores, strict=True):
        first, second = names[labels.person[a]], names[labels.person[b]]
        yield int(labels.unit[a]), first, second, float(value)
