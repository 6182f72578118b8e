"""The same figures by another route on crowd sets that carry annotators, and on a made-up one.

The sets are read where `../shared/data` lies beside the checkout; the made-up one is always there.
"""

from collections import defaultdict

import numpy as np
import pytest
from krippendorff import alpha as library_alpha
from sklearn.metrics import cohen_kappa_score

from annotation.quality import agreement, reliability
from annotation.quality.labels import labels_of
from tests.published import DATA, records


def made_up():
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 300)
    for n, value in enumerate(truth):
        for who in rng.permutation(12)[: rng.integers(1, 6)]:
            right = rng.random() < 0.45 + 0.04 * who
            yield n, f"p{who}", str(value if right else rng.integers(0, 3))


def pandalm():
    for n, row in enumerate(records("pandalm_testset/testset-v1.jsonl.gz")):
        for who in ("annotator1", "annotator2", "annotator3"):
            yield n, who, str(row[who])


def ukp():
    for row in records("ukp_convarg_crowd/UKPConvArg1-full.jsonl.gz"):
        for said in row["mTurkAssignments"]:
            yield row["id"], said["turkID"], said["value"]


def barzan():
    for row in records("gal_crowd_gold/BarzanMozafari.labels.jsonl.gz"):
        yield row["object"], row["worker"], row["label"]


def dices():
    for row in records("dices_safety/instances.jsonl.gz"):
        if row["file"] == "dices_350_crowdsourced.json":
            scores = row["annotations"]["safety"]["individual_human_scores"]
            yield from ((row["id"], who, said) for who, said in enumerate(scores))


SETS = {
    "made_up": (made_up, None),
    "pandalm_testset": (pandalm, "pandalm_testset"),
    "ukp_convarg_crowd": (ukp, "ukp_convarg_crowd"),
    "gal_crowd_gold": (barzan, "gal_crowd_gold"),
    "dices_safety": (dices, "dices_safety"),
}
PRESENT = [name for name, (_, folder) in SETS.items() if folder is None or (DATA / folder).exists()]


@pytest.fixture(scope="module", params=PRESENT)
def labels(request):
    return labels_of(SETS[request.param][0]())


def test_alpha_is_that_of_the_library_given_every_label(labels):
    # The other way in: a matrix of people by units instead of counts.
    matrix = np.full((len(labels.people), len(labels.units)), np.nan)
    matrix[labels.person, labels.unit] = labels.value
    theirs = library_alpha(reliability_data=matrix, level_of_measurement="nominal")
    found = agreement.alpha(labels)
    assert found.value == pytest.approx(theirs, abs=1e-12)
    assert found.low < found.value < found.high


def test_fleiss_is_that_of_its_formula(labels):
    table = labels.counts()
    sizes = table.sum(1)
    usual = np.bincount(sizes[sizes > 1]).argmax()
    table = table[sizes == usual].astype(float)
    share = table.sum(0) / table.sum()
    seen = ((table * (table - 1)).sum(1) / (usual * (usual - 1))).mean()
    chance = (share**2).sum()
    assert agreement.fleiss(labels).value == pytest.approx((seen - chance) / (1 - chance))


def test_cohen_of_the_busiest_couple_is_that_of_scikit_learn(labels):
    couple = max(agreement.cohen(labels), key=lambda c: c.kappa.units)
    said = defaultdict(dict)
    for unit, person, value in zip(labels.unit, labels.person, labels.value, strict=True):
        said[labels.people[person]][unit] = value
    one, two = said[couple.first], said[couple.second]
    shared = sorted(set(one) & set(two))
    theirs = cohen_kappa_score([one[u] for u in shared], [two[u] for u in shared])
    assert couple.kappa.units == len(shared)
    assert couple.kappa.value == pytest.approx(theirs)


def test_dawid_skene_is_a_plain_em_started_from_the_majority(labels):
    counts = labels.counts().astype(float)
    soft = counts / counts.sum(1, keepdims=True)
    size = len(labels.values)
    used = np.zeros((len(labels.people), size, 1), dtype=bool)
    used[labels.person, labels.value] = True
    for _ in range(12):
        confusion = np.zeros((len(labels.people), size, size))
        np.add.at(confusion, (labels.person, labels.value), soft[labels.unit])
        confusion = np.where(used, np.maximum(confusion, 1e-10), 0.0)
        confusion /= confusion.sum(1, keepdims=True)
        logs = np.log(np.where(used, confusion, 1.0))
        score = np.tile(np.log(soft.mean(0)), (len(labels.units), 1))
        np.add.at(score, labels.unit, logs[labels.person, labels.value])
        soft = np.exp(score - score.max(1, keepdims=True))
        soft /= soft.sum(1, keepdims=True)
    found = reliability.dawid_skene(labels, iterations=12, tolerance=-np.inf)
    assert found.soft == pytest.approx(soft, abs=1e-8)
