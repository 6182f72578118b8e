"""Statistics of quality: hand-computed numbers, identities, and the reference libraries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from krippendorff import alpha as library_alpha
from sklearn.metrics import cohen_kappa_score

from annotation.quality import agreement, rankings, spans
from annotation.quality.labels import labels_of

# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C: four observers,
# twelve units, with gaps.
OBSERVERS = {
    "A": [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    "C": [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
}
# Fleiss (1971), as worked through on Wikipedia: ten subjects, fourteen raters, five categories.
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


def observers():
    return labels_of(
        (n, who, value)
        for who, values in OBSERVERS.items()
        for n, value in enumerate(values)
        if value is not None
    )


def from_counts(table):
    return labels_of(
        (n, place, value)
        for n, row in enumerate(table)
        for place, value in enumerate(np.repeat(np.arange(len(row)), row))
    )


# Agreement ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "printed"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_gives_the_numbers_of_krippendorffs_own_example(level, printed):
    found = agreement.alpha(observers(), level)
    assert found.value == pytest.approx(printed, abs=5e-4)
    assert found.low < found.value < found.high
    assert found.units == 11  # the twelfth has one label


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_the_interval_resamples_is_the_librarys_alpha(level, data):
    size = data.draw(st.integers(2, 5))
    row = st.lists(st.integers(0, 4), min_size=size, max_size=size)
    table = np.array(data.draw(st.lists(row, min_size=2, max_size=12)))
    paired = table[table.sum(1) > 1]
    if (paired.sum(0) > 0).sum() < 2:
        return
    domain = list(range(size))
    own = agreement.alpha_of_patterns(table, np.ones((1, len(table))), level, domain)[0]
    theirs = library_alpha(value_counts=paired, value_domain=domain, level_of_measurement=level)
    assert own == pytest.approx(theirs, abs=1e-9)


def test_a_unit_drawn_twice_counts_as_two_units():
    table = np.array([[2, 1], [0, 3], [3, 0]])
    once = agreement.alpha_of_patterns(table, np.array([[2, 1, 1]]), "nominal", (0, 1))
    twice = np.concatenate([table, table[:1]])
    plain = agreement.alpha_of_patterns(twice, np.ones((1, 4)), "nominal", (0, 1))
    assert once[0] == pytest.approx(plain[0])


def test_perfect_agreement_is_one_and_what_is_undefined_is_none():
    perfect = labels_of((n, who, n % 2) for n in range(6) for who in "ab")
    assert agreement.alpha(perfect).value == 1.0
    assert agreement.observed(perfect).value == 1.0
    assert agreement.fleiss(perfect).value == 1.0
    assert agreement.cohen(perfect)[0].kappa.value == 1.0
    always_yes = labels_of((n, who, 1) for n in range(6) for who in "ab")
    for measure in (agreement.alpha, agreement.fleiss):
        assert measure(always_yes).value is None
    assert agreement.cohen(always_yes)[0].kappa.value is None
    assert agreement.observed(always_yes).value == 1.0
    alone = labels_of((n, "a", n % 2) for n in range(6))
    for measure in (agreement.alpha, agreement.fleiss, agreement.observed):
        assert measure(alone).value is None
    assert agreement.cohen(alone) == []


def test_nobody_has_judged_anything_is_no_number_and_no_error():
    nothing = labels_of([])
    for measure in (agreement.alpha, agreement.fleiss, agreement.observed):
        assert measure(nothing).value is None
    assert agreement.mean_kappa(agreement.cohen(nothing)).value is None


def test_fleiss_gives_the_number_of_the_worked_example():
    assert agreement.fleiss(from_counts(FLEISS)).value == pytest.approx(0.210, abs=5e-4)


def test_fleiss_takes_the_units_that_the_usual_number_of_people_judged():
    odd = [*FLEISS, [1, 1, 0, 0, 0]]
    assert agreement.fleiss(from_counts(odd)).value == pytest.approx(0.210, abs=5e-4)


def test_cohen_by_hand():
    # 35 of 50 equal; chance 0.5 x 0.6 + 0.5 x 0.4 = 0.5; so (0.7 - 0.5) / 0.5.
    table = np.array([[20.0, 5.0], [10.0, 15.0]])
    found = agreement.kappa_of(table)
    assert found.value == pytest.approx(0.4)
    assert found.low < 0.4 < found.high


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_cohen_is_that_of_scikit_learn(weights):
    rng = np.random.default_rng(3)
    one, two = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    two = np.where(rng.random(60) < 0.5, one, two)
    labels = labels_of(
        [(n, "a", int(v)) for n, v in enumerate(one)]
        + [(n, "b", int(v)) for n, v in enumerate(two)]
    )
    [couple] = agreement.cohen(labels, weights=weights)
    assert couple.kappa.value == pytest.approx(cohen_kappa_score(one, two, weights=weights))
    assert couple.kappa.units == 60


def test_two_who_share_too_little_are_not_compared():
    labels = labels_of((n, who, n % 2) for n in range(agreement.FEWEST_SHARED - 1) for who in "ab")
    assert agreement.cohen(labels) == []


def test_kendalls_tau_by_hand_and_for_a_ranking_turned_round():
    # One of six pairs of items is the other way round: (5 - 1) / 6.
    rows = {"task": {"a": [1, 2, 3, 4], "b": [1, 3, 2, 4]}}
    assert rankings.kendall_tau(rows).value == pytest.approx(4 / 6)
    turned = {"task": {"a": [1, 2, 3], "b": [3, 2, 1]}}
    assert rankings.kendall_tau(turned).value == pytest.approx(-1)
    tied = {"task": {"a": [1, 1, 1], "b": [3, 2, 1]}}
    assert rankings.kendall_tau(tied).value is None


def test_kendalls_w_by_its_own_formula():
    # Column sums 5, 6, 7, 12 around 7.5: S = 29; W = 12 x 29 / (9 x (64 - 4)).
    rows = {"task": {"a": [1, 2, 3, 4], "b": [2, 1, 3, 4], "c": [2, 3, 1, 4]}}
    assert rankings.kendall_w(rows).value == pytest.approx(12 * 29 / (9 * 60))
    same = {"task": {who: [1, 2, 3] for who in "abc"}}
    assert rankings.kendall_w(same).value == pytest.approx(1)


def test_with_two_people_w_is_the_mean_of_one_and_spearmans_rho():
    from scipy.stats import spearmanr

    one, two = [1, 2, 3, 4, 5], [2, 1, 5, 3, 4]
    rho = spearmanr(one, two).statistic
    w = rankings.kendall_w({"task": {"a": one, "b": two}}).value
    assert w == pytest.approx((1 + rho) / 2)


# Spans --------------------------------------------------------------------------------------


def test_span_f1_by_hand():
    # 0-10 against 5-15: five of ten and ten shared.
    one, two = [(0, 10, "wrong")], [(5, 15, "wrong")]
    assert spans.character_f1(one, two) == (10, 20)
    assert spans.exact_f1(one, two) == (0, 2)
    assert spans.token_f1(one, two, "aaaa bbbb cccc dddd") == (2, 4)
    assert spans.character_f1(one, [(5, 15, "other")]) == (0, 20)
    texts = {1: {"a": one, "b": two}, 2: {"a": [], "b": []}}
    assert spans.f1(texts).value == pytest.approx(0.5)


def test_two_who_mark_the_same_agree_wholly_and_two_who_mark_nothing_add_nothing():
    marks = [(0, 4, "x"), (6, 9, "y")]
    same = {n: {"a": marks, "b": marks} for n in range(3)}
    lengths = dict.fromkeys(same, 20)
    assert spans.f1(same).value == 1.0
    assert spans.character_alpha(same, lengths).value == 1.0
    assert spans.gamma(same, lengths).value == 1.0
    empty = {1: {"a": [], "b": []}}
    assert spans.f1(empty).value is None
    assert spans.character_alpha(empty, {1: 20}).value is None


def test_character_alpha_is_that_of_the_library_on_every_character():
    texts = {
        1: {"a": [(0, 5, "x")], "b": [(2, 7, "x")], "c": []},
        2: {"a": [(1, 3, "x"), (2, 6, "y")], "b": [], "c": [(0, 8, "x")]},
    }
    lengths = {1: 9, 2: 8}
    rows = []
    for key, people in texts.items():
        for marks in people.values():
            line = np.zeros(lengths[key])
            for start, end, _ in marks:
                line[start:end] = 1
            rows.append(line)
    matrix = np.hstack([np.array(rows[:3]), np.array(rows[3:])])
    theirs = library_alpha(reliability_data=matrix, level_of_measurement="nominal")
    assert spans.character_alpha(texts, lengths).value == pytest.approx(theirs)


def test_gamma_falls_from_one_towards_nothing_as_marks_drift_apart():
    def moved(by):
        drifted = [(10 + by, 20 + by, "x"), (50 + by, 60 + by, "x")]
        return {n: {"a": [(10, 20, "x"), (50, 60, "x")], "b": drifted} for n in range(5)}

    found = [spans.gamma(moved(by), dict.fromkeys(range(5), 100)).value for by in (0, 3, 8, 25)]
    assert found[0] == 1.0
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.2
