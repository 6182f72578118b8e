"""The same statistics by the reference libraries, for tests and for the table of `make bench`."""

import warnings

import numpy as np
import pandas as pd
from krippendorff import alpha as krippendorff_alpha
from scipy.stats import friedmanchisquare, kendalltau
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from annotation.quality.labels import Labels, labels_of

warnings.filterwarnings("ignore", module="crowdkit")


def alpha(labels: Labels, level: str = "nominal") -> float:
    """krippendorff, given a matrix of people by units instead of counts."""
    matrix = np.full((len(labels.people), len(labels.units)), np.nan)
    values = np.arange(len(labels.values)) if level != "interval" else np.array(labels.values)
    matrix[labels.person, labels.unit] = values[labels.value]
    return float(krippendorff_alpha(reliability_data=matrix, level_of_measurement=level))


def fleiss(labels: Labels) -> float:
    """statsmodels, over the units that the usual number of people judged."""
    table = labels.counts()
    sizes = table.sum(1)
    usual = np.bincount(sizes[sizes > 1]).argmax()
    return float(fleiss_kappa(table[sizes == usual]))


def cohen(labels: Labels, first, second, weights: str | None = None):
    """statsmodels: the kappa of two people with its interval."""
    size = len(labels.values)
    said = [
        dict(zip(labels.unit[rows], labels.value[rows], strict=True))
        for rows in (labels.person == labels.people.index(who) for who in (first, second))
    ]
    table = np.zeros((size, size))
    for unit in set(said[0]) & set(said[1]):
        table[said[0][unit], said[1][unit]] += 1
    return cohens_kappa(table, wt=weights)


def tau(rankings: dict) -> float:
    """scipy: the mean over units of the mean over pairs of people of tau-b."""
    means = []
    for places in rankings.values():
        people = list(places.values())
        found = [
            kendalltau(one, two, variant="b").statistic
            for n, one in enumerate(people)
            for two in people[n + 1 :]
        ]
        found = [value for value in found if np.isfinite(value)]
        if found:
            means.append(np.mean(found))
    return float(np.mean(means))


def concordance(rankings: dict) -> float:
    """scipy's Friedman test: W = chi2 / (m (n - 1)), the mean over units."""
    found = []
    for places in rankings.values():
        table = np.array(list(places.values()), dtype=float)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chi2 = friedmanchisquare(*table.T).statistic
        if np.isfinite(chi2):
            found.append(chi2 / (table.shape[0] * (table.shape[1] - 1)))
    return float(np.mean(found))


def characters(marks: dict, lengths: dict) -> float:
    """krippendorff on every character of every text, marked or not."""
    columns = []
    for key, people in marks.items():
        lines = np.zeros((len(people), lengths[key]))
        for line, own in zip(lines, people.values(), strict=True):
            for start, end, _ in own:
                line[start:end] = 1
        columns.append(lines)
    most = max(len(lines) for lines in columns)
    columns = [np.pad(c, ((0, most - len(c)), (0, 0)), constant_values=np.nan) for c in columns]
    return float(
        krippendorff_alpha(reliability_data=np.hstack(columns), level_of_measurement="nominal")
    )


def in_order_of_appearance(labels: Labels) -> Labels:
    """The labels with values numbered as they first appear: crowd-kit's MACE mixes them up
    otherwise, since it reads its own table in sorted order."""
    place: dict = {}
    for value in labels.value:
        place.setdefault(int(value), len(place))
    rows = zip(labels.unit, labels.person, labels.value, strict=True)
    return labels_of((u, p, place[int(v)]) for u, p, v in rows)


def dawid_skene(labels: Labels) -> np.ndarray:
    """crowd-kit: the soft labels `(units, values)`."""
    from crowdkit.aggregation import DawidSkene

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return _soft(DawidSkene(n_iter=100, tol=1e-5).fit(_frame(labels)), labels)


def mace(labels: Labels) -> np.ndarray:
    """crowd-kit, one start: the soft labels `(units, values)`."""
    from crowdkit.aggregation import MACE

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        model = MACE(n_restarts=1, random_state=0)
        model.fit(_frame(labels))
    return _soft(model, labels)


def _frame(labels: Labels) -> pd.DataFrame:
    return pd.DataFrame({"task": labels.unit, "worker": labels.person, "label": labels.value})


def _soft(model, labels: Labels) -> np.ndarray:
    found = model.probas_.reindex(
        index=range(len(labels.units)), columns=range(len(labels.values)), fill_value=0.0
    ).to_numpy(dtype=float)
    return found / found.sum(1, keepdims=True)
