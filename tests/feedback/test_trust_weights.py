"""What lowers a weight, what never does, and what an attack moves with and without the weights."""

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from feedback.trust import attack, brigades, concert, habits
from feedback.trust.acts import Acts, Doubts
from feedback.trust.weigh import judge_groups, rates, weigh


def acts_of(times, *, actor=0, target=0, sign=1, wait=None, seen=None) -> Acts:
    n = len(times)
    fill = [np.full(n, value) if np.isscalar(value) else value for value in (actor, target, sign)]
    return Acts(*fill, times, wait, seen)


def among_others(acts: Acts, *, seed: int = 0, people: int = 120) -> tuple[np.ndarray, list]:
    """Weights and reasons of these acts when honest people act beside them."""
    others = attack.honest(np.random.default_rng(seed), people)
    moved = Acts(acts.actor + 10_000, acts.target, acts.sign, acts.time, acts.wait, acts.seen)
    both = attack._joined(moved, others)
    found = weigh(both)
    codes = [{one["code"] for one in found.doubts.reasons(i)} for i in range(len(acts))]
    return found.weights[: len(acts)], codes


class TestHabits:
    def test_acts_beyond_a_minutes_limit_weigh_nothing(self):
        times = 1000 + 2.5 * np.arange(30) + np.random.default_rng(0).uniform(0, 1, 30)
        weights, codes = among_others(acts_of(np.sort(times), target=np.arange(30) % 5))
        late = [n for n in range(30) if "rate" in codes[n]]
        assert late[0] == 20
        assert (weights[late] == 0).all()

    def test_acts_without_time_to_read_between_them_weigh_less(self):
        times = 1000 + np.cumsum(np.random.default_rng(0).uniform(0.2, 1.8, 12))
        weights, codes = among_others(acts_of(times, target=np.arange(12) % 5))
        assert all("haste" in one for one in codes)
        assert weights.max() < 0.1

    def test_a_clock_is_no_person(self):
        weights, codes = among_others(
            acts_of(1000 + 30.0 * np.arange(12), target=np.arange(12) % 5)
        )
        assert all("clock" in one for one in codes)
        assert weights == pytest.approx(habits.CLOCK_FACTOR)

    def test_what_was_not_read_or_not_seen_weighs_less(self):
        found = weigh(acts_of([0.0, 9e4, 18e4], wait=[0.1, 20, np.nan], seen=[1, 0, np.nan]))
        assert found.weights.tolist() == [habits.UNREAD_FACTOR, habits.UNREAD_FACTOR, 1.0]

    def test_always_the_same_is_counted_as_far_as_chance_goes(self):
        rng = np.random.default_rng(1)
        times = np.sort(rng.uniform(0, 14 * 86_400, 40))
        weights, codes = among_others(
            acts_of(times, sign=-1, target=rng.integers(5, size=40)), people=400
        )
        assert all("one-sided" in one for one in codes)
        assert 0 < weights.sum() < 25

    def test_the_chance_of_sameness_is_a_beta_binomial_tail(self):
        for n, a, b in ((5, 2.0, 1.0), (12, 0.7, 3.0)):
            assert habits.same_chance(n, a, b, 1) == pytest.approx(betabinom.pmf(n, n, a, b))
            assert habits.same_chance(n, a, b, -1) == pytest.approx(betabinom.pmf(0, n, a, b))

    def test_a_hundred_acts_on_one_model_count_as_a_few(self):
        rng = np.random.default_rng(2)
        times = np.sort(rng.uniform(0, 14 * 86_400, 100))
        weights, _ = among_others(acts_of(times, sign=rng.choice([-1, 1], size=100)))
        assert weights.sum() == pytest.approx(habits.VOICE)

    def test_disagreeing_with_everybody_costs_nothing(self):
        rng = np.random.default_rng(3)
        times = np.sort(rng.uniform(0, 14 * 86_400, 7))
        # Bad for the best model, good for the worst, slowly and alone.
        weights, _ = among_others(
            acts_of(
                times,
                target=[0, 4, 0, 4, 0, 4, 0],
                sign=[-1, 1, -1, 1, -1, 1, -1],
                wait=np.full(7, 9.0),
            )
        )
        assert (weights == 1).all()


class TestBrigades:
    def test_without_an_attack_honest_people_keep_their_weight(self):
        for seed in range(2):
            acts = attack.honest(np.random.default_rng(seed), 500)
            found = weigh(acts)
            assert found.weights.mean() > 0.99
            assert brigades.find(acts) == []

    def test_a_raid_counts_as_the_people_one_would_have_expected(self):
        good = attack.honest(np.random.default_rng(0), 270)
        bad = attack.hostile(np.random.default_rng(1), 30, "raid", first=270)
        both = attack._joined(good, bad)
        groups = brigades.find(both)
        raiders, found = set(range(270, 300)), set().union(*(group.actors for group in groups))
        assert raiders <= found
        assert len(found - raiders) <= 2
        assert {(0, -1), (4, 1)} <= set().union(*(group.pushes for group in groups))
        doubts = Doubts(len(both))
        judge_groups(both, doubts)
        assert doubts.weights[len(good) :].sum() < 12 * 6

    def test_lockstep_is_found_where_no_window_is_crowded(self):
        good = attack.honest(np.random.default_rng(0), 290)
        bad = attack.hostile(np.random.default_rng(1), 5, "campaign", first=290)
        both = attack._joined(good, bad)
        (group,) = brigades.find(both)
        assert (group.kind, group.actors) == ("lockstep", frozenset(range(290, 295)))
        assert group.counted == 1

    def test_many_honest_people_at_one_hour_are_no_brigade(self):
        rng = np.random.default_rng(5)
        acts = attack.honest(rng, 300)
        # A rush hour: everybody who came that day came at once, and said what they always say.
        rush = np.where(
            np.floor(acts.time / attack.DAY) == 6, 6.5 * attack.DAY + acts.time % 3600, acts.time
        )
        assert (
            brigades.find(Acts(acts.actor, acts.target, acts.sign, rush, acts.wait, acts.seen))
            == []
        )


class TestRates:
    def test_shares_and_intervals_by_hand(self):
        acts = acts_of(np.arange(10.0), actor=np.arange(10), sign=[1] * 8 + [-1] * 2)
        share, low, high = rates(acts)[0]
        assert share == pytest.approx(8.5 / 11)
        assert low < 0.5 < share < 0.95 < high + 0.05

    def test_ten_acts_of_one_person_are_less_sure_than_ten_of_ten(self):
        signs = [1] * 8 + [-1] * 2
        alone = rates(
            acts_of(np.arange(20.0), actor=[0] * 10 + [1] * 10, sign=signs[::-1] + [1] * 10)
        )
        many = rates(acts_of(np.arange(20.0), actor=np.arange(20), sign=signs[::-1] + [1] * 10))
        assert many[0][2] - many[0][1] < alone[0][2] - alone[0][1]

    def test_weight_zero_is_absence(self):
        acts = acts_of(np.arange(6.0), actor=np.arange(6), sign=[1, 1, 1, -1, -1, -1])
        some = rates(acts, np.array([1, 1, 1, 1, 0, 0.0]))
        kept = rates(acts.take(np.arange(4)))
        assert some[0] == pytest.approx(kept[0])


class TestAttack:
    @pytest.mark.parametrize("kind", ["bots", "raid", "campaign"])
    def test_a_tenth_of_hostile_people_moves_little_with_the_weights(self, kind):
        told = attack.run(kind, seed=7, people=400)
        assert told.moved_with <= attack.PROMISE
        assert told.swapped_with == 0
        assert told.moved_without > 4 * told.moved_with
        assert told.swapped_without >= 2
        assert told.honest_weight > 0.99

    @pytest.mark.parametrize("kind", ["patient", "hidden"])
    def test_patient_people_with_a_plan_move_little_too(self, kind):
        told = attack.run(kind, seed=7, people=400)
        assert told.moved_with <= attack.PROMISE
        assert told.swapped_with == 0
        assert told.moved_without > 4 * told.moved_with
        assert told.swapped_without >= 2
        assert told.honest_weight > 0.99


class TestConcert:
    def test_a_minority_with_a_taste_of_its_own_keeps_its_weight(self):
        rng = np.random.default_rng(3)
        others = attack.honest(rng, 540)
        rows = [
            (1000 + actor, target, 1 if rng.random() < (0.85 if target == 4 else 0.25) else -1,
             rng.uniform(0, attack.DAYS * attack.DAY), 9.0, 1.0)
            for actor in range(60)
            for target in rng.permutation([0, 4] * 5)
        ]  # fmt: skip
        both = attack._joined(others, attack._acts(rows))
        weights = weigh(both).weights
        assert concert.find(both) == []
        assert weights[len(others) :].mean() > 0.95

    def test_one_person_of_the_same_mind_is_not_doubted_and_thirty_are(self):
        others = attack.honest(np.random.default_rng(5), 300)
        for people, crowds in ((1, 0), (30, 1)):
            bad = attack.hostile(np.random.default_rng(6), people, "patient", first=300)
            found = concert.find(attack._joined(others, bad))
            assert len(found) == crowds
        assert found[0].pushes == {(0, -1), (4, 1)}
        assert found[0].actors >= set(range(300, 330))
        assert len(found[0].actors) <= 33

    def test_what_is_foretold_of_slips_is_a_sum_of_two_binomials(self):
        one, two = np.array([0.3]), np.array([0.6])
        monkey = concert._CHANCES
        try:
            concert._CHANCES = np.array([1.0])
            for k in range(6):
                wanted = sum(binom.pmf(i, 3, 0.3) * binom.pmf(k - i, 2, 0.6) for i in range(k + 1))
                assert concert._slips(3, 2, k, one, two) == pytest.approx(wanted)
        finally:
            concert._CHANCES = monkey
