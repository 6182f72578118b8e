"""Our figures beside the reference libraries', on crowd sets that carry annotators and on a
made-up one.

The sets are read where `../shared/data` lies beside the checkout; the made-up one is always there.
"""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from annotation.quality import agreement, rankings, reliability, spans
from annotation.quality.labels import labels_of
from tests.annotation import crowd_sets, references
from tests.annotation.crowd_sets import PRESENT, SETS

HAS_WMT = ["wmt23_sxs_mqm_ende"] if "wmt23_sxs_mqm_ende" in PRESENT else []


@pytest.fixture(scope="module", params=PRESENT)
def labels(request):
    return labels_of(SETS[request.param][0]())


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_alpha_is_that_of_krippendorff_given_every_label(labels, level):
    found = agreement.alpha(labels, level)
    assert found.value == pytest.approx(references.alpha(labels, level), abs=1e-12)
    assert found.low < found.value < found.high


def test_fleiss_is_that_of_statsmodels(labels):
    found = agreement.fleiss(labels)
    assert found.value == pytest.approx(references.fleiss(labels), abs=1e-12)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("weights", [None, "quadratic"])
def test_cohen_of_the_busiest_couples_is_that_of_statsmodels_and_scikit_learn(labels, weights):
    couples = sorted(agreement.cohen(labels, weights=weights), key=lambda c: -c.kappa.units)[:3]
    assert couples
    for couple in couples:
        theirs = references.cohen(labels, couple.first, couple.second, weights)
        assert couple.kappa.value == pytest.approx(theirs.kappa, abs=1e-12)
        assert couple.kappa.low == pytest.approx(max(-1, theirs.kappa_low), abs=1e-9)
        assert couple.kappa.high == pytest.approx(min(1, theirs.kappa_upp), abs=1e-9)
    said = [
        dict(zip(labels.unit[rows], labels.value[rows], strict=True))
        for rows in (labels.person == labels.people.index(c) for c in (couple.first, couple.second))
    ]
    shared = sorted(set(said[0]) & set(said[1]))
    lists = [[one[unit] for unit in shared] for one in said]
    every = list(range(len(labels.values)))
    assert couple.kappa.value == pytest.approx(
        cohen_kappa_score(*lists, weights=weights, labels=every)
    )


def test_dawid_skene_is_crowd_kits(labels):
    found = reliability.dawid_skene(labels)
    assert found.method == "dawid-skene"
    assert found.soft == pytest.approx(references.dawid_skene(labels), abs=1e-8)


def test_mace_is_crowd_kits_where_labels_appear_in_order(labels):
    few = labels.only(labels.unit < 400)  # crowd-kit takes a minute for all of some sets
    ordered = references.in_order_of_appearance(few)
    found = reliability.mace(ordered, restarts=1)
    assert found.soft == pytest.approx(references.mace(ordered), abs=1e-7)


@pytest.mark.parametrize("name", HAS_WMT)
def test_rankings_and_marks_of_three_raters_are_those_of_scipy_and_krippendorff(name):
    places = crowd_sets.wmt_rankings()
    assert rankings.kendall_tau(places).value == pytest.approx(references.tau(places))
    assert rankings.kendall_w(places).value == pytest.approx(references.concordance(places))
    marks, lengths = crowd_sets.wmt_marks()
    found = spans.character_alpha(marks, lengths)
    assert found.value == pytest.approx(references.characters(marks, lengths), abs=1e-9)
    assert found.low < found.value < found.high


def test_tied_and_uneven_rankings_are_those_of_scipy():
    rng = np.random.default_rng(2)
    places = {
        n: {who: rng.integers(1, 4, 5).tolist() for who in range(rng.integers(2, 5))}
        for n in range(60)
    }
    assert rankings.kendall_tau(places).value == pytest.approx(references.tau(places))
    assert rankings.kendall_w(places).value == pytest.approx(references.concordance(places))
