"""Habits, reliability, leaderboards and gold: by hand, by identity, beside other libraries."""

from itertools import combinations

import choix
import numpy as np
import pytest

from annotation.quality import bias, gold, reliability
from annotation.quality.labels import labels_of

# Habits -------------------------------------------------------------------------------------


def test_a_share_comes_with_wilsons_interval():
    found = bias.share(8, 10)
    # Wilson (1927) by hand with z = 1.95996: (p + z2/2n -+ z sqrt(p q/n + z2/4n2)) / (1 + z2/n)
    assert found.low == pytest.approx(0.4902, abs=1e-4)
    assert found.high == pytest.approx(0.9433, abs=1e-4)
    assert not bias.share(6, 10).is_off
    assert bias.share(60, 80).is_off
    assert not bias.share(0, 0).is_off


def test_someone_who_takes_what_comes_first_is_found_and_a_fair_judge_is_not():
    assert bias.position([True] * 36 + [False] * 4).is_off
    assert not bias.position([True, False] * 20).is_off


def test_length_bias_is_measured_against_everyone_elses_taste():
    longer = bias.length([9] * 30 + [3] * 10, [5] * 40)
    assert longer.value == pytest.approx(0.75)
    assert longer.is_off
    assert not bias.length([9] * 30 + [3] * 10, [5] * 40, expected=0.75).is_off
    assert bias.length([5], [5]).n == 0


def test_someone_ten_times_as_fast_is_an_outlier_and_one_slow_minute_is_not():
    rng = np.random.default_rng(0)
    people = {f"p{n}": list(rng.lognormal(3.0 + 0.1 * n, 0.4, 40)) for n in range(6)}
    people["p0"].append(4000.0)
    found = bias.speeds(people | {"hasty": [1.5] * 40})
    assert found["hasty"].is_off
    assert found["hasty"].z < -bias.OUTLIER
    assert found["hasty"].rushed == 1.0
    assert not any(speed.is_off for name, speed in found.items() if name != "hasty")
    assert found["p0"].low < found["p0"].median < found["p0"].high


# Reliability --------------------------------------------------------------------------------


def crowd(*, honest=7, adversaries=0, units=400, right=0.75, seed=0):
    """Everyone labels every unit, with the truth; adversaries say the opposite as often."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, units)
    rows = []
    for who in range(honest + adversaries):
        correct = rng.random(units) < right
        value = np.where(correct, truth, 1 - truth)
        rows += [(n, who, int(v if who < honest else 1 - v)) for n, v in enumerate(value)]
    return labels_of(rows), truth


def triples(labels):
    rows = zip(labels.unit, labels.person, labels.value, strict=True)
    return [(labels.units[u], labels.people[p], labels.values[v]) for u, p, v in rows]


def accuracy(labels, soft, truth):
    said = np.array(labels.values)[soft.argmax(1)]
    return float(np.mean(said == truth[list(labels.units)]))


@pytest.mark.parametrize("method", ["dawid-skene", "mace"])
def test_people_who_are_all_alike_give_the_majority_vote(method):
    # Each of five people errs equally often: every choice of none, one or two who err, once.
    rows = []
    cases = [who for size in range(3) for who in combinations(range(5), size)]
    for n, (wrong, truth) in enumerate((w, t) for w in cases for t in (0, 1)):
        rows += [(n, who, 1 - truth if who in wrong else truth) for who in range(5)]
    labels = labels_of(rows)
    found = reliability.METHODS[method](labels)
    plain = reliability.majority(labels)
    assert (found.soft.argmax(1) == plain.soft.argmax(1)).all()
    assert np.ptp(found.weights) < 0.05
    assert found.soft.sum(1) == pytest.approx(1)


def test_three_adversaries_of_ten_cost_less_than_two_points():
    clean, truth = crowd(honest=10)
    mixed, _ = crowd(honest=7, adversaries=3)
    before = accuracy(clean, reliability.dawid_skene(clean).soft, truth)
    found = reliability.dawid_skene(mixed)
    assert before - accuracy(mixed, found.soft, truth) < 0.02
    assert accuracy(mixed, reliability.majority(mixed).soft, truth) < before - 0.02
    assert found.weights[:7].min() > 0.3
    assert found.weights[7:].max() < 0.05


def test_someone_who_answers_at_random_weighs_next_to_nothing_with_mace():
    labels, _ = crowd(honest=6, right=0.85)
    rng = np.random.default_rng(1)
    rows = triples(labels)
    rows += [(n, "random", int(rng.integers(0, 2))) for n in range(400)]
    noisy = labels_of(rows)
    weights = reliability.mace(noisy).weight_of(noisy)
    assert weights["random"] < 0.3 < 0.6 < min(w for who, w in weights.items() if who != "random")


def test_without_overlap_nothing_is_known_and_everyone_counts_in_full():
    labels = labels_of((n, n % 3, n % 2) for n in range(12))
    for method in reliability.METHODS.values():
        found = method(labels)
        assert (found.weights == 1).all()
        assert (found.soft.max(1) == 1).all()


def test_few_shared_labels_move_a_weight_little():
    labels, _ = crowd(honest=7)
    rows = triples(labels)
    wrong = 1 - reliability.dawid_skene(labels).soft.argmax(1)[0]
    newcomer = labels_of([*rows, (0, "new", int(wrong))])
    weight = reliability.dawid_skene(newcomer).weight_of(newcomer)["new"]
    assert weight > 0.4


# Bradley-Terry ------------------------------------------------------------------------------


def games(seed=0, n=900, items=6, people=8, liars=0):
    rng = np.random.default_rng(seed)
    v = np.linspace(-1.5, 1.5, items)
    first, second = rng.integers(0, items, n), rng.integers(0, items - 1, n)
    second = np.where(second >= first, second + 1, second)
    who = rng.integers(0, people, n)
    wins = rng.random(n) < 1 / (1 + np.exp(-(v[first] - v[second])))
    wins = np.where(who < liars, ~wins, wins)
    return np.where(wins, first, second), np.where(wins, second, first), who, v


def plain_scores(winner, loser, ridge):
    scores = choix.opt_pairwise(6, list(zip(winner, loser, strict=True)), alpha=ridge / 2)
    return scores - scores.mean()


def test_with_people_who_are_never_wrong_crowd_bt_is_the_bradley_terry_of_choix():
    winner, loser, who, _ = games()
    found = reliability.crowd_bt(winner, loser, who, ridge=0.05, trust=(1e6, 1e-6))
    assert found.scores == pytest.approx(plain_scores(winner, loser, 0.05), abs=5e-3)
    assert found.ability == pytest.approx(np.ones(8), abs=1e-3)


def test_crowd_bt_finds_who_lies_and_keeps_the_order_where_plain_scores_shrink():
    winner, loser, who, v = games(n=3000, people=8, liars=3)
    found = reliability.crowd_bt(winner, loser, who)
    assert found.ability[:3].max() < 0.3
    assert found.ability[3:].min() > 0.7
    assert (found.weights[:3] == 0).all()
    plain = plain_scores(winner, loser, 1e-6)
    assert np.abs(found.scores - v).mean() < np.abs(plain - v).mean()


def test_crowd_bt_is_where_a_plain_search_without_gradients_ends():
    from scipy.optimize import minimize

    winner, loser, who, _ = games(n=120, items=3, people=3, liars=1)
    share = np.where(np.arange(120) % 5 == 0, 0.5, 1.0)

    def posterior(x):
        v, eta = x[:3], 1 / (1 + np.exp(-x[3:]))
        total = np.log(eta) @ np.full(3, 10.0) + np.log(1 - eta) @ np.ones(3) - 0.025 * (v @ v)
        for i, j, k, won in zip(winner, loser, who, share, strict=True):
            p = 1 / (1 + np.exp(-(v[i] - v[j])))
            right = eta[k] * p + (1 - eta[k]) * (1 - p)
            total += won * np.log(right) + (1 - won) * np.log(1 - right)
        return -total

    plain = minimize(
        posterior, [0, 0, 0, 2, 2, 2], method="Powell", options={"xtol": 1e-9, "ftol": 1e-14}
    )
    found = reliability.crowd_bt(winner, loser, who, share=share)
    assert found.scores == pytest.approx(plain.x[:3] - plain.x[:3].mean(), abs=1e-2)
    assert found.ability == pytest.approx(1 / (1 + np.exp(-plain.x[3:])), abs=1e-2)
    assert found.log_likelihood == pytest.approx(-plain.fun, abs=1e-3)


# Gold ---------------------------------------------------------------------------------------

PREFERS = {"outcome": "preferred", "preferred": 0}
SAFE = {"helpful": PREFERS, "safer": {"outcome": "tie"}}


@pytest.mark.parametrize(
    ("kind", "given_body", "gold_body", "expected"),
    [
        ("pairwise", PREFERS, PREFERS | {"strength": 3}, 1.0),
        ("pairwise", PREFERS, {"outcome": "preferred", "preferred": 1}, 0.0),
        ("pairwise", {"outcome": "tie"}, PREFERS, 0.5),
        ("pairwise", {"outcome": "both_bad"}, PREFERS, 0.0),
        ("pairwise", {"outcome": "both_bad"}, {"outcome": "both_bad"}, 1.0),
        ("listwise", {"ranking": [[0], [1], [2]]}, {"ranking": [[0], [1], [2]]}, 1.0),
        ("listwise", {"ranking": [[2], [1], [0]]}, {"ranking": [[0], [1], [2]]}, 0.0),
        ("listwise", {"ranking": [[0, 1], [2]]}, {"ranking": [[0], [1], [2]]}, 2.5 / 3),
        ("listwise", {"ranking": [[0]], "unusable": [1]}, {"ranking": [[0], [1]]}, 1.0),
        ("rating", {"ratings": [{"candidate": 0, "attribute": "a", "value": 4}]},
         {"ratings": [{"candidate": 0, "attribute": "a", "value": 2}]}, 0.5),
        ("principle", {"verdicts": [{"candidate": 0, "principle": "true", "verdict": "yes"},
                                    {"candidate": 0, "principle": "kind", "verdict": "no"}]},
         {"verdicts": [{"candidate": 0, "principle": "true", "verdict": "yes"},
                       {"candidate": 0, "principle": "kind", "verdict": "yes"}]}, 0.5),
        ("span", {"spans": [], "missing": []}, {"spans": []}, 1.0),
        ("span", {"spans": [{"candidate": 0, "start": 0, "end": 10, "category": "x"}]},
         {"spans": [{"candidate": 0, "start": 5, "end": 15, "category": "x"}]}, 0.5),
        ("span", {"spans": []},
         {"spans": [{"candidate": 0, "start": 5, "end": 15, "category": "x"}]}, 0.0),
        ("step", {"steps": [{"candidate": 0, "step": 0, "value": 1}]},
         {"steps": [{"candidate": 0, "step": 0, "value": 0}]}, 0.5),
        ("triplet", {"closer": 1, "anchor": 0}, {"closer": 1, "anchor": 0}, 1.0),
        ("triplet", {"closer": None, "anchor": 0}, {"closer": 1, "anchor": 0}, 0.5),
        ("safety", SAFE | {"harm": [{"candidate": 0, "level": 3}]},
         SAFE | {"harm": [{"candidate": 0, "level": 0}]}, 2 / 3),
        ("critique", {"critique": "a"}, {"critique": "b"}, None),
    ],
)  # fmt: skip
def test_a_body_is_scored_against_gold(kind, given_body, gold_body, expected):
    found = gold.score(kind, given_body, gold_body)
    assert found == (None if expected is None else pytest.approx(expected))
    assert gold.score(kind, gold_body, given_body) == found


def test_several_kinds_on_one_task_are_averaged():
    one = PREFERS | {"also": {"triplet": {"anchor": 0, "closer": 1}}}
    two = PREFERS | {"also": {"triplet": {"anchor": 0, "closer": 2}}}
    assert gold.score(["pairwise", "triplet"], one, two) == pytest.approx(0.5)
    assert gold.score(["pairwise", "critique"], one, two) == 1.0


def test_half_a_point_is_not_right():
    assert gold.is_right(1.0)
    assert not gold.is_right(0.5)
    assert gold.is_right(None) is None


def test_disagreement_is_nothing_where_all_agree_and_one_where_none_do():
    other = {"outcome": "preferred", "preferred": 1}
    assert gold.disagreement("pairwise", [PREFERS, PREFERS]) == 0.0
    assert gold.disagreement("pairwise", [PREFERS, other]) == 1.0
    assert gold.disagreement("pairwise", [PREFERS, PREFERS, other]) == pytest.approx(2 / 3)
    assert gold.disagreement("pairwise", [PREFERS]) is None


def test_ids_become_places_wherever_a_body_names_a_candidate():
    body = {
        "outcome": "preferred",
        "preferred": 71,
        "ranking": [[71], [72]],
        "unusable": [73],
        "spans": [{"candidate": 72, "start": 71, "end": 72, "category": "x"}],
        "also": {"triplet": {"anchor": 71, "closer": 72}},
    }
    assert gold.placed(body, {71: 0, 72: 1, 73: 2}) == {
        "outcome": "preferred",
        "preferred": 0,
        "ranking": [[0], [1]],
        "unusable": [2],
        "spans": [{"candidate": 1, "start": 71, "end": 72, "category": "x"}],
        "also": {"triplet": {"anchor": 0, "closer": 1}},
    }
