"""`crowd`: our figures beside the reference libraries' on published crowd sets, as a table."""

import time

import numpy as np

from annotation.quality import agreement, rankings, reliability, spans
from annotation.quality.labels import Labels, labels_of
from tests.annotation import crowd_sets, references


def run(arguments) -> list[dict]:
    """Print the table; returns its rows. What libraries take long for is asked of them once."""
    rows = [row for name in crowd_sets.PRESENT if name != "made_up" for row in _labels(name)]
    if "wmt23_sxs_mqm_ende" in crowd_sets.PRESENT:
        rows += _wmt()
    if "gal_crowd_gold" in crowd_sets.PRESENT:
        rows += _against_gold()
    print("| set | statistic | ours | reference | by | seconds, ours / theirs |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['set']} | {row['statistic']} | {row['ours']:.6f} | {row['reference']:.6f} "
            f"| {row['by']} | {row['seconds']:.2f} / {row['their_seconds']:.2f} |"
        )
    return rows


def _row(name: str, statistic: str, by: str, ours, theirs) -> dict:
    began = time.perf_counter()
    own = ours()
    middle = time.perf_counter()
    reference = theirs()
    return {
        "set": name,
        "statistic": statistic,
        "by": by,
        "ours": float(own),
        "reference": float(reference),
        "seconds": middle - began,
        "their_seconds": time.perf_counter() - middle,
    }


def _labels(name: str):
    labels = labels_of(crowd_sets.SETS[name][0]())
    about = f"{name} ({len(labels):,} labels, {len(labels.people)} people)"
    yield _row(
        about,
        "Krippendorff's alpha",
        "krippendorff",
        lambda: agreement.alpha(labels).value,
        lambda: references.alpha(labels),
    )
    yield _row(
        about,
        "Fleiss' kappa",
        "statsmodels",
        lambda: agreement.fleiss(labels).value,
        lambda: references.fleiss(labels),
    )
    couple = max(agreement.cohen(labels), key=lambda c: c.kappa.units)
    yield _row(
        about,
        f"Cohen's kappa, {couple.kappa.units} shared",
        "statsmodels",
        lambda: agreement.cohen(labels) and couple.kappa.value,
        lambda: references.cohen(labels, couple.first, couple.second).kappa,
    )
    yield _soft(
        about,
        "Dawid-Skene, mean of the likeliest",
        labels,
        reliability.dawid_skene,
        references.dawid_skene,
    )
    ordered = references.in_order_of_appearance(labels.only(labels.unit < 1000))
    yield _soft(
        about,
        "MACE, the same of 1,000 units",
        ordered,
        lambda some: reliability.mace(some, restarts=1),
        references.mace,
    )


def _soft(about: str, statistic: str, labels: Labels, ours, theirs) -> dict:
    return _row(
        about,
        statistic,
        "crowd-kit",
        lambda: ours(labels).soft.max(1).mean(),
        lambda: theirs(labels).max(1).mean(),
    )


def _wmt():
    name = "wmt23_sxs_mqm_ende (3 raters)"
    places = crowd_sets.wmt_rankings()
    marks, lengths = crowd_sets.wmt_marks()
    yield _row(
        name,
        "Kendall's tau-b, 10 systems a segment",
        "scipy",
        lambda: rankings.kendall_tau(places).value,
        lambda: references.tau(places),
    )
    yield _row(
        name,
        "Kendall's W",
        "scipy (Friedman)",
        lambda: rankings.kendall_w(places).value,
        lambda: references.concordance(places),
    )
    yield _row(
        name,
        "alpha of marked characters",
        "krippendorff",
        lambda: spans.character_alpha(marks, lengths).value,
        lambda: references.characters(marks, lengths),
    )


def _against_gold():
    """Accuracy with known truth: what the soft labels are for."""
    for name, read in (("BarzanMozafari", crowd_sets.barzan), ("AdultContent2", crowd_sets.adult)):
        labels, gold = labels_of(read()), crowd_sets.gold(name)
        known = np.array([n for n, unit in enumerate(labels.units) if unit in gold])
        truth = np.array([gold[labels.units[n]] for n in known])

        def right(soft: np.ndarray, known=known, truth=truth, labels=labels) -> float:
            said = np.array(labels.values)[soft[known].argmax(1)]
            return float(np.mean(said == truth))

        about = f"gal_crowd_gold, {name} ({len(labels):,} labels)"
        yield _row(
            about,
            "majority vote, right against gold",
            "a count",
            lambda labels=labels, right=right: right(reliability.majority(labels).soft),
            lambda labels=labels, right=right: right(labels.counts()),
        )
        yield _row(
            about,
            "Dawid-Skene, right against gold",
            "crowd-kit",
            lambda labels=labels, right=right: right(reliability.dawid_skene(labels).soft),
            lambda labels=labels, right=right: right(references.dawid_skene(labels)),
        )
