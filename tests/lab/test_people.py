"""Simulated people keep to the probabilities they are said to have."""

import random
from dataclasses import replace

import pytest
from scipy.stats import binomtest

from alignment.lab.gold import TASTES
from alignment.lab.people import Annotator, User, annotators, sigmoid, users

KIND = TASTES["kind"]
ASK = "What is the capital of France?"
GOOD = "Happy to help! Paris is the capital of France."
RIGHT = "Paris is the capital of France."
HEDGED = "I think Paris is the capital of France."
BAD = "I think Lyon is the capital of France."
ALPHA = 1e-4


def firsts(annotator, answers, n=2000, seed=0):
    """How often the first of two answers was preferred, and out of how many preferences."""
    rng = random.Random(seed)
    verdicts = [annotator.judge(ASK, answers, rng) for _ in range(n)]
    preferred = [v.preferred for v in verdicts if v.outcome == "preferred"]
    return preferred.count(0), len(preferred)


@pytest.mark.parametrize(("better", "worse"), [(RIGHT, HEDGED), (GOOD, RIGHT), (HEDGED, BAD)])
@pytest.mark.parametrize("swap", [False, True])
def test_the_better_answer_wins_with_the_bradley_terry_probability(better, worse, swap):
    annotator = Annotator("ann", KIND, temperature=0.7)
    expected = sigmoid((KIND.of(ASK, better) - KIND.of(ASK, worse)) / 0.7)
    answers = (worse, better) if swap else (better, worse)
    first, n = firsts(annotator, answers)
    wins = n - first if swap else first
    assert n == 2000
    assert binomtest(wins, n, expected).pvalue > ALPHA
    assert binomtest(wins, n, 0.5).pvalue < ALPHA


def test_without_noise_the_better_answer_always_wins():
    assert firsts(Annotator("ann", KIND, temperature=0.0), (BAD, GOOD)) == (0, 2000)


def test_a_bias_to_the_first_side_shows_only_in_that_direction():
    biased = Annotator("ann", KIND, temperature=0.5, side_bias=0.6)
    first, n = firsts(biased, (HEDGED, RIGHT))
    # The first answer is worse by 0.6, which the bias makes up for.
    gap = KIND.of(ASK, HEDGED) - KIND.of(ASK, RIGHT) + 0.6
    assert gap == pytest.approx(0.0)
    assert biased.judge(ASK, (HEDGED, RIGHT), random.Random(1)).outcome == "tie"
    first, n = firsts(replace(biased, tie_band=0.0), (HEDGED, RIGHT))
    assert binomtest(first, n, 0.5).pvalue > ALPHA


def test_equal_answers_are_a_tie_and_two_poor_ones_are_both_bad():
    annotator = Annotator("ann", KIND)
    rng = random.Random(0)
    assert annotator.judge(ASK, (RIGHT, RIGHT), rng).outcome == "tie"
    assert annotator.judge(ASK, ("", "..."), rng).outcome == "both_bad"
    assert annotator.judge(ASK, ("", GOOD), rng).outcome == "preferred"


@pytest.mark.parametrize(("other", "strength"), [(HEDGED, 1), (BAD, 3)])
def test_strength_follows_the_gap(other, strength):
    annotator = Annotator("ann", KIND, temperature=0.0)
    verdict = annotator.judge(ASK, (RIGHT, other), random.Random(0))
    assert (verdict.preferred, verdict.strength) == (0, strength)


def test_a_sloppy_annotator_agrees_with_the_taste_halfway():
    sloppy = Annotator("ann", KIND, temperature=0.0, sloppy=0.5)
    first, n = firsts(sloppy, (GOOD, BAD))
    assert binomtest(first, n, 0.75).pvalue > ALPHA


def test_a_control_chooses_by_the_toss_of_a_coin():
    for annotator in annotators(6, seed=1, control=True):
        first, n = firsts(annotator, (GOOD, BAD))
        assert n == 2000
        assert binomtest(first, n, 0.5).pvalue > ALPHA


def test_a_team_is_the_same_for_the_same_seed_and_has_one_sloppy_member_in_six():
    team = annotators(12, seed=4)
    assert team == annotators(12, seed=4)
    assert team != annotators(12, seed=5)
    assert sum(person.sloppy > 0.3 for person in team) == 2
    assert len({person.name for person in team}) == 12
    assert len({person.temperature for person in team}) == 12


def reactions(user, answer, n=3000):
    rng = random.Random(7)
    return [user.respond(ASK, answer, rng) for _ in range(n)]


def test_users_react_as_often_as_they_are_talkative():
    seen = reactions(User("uma", KIND, talkative=0.6), RIGHT)
    given = sum(response.reaction is not None for response in seen)
    assert binomtest(given, len(seen), 0.6).pvalue > ALPHA


def test_users_like_an_answer_with_the_probability_its_reward_gives():
    user = User("uma", KIND, talkative=1.0, level=0.2, temperature=0.5)
    for answer in (RIGHT, HEDGED, BAD):
        seen = reactions(user, answer)
        liked = sum(response.reaction in ("like", "love") for response in seen)
        expected = sigmoid((KIND.of(ASK, answer) - 0.2) / 0.5)
        assert binomtest(liked, len(seen), expected).pvalue > ALPHA


def test_love_is_kept_for_the_better_answers():
    user = User("uma", KIND, talkative=1.0)
    love = {a: sum(r.reaction == "love" for r in reactions(user, a)) for a in (GOOD, HEDGED)}
    assert love[GOOD] > 2 * love[HEDGED] > 0


def test_only_the_disappointed_ask_again_and_only_some_take_a_reaction_back():
    seen = reactions(User("uma", KIND, talkative=1.0, fickle=0.1, retries=0.5), BAD)
    assert all(not r.regenerates for r in seen if r.reaction in ("like", "love"))
    disliked = [r for r in seen if r.reaction == "dislike"]
    assert binomtest(sum(r.regenerates for r in disliked), len(disliked), 0.5).pvalue > ALPHA
    assert binomtest(sum(r.retracts for r in seen), len(seen), 0.1).pvalue > ALPHA


def test_users_of_a_control_like_good_and_bad_answers_alike():
    for user in users(3, seed=2, control=True):
        for answer in (GOOD, BAD):
            given = [r.reaction for r in reactions(user, answer) if r.reaction]
            liked = sum(reaction != "dislike" for reaction in given)
            assert binomtest(liked, len(given), 0.5).pvalue > ALPHA
