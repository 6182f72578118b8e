"""The leaderboard's maths: by hand, by identity, and against others' code."""

from dataclasses import replace

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from feedback.arena import style
from feedback.arena.bradley_terry import (
    POINTS,
    Votes,
    bootstrap,
    components,
    fit,
    probabilities,
)
from feedback.arena.leaderboard import Vote, arrays, board, wilson
from feedback.arena.pairing import pair_probabilities
from tests.feedback.votes_replayed import copilot_arena, tulu

ALMOST_NONE = 1e-9


def between_two(wins: int, ties: int, losses: int, **rest) -> Votes:
    n = wins + ties + losses
    outcome = [1] * wins + [0] * ties + [-1] * losses
    return Votes(2, np.zeros(n), np.ones(n), outcome, **rest)


def drawn(rng, theta, n, delta=None, voters=None, beta=(), taste=0.0):
    """Votes as the model says: random pairs, voters who share a liking when `taste` > 0."""
    m = len(theta)
    left = rng.integers(m, size=n)
    right = (left + rng.integers(1, m, size=n)) % m
    voter = rng.integers(voters, size=n) if voters else np.arange(n)
    x = rng.normal(size=(n, len(beta)))
    eta = theta[left] - theta[right] + x @ np.asarray(beta, dtype=float)
    if taste:
        liking = rng.normal(scale=taste, size=(voter.max() + 1, m))
        eta += liking[voter, left] - liking[voter, right]
    win, tie, _ = probabilities(eta, delta)
    u = rng.random(n)
    outcome = np.where(u < win, 1, np.where(u < win + tie, 0, -1))
    return Votes(m, left, right, outcome, voter=voter, covariates=x)


def shares_of(found, **rest):
    return pair_probabilities(found.theta, found.delta, found.difference_sd(), **rest)


class TestByHand:
    def test_three_wins_to_one_are_odds_of_three(self):
        found = fit(between_two(3, 0, 1), prior=ALMOST_NONE)
        assert found.theta[0] - found.theta[1] == pytest.approx(np.log(3), abs=1e-6)
        assert found.delta is None

    def test_ties_give_davidsons_closed_form(self):
        # e^eta = wins / losses = 4; nu = ties / (wins + losses) * (2 + 1/2) = 1.25
        found = fit(between_two(8, 5, 2), prior=ALMOST_NONE)
        assert found.theta[0] - found.theta[1] == pytest.approx(np.log(4), abs=1e-6)
        assert np.exp(found.delta) == pytest.approx(1.25, abs=1e-6)

    def test_ten_to_one_is_four_hundred_points(self):
        votes = [Vote("good", "poor", "a")] * 10 + [Vote("good", "poor", "b")]
        places = {p.model: p for p in board(votes, anchor="poor", prior=ALMOST_NONE).places}
        assert places["poor"].score == 1000
        assert places["good"].score == pytest.approx(1400, abs=0.01)

    def test_the_model_error_is_the_root_of_one_over_n_p_q(self):
        # d eta of 3:1 has variance 1/3 + 1/1 (the delta method on a log odds)
        found = fit(between_two(3, 0, 1), prior=ALMOST_NONE)
        contrast = np.array([[1.0, -1.0]])
        block = found.covariance("model")[:2, :2]
        assert (contrast @ block @ contrast.T).item() == pytest.approx(4 / 3, rel=1e-5)

    def test_two_votes_of_one_person_count_as_one_in_the_sandwich(self):
        once = between_two(30, 0, 10)
        twice = Votes(
            2, np.tile(once.left, 2), np.tile(once.right, 2), np.tile(once.outcome, 2),
            voter=np.tile(np.arange(40), 2),
        )  # fmt: skip
        sd = [
            np.sqrt(np.array([1, -1]) @ fit(v, prior=ALMOST_NONE).covariance()[:2, :2] @ [1, -1])
            for v in (once, twice)
        ]
        assert sd[0] == pytest.approx(sd[1], rel=1e-6)

    def test_wilsons_interval_of_five_in_ten(self):
        assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
        assert wilson(0, 0) == (0.0, 1.0)


class TestIdentities:
    def test_weights_are_repetitions(self):
        rng = np.random.default_rng(1)
        votes = drawn(rng, np.array([0.5, 0.0, -0.5]), 60, delta=-0.5)
        weight = rng.integers(0, 4, size=60)
        again = np.repeat(np.arange(60), weight)
        repeated = Votes(3, votes.left[again], votes.right[again], votes.outcome[again])
        weighted = replace(votes, weight=weight.astype(float))
        assert fit(weighted).theta == pytest.approx(fit(repeated).theta, abs=1e-8)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10_000), st.permutations(range(4)))
    def test_names_and_sides_do_not_matter(self, seed, order):
        votes = drawn(np.random.default_rng(seed), np.array([1.0, 0.3, -0.2, -0.8]), 80, 0.0)
        order = np.array(order)
        flipped = Votes(4, order[votes.right], order[votes.left], -votes.outcome)
        assert fit(flipped).theta[order] == pytest.approx(fit(votes).theta, abs=1e-7)

    def test_no_votes_say_nothing(self):
        found = fit(Votes(3, [], [], []))
        assert found.theta == pytest.approx([0, 0, 0])
        assert (found.place_sd() > 3).all()

    def test_only_ties_leave_everyone_equal(self):
        assert fit(between_two(0, 20, 0)).theta == pytest.approx([0, 0])

    def test_a_model_that_never_lost_stays_finite_and_uncertain(self):
        found = fit(between_two(6, 0, 0))
        assert 1 < found.theta[0] < 10
        assert found.place_sd()[0] > 0.5

    def test_a_vote_against_oneself_is_refused(self):
        with pytest.raises(ValueError, match="two different models"):
            Votes(2, [0], [0], [1])


class TestAgainstOthers:
    @pytest.mark.parametrize("seed", range(3))
    def test_without_ties_it_is_choix(self, seed):
        votes = drawn(np.random.default_rng(seed), np.linspace(1, -1, 6), 300)
        pairs = [
            (a, b) if y > 0 else (b, a)
            for a, b, y in zip(votes.left, votes.right, votes.outcome, strict=True)
        ]
        theirs = choix.opt_pairwise(6, pairs, alpha=0.01, tol=1e-12)
        ours = fit(votes, prior=0.02).theta
        assert ours == pytest.approx(theirs - theirs.mean(), abs=1e-6)

    def test_with_ties_and_covariates_it_is_what_scipy_finds(self):
        rng = np.random.default_rng(5)
        votes = drawn(rng, np.array([0.9, 0.1, -1.0]), 400, delta=-0.3, beta=(0.7, -0.2))

        def cost(params):
            theta, beta, nu = params[:3], params[3:5], np.exp(params[5])
            strength = (
                np.exp(theta[votes.left] + votes.covariates @ beta),
                np.exp(theta[votes.right]),
            )
            tie = nu * np.sqrt(strength[0] * strength[1])
            total = strength[0] + strength[1] + tie
            chosen = np.choose(votes.outcome + 1, [strength[1], tie, strength[0]])
            return -np.log(chosen / total).sum() + 0.01 * params @ params

        theirs = minimize(cost, np.zeros(6), method="BFGS", options={"gtol": 1e-8}).x
        ours = fit(votes, prior=0.02)
        assert ours.theta == pytest.approx(theirs[:3] - theirs[:3].mean(), abs=1e-4)
        assert ours.beta == pytest.approx(theirs[3:5], abs=1e-4)
        assert ours.delta == pytest.approx(theirs[5], abs=1e-4)


class TestIntervals:
    def test_ninety_five_in_a_hundred_intervals_hold_the_truth(self):
        theta = np.array([0.6, 0.1, -0.7])
        rng = np.random.default_rng(11)
        held = []
        for _ in range(200):
            found = fit(drawn(rng, theta, 250, delta=-0.5))
            held.append(np.abs(found.theta - theta) <= 1.96 * found.place_sd())
        assert 0.92 <= np.mean(held) <= 0.985

    def test_when_voters_have_tastes_only_the_sandwich_holds_the_truth(self):
        # Each of 40 voters has a liking of their own for one of the two.
        theta = np.array([0.5, -0.5])
        rng = np.random.default_rng(3)
        by_model, by_sandwich = [], []
        reference = fit(drawn(np.random.default_rng(0), theta, 60_000, voters=30_000, taste=1.5))
        centre = reference.theta[0]
        for _ in range(150):
            found = fit(drawn(rng, theta, 600, voters=40, taste=1.5))
            off = abs(found.theta[0] - centre)
            contrast = np.array([0.5, -0.5])
            sd = [
                np.sqrt(contrast @ found.covariance(k)[:2, :2] @ contrast)
                for k in ("model", "sandwich")
            ]
            by_model.append(off <= 1.96 * sd[0])
            by_sandwich.append(off <= 1.96 * sd[1])
        assert np.mean(by_model) < 0.8
        assert np.mean(by_sandwich) > 0.88

    def test_bootstrap_and_sandwich_agree(self):
        rng = np.random.default_rng(4)
        votes = drawn(rng, np.array([0.5, 0.0, -0.5]), 900, delta=-0.5, voters=120, taste=0.5)
        thetas, _ = bootstrap(votes, draws=300)
        found = fit(votes)
        centred = np.eye(3) - 1 / 3
        block = found.covariance("sandwich")[:3, :3]
        sandwich = np.sqrt(np.einsum("ci,ij,cj->c", centred, block, centred))
        assert thetas.std(axis=0) == pytest.approx(sandwich, rel=0.15)


class TestBothBad:
    def test_it_is_counted_apart_and_moves_nobody(self):
        votes = [Vote("x", "y", "a")] * 6 + [Vote("x", "y", "b")] * 3
        with_bad = board(votes + [Vote("x", "y", "both_bad")] * 30)
        assert [p.score for p in with_bad.places] == [p.score for p in board(votes).places]
        assert with_bad.both_bad == 30
        assert with_bad.places[0].both_bad_share == pytest.approx(30 / 39)
        assert with_bad.tie_share is None

    def test_ties_do_pull_together(self):
        votes = [Vote("x", "y", "a")] * 6 + [Vote("x", "y", "b")] * 3
        apart = board(votes)
        tied = board(votes + [Vote("x", "y", "tie")] * 30)
        assert tied.places[0].high - tied.places[0].low < apart.places[0].high - apart.places[0].low
        assert tied.tie_share > 0.5


class TestStyle:
    def test_marks_are_counted_outside_code(self):
        text = "# Head\n\n- one\n- two\n1. three\n\n**bold** and __bold__\n\n```\n# no\n- no\n```\n"
        assert style.counts(text) == [len(text), 1, 3, 2]

    def test_differences_are_normalised_and_nothing_to_nothing_is_none(self):
        found = style.differences([[30, 0, 0, 1]], [[10, 0, 2, 1]])
        assert found.tolist() == [[0.5, 0.0, -1.0, 0.0]]

    def test_a_model_that_wins_by_length_alone_loses_its_lead(self):
        rng = np.random.default_rng(2)
        votes = []
        for n in range(1500):
            long, short = (400 + rng.integers(300), 0, 0, 0), (250 + rng.integers(300), 0, 0, 0)
            is_long_left = bool(rng.random() < 0.5)
            left, right = (long, short) if is_long_left else (short, long)
            gap = (left[0] - right[0]) / (left[0] + right[0])
            wins = rng.random() < 1 / (1 + np.exp(-4 * gap))
            names = ("wordy", "terse") if is_long_left else ("terse", "wordy")
            votes.append(Vote(*names, "a" if wins else "b", voter=n, style_a=left, style_b=right))
        found = board(votes)
        wordy = next(p for p in found.places if p.model == "wordy")
        terse = next(p for p in found.places if p.model == "terse")
        assert wordy.plain - terse.plain > 50
        assert wordy.low < terse.high
        effects = {effect.name: effect for effect in found.effects}
        assert effects["length"].low > 0
        assert effects["shown first"].low < 0 < effects["shown first"].high


class TestRanks:
    def test_models_that_cannot_be_told_apart_share_a_rank(self):
        votes = [Vote("x", "y", "a")] * 5 + [Vote("x", "y", "b")] * 4
        votes += [Vote("x", "z", "a")] * 60 + [Vote("y", "z", "a")] * 60 + [Vote("y", "z", "b")]
        assert {p.model: p.rank for p in board(votes).places} == {"x": 1, "y": 1, "z": 3}

    def test_models_never_compared_are_said_to_be_apart(self):
        votes = [Vote("a", "b", "a"), Vote("c", "d", "b")]
        found = board(votes)
        assert not found.connected
        groups = {p.model: p.group for p in found.places}
        assert groups["a"] == groups["b"] != groups["c"] == groups["d"]
        assert components(arrays(votes, list("abcd"))).tolist() == [0, 0, 1, 1]


class TestPairs:
    def test_the_pair_with_the_widest_interval_is_drawn_most(self):
        votes = [Vote("a", "b", "a" if n % 2 else "b") for n in range(200)]
        votes += [Vote("a", "c", "a" if n % 2 else "b") for n in range(200)]
        votes += [Vote("a", "d", "a"), Vote("a", "d", "b")]
        shares = shares_of(fit(arrays(votes, list("abcd"))))
        assert shares.sum() == pytest.approx(1)
        assert min(shares[0, 3], shares[1, 3], shares[2, 3]) > 5 * shares[0, 1]
        assert shares[0, 1] >= 0.15 / 6

    def test_drawing_by_uncertainty_narrows_the_widest_interval_faster(self):
        """Half of the votes are spent already, all of them on three of the five models."""
        theta = np.array([0.5, 0.25, 0.0, -0.25, -0.5])
        widest = {}
        for even in (0.15, 1.0):
            rng = np.random.default_rng(8)
            votes = drawn(rng, theta[:3], 150)
            left, right, outcome = list(votes.left), list(votes.right), list(votes.outcome)
            for _ in range(150):
                shares = shares_of(fit(Votes(5, left, right, outcome)), even=even)
                a, b = np.unravel_index(rng.choice(25, p=shares.ravel()), (5, 5))
                wins = rng.random() < 1 / (1 + np.exp(theta[b] - theta[a]))
                left, right, outcome = [*left, a], [*right, b], [*outcome, 1 if wins else -1]
            widest[even] = fit(Votes(5, left, right, outcome)).difference_sd().max()
        assert widest[0.15] < 0.95 * widest[1.0]


@pytest.mark.published
class TestRealVotes:
    def test_tulu_votes_give_the_published_order(self):
        votes = tulu()
        assert len(votes) > 700
        found = board(votes, anchor="tulu_7B")
        assert found.both_bad > 0
        assert found.connected
        order = [place.model for place in found.places]
        # Wang et al. 2023: ChatGPT and Tulu 65B ahead of Tulu 65B (human only) and Tulu 7B.
        assert set(order[:2]) == {"chatgpt", "tulu_65B"}

    def test_tulu_without_ties_is_choix(self):
        votes = [vote for vote in tulu() if vote.outcome in ("a", "b")]
        names = sorted({name for vote in votes for name in (vote.a, vote.b)})
        pairs = [(v.a, v.b) if v.outcome == "a" else (v.b, v.a) for v in votes]
        indexed = [(names.index(w), names.index(lost)) for w, lost in pairs]
        theirs = choix.opt_pairwise(len(names), indexed, alpha=0.01, tol=1e-12)
        ours = {p.model: p.plain for p in board(votes, anchor=names[0]).places}
        assert [ours[n] for n in names] == pytest.approx(
            1000 + POINTS * (theirs - theirs[0]), abs=1e-3
        )

    def test_programmers_take_the_first_completion_most_and_it_is_seen(self):
        votes = copilot_arena()
        assert len(votes) > 60
        blank = tuple(style.counts(""))
        votes = [replace(v, style_a=blank, style_b=blank) for v in votes]
        found = board(votes)
        first = next(effect for effect in found.effects if effect.name == "shown first")
        assert first.low > 50
