"""P[Love]: measures, calibration, exposure correction and what follow-ups say."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from feedback.love import followup, measure
from feedback.love.calibrate import calibrate, isotonic, platt
from feedback.love.evaluate import convai
from feedback.love.followup import Next
from feedback.love.model import Seen, cross_predict, fit, inverse_weights, propensities
from tests.published import DATA


class TestMeasures:
    def test_auroc_by_hand(self):
        # pairs: (.8 > .5), (.8 > .3), (.5 = .5 half), (.5 > .3) -> 3.5 of 4
        y, score = np.array([1, 1, 0, 0]), np.array([0.8, 0.5, 0.5, 0.3])
        assert measure.auroc(y, score) == pytest.approx(3.5 / 4)

    def test_auroc_is_sklearns_also_with_weights(self):
        rng = np.random.default_rng(0)
        y, score, w = rng.random(300) < 0.4, rng.integers(20, size=300) / 20, rng.random(300)
        assert measure.auroc(y, score) == pytest.approx(roc_auc_score(y, score))
        expected = roc_auc_score(y, score, sample_weight=w)
        assert measure.auroc(y, score, w) == pytest.approx(expected)

    def test_calibration_error_of_the_truth_is_small_and_of_a_boast_is_not(self):
        rng = np.random.default_rng(1)
        p = rng.random(4000)
        y = rng.random(4000) < p
        assert measure.ece(y, p) < 0.03
        assert measure.ece(y, np.clip(p * 2, 0, 1)) > 0.15

    def test_an_interval_of_people_is_wider_than_one_of_acts(self):
        rng = np.random.default_rng(2)
        group = np.repeat(np.arange(40), 20)
        y = rng.random(800) < np.repeat(rng.beta(1, 1, 40), 20)
        score = np.repeat(rng.random(40), 20)
        by_people = measure.interval(measure.auroc, y, score, group=group)
        by_acts = measure.interval(measure.auroc, y, score, group=np.arange(800))
        assert by_people[2] - by_people[1] > 2 * (by_acts[2] - by_acts[1])


class TestCalibration:
    def test_isotonic_is_sklearns(self):
        rng = np.random.default_rng(3)
        score, w = rng.normal(size=400), rng.random(400)
        y = (rng.random(400) < 1 / (1 + np.exp(-score))).astype(float)
        theirs = IsotonicRegression(out_of_bounds="clip").fit(score, y, sample_weight=w)
        at = np.linspace(-3, 3, 50)
        assert isotonic(score, y, w)(at) == pytest.approx(theirs.predict(at), abs=1e-9)

    def test_platt_finds_the_sigmoid_the_labels_came_from(self):
        rng = np.random.default_rng(4)
        score = rng.normal(size=20_000)
        y = (rng.random(20_000) < 1 / (1 + np.exp(-(0.5 + 2 * score)))).astype(float)
        found = platt(score, y, np.ones(len(y)))
        assert found.x == pytest.approx([0.5, 2.0], abs=0.1)

    def test_few_labels_get_the_sigmoid(self):
        score = np.linspace(-1, 1, 40)
        assert calibrate(score, score > 0.2).kind == "platt"
        many = np.linspace(-1, 1, 800)
        assert calibrate(many, many > 0.2).kind == "isotonic"


def reactions(rng, n: int, *, shy: float = 0.0):
    """Answers in three manners with known P[Love]; people react more to what they dislike."""
    manner = rng.integers(3, size=n)
    words = np.array(["Sure, warmly done with joy.", "It is so.", "I cannot help with that."])
    love = np.array([0.85, 0.55, 0.25])[manner]
    loved = rng.random(n) < love
    chance = np.array([0.15, 0.3, 0.15 + shy])[manner]
    reacted = rng.random(n) < chance
    answers = [f"{words[m]} {rng.integers(9)}" for m in manner]
    seen = Seen(["Hello?"] * n, answers, np.where(reacted, loved, np.nan), np.ones(n),
                rng.integers(n // 8, size=n))  # fmt: skip
    return seen, love, reacted


class TestLove:
    def test_it_finds_the_probabilities_reactions_came_from(self):
        seen, love, _ = reactions(np.random.default_rng(5), 3000)
        found = fit(seen).predict(seen.prompts, seen.answers)
        assert np.abs(found - love).mean() < 0.06

    def test_the_correction_gives_the_rate_of_all_that_was_seen(self):
        seen, love, reacted = reactions(np.random.default_rng(6), 6000, shy=0.6)
        from feedback.love.model import features

        x = features(seen.prompts, seen.answers)
        weight = inverse_weights(propensities(x, reacted, seen.group), reacted)[reacted]
        y = seen.loved[reacted]
        plain, corrected = y.mean(), np.average(y, weights=weight)
        assert abs(plain - love.mean()) > 0.08
        assert abs(corrected - love.mean()) < 0.03

    def test_a_reaction_without_trust_teaches_nothing(self):
        rng = np.random.default_rng(7)
        seen, love, _ = reactions(rng, 3000)
        lying = rng.random(3000) < 0.3
        turned = np.where(lying, 1 - seen.loved, seen.loved)
        trusted = Seen(seen.prompts, seen.answers, turned, np.where(lying, 0.0, 1.0), seen.group)
        believed = Seen(seen.prompts, seen.answers, turned, seen.trust, seen.group)
        error = [
            np.abs(fit(one).predict(seen.prompts, seen.answers) - love).mean()
            for one in (trusted, believed)
        ]
        assert error[0] < 0.08 < error[1]

    def test_predicted_love_of_policies_follows_their_live_rate(self):
        """R6: eight policies that mix the manners differently; rank correlation over 0.8."""
        rng = np.random.default_rng(8)
        seen, _, _ = reactions(rng, 3000)
        model = fit(seen)
        by_text = dict(zip(seen.answers, range(len(seen.answers)), strict=True))
        texts, live, predicted = list(by_text), [], []
        for _ in range(8):
            mix = rng.dirichlet([1, 1, 1])
            kinds = ["Sure", "It is", "I cannot"]
            share = np.array(
                [next(m for m, k in zip(mix, kinds, strict=True) if t.startswith(k)) for t in texts]
            )
            chosen = rng.choice(len(texts), size=400, p=share / share.sum())
            answers = [texts[i] for i in chosen]
            predicted.append(model.predict(["Hello?"] * 400, answers).mean())
            live.append(float(mix @ [0.85, 0.55, 0.25]))
        order = [np.argsort(np.argsort(one)) for one in (live, predicted)]
        assert np.corrcoef(*order)[0, 1] > 0.8

    def test_one_kind_of_reaction_is_not_enough(self):
        seen = Seen(["a"] * 4, ["b"] * 4, np.ones(4), np.ones(4), np.arange(4))
        with pytest.raises(ValueError, match="both kinds"):
            fit(seen)

    def test_people_are_never_on_both_sides(self):
        # Each person has a word of their own and one opinion: only a leak could predict it.
        rng = np.random.default_rng(9)
        person = np.repeat(np.arange(80), 5)
        opinion = rng.integers(2, size=80)[person].astype(float)
        seen = Seen(["?"] * 400, [f"word{p}" for p in person], opinion, np.ones(400), person)
        assert abs(measure.auroc(opinion, cross_predict(seen)) - 0.5) < 0.15


class TestFollowUps:
    def test_thanks_speak_for_an_answer_and_repeating_against_it(self):
        question, answer = "How do I boil an egg?", "Put it in boiling water for six minutes."
        asked = [
            Next(question, answer, "Thanks, great!"),
            Next(question, answer, "Six minutes from which moment?"),
            Next(question, answer, "No, that is wrong. How do I boil an egg?"),
        ]
        first, second, third = followup.unlabelled(asked)
        assert first > second > third

    def test_signals_are_learnt_from_an_audited_sample(self):
        rng = np.random.default_rng(10)
        liked = rng.random(600) < 0.6
        copied = rng.random(600) < np.where(liked, 0.5, 0.05)
        again = rng.random(600) < np.where(liked, 0.05, 0.4)
        following = [
            Next("Q", "A", "", {"copy": float(c), "regenerate": float(r)})
            for c, r in zip(copied, again, strict=True)
        ]
        p = followup.cross_predict(following, liked, rng.integers(100, size=600))
        assert measure.auroc(liked, p) > 0.7
        assert measure.ece(liked, p) < 0.08
        fitted = followup.fit(following, liked, np.arange(600))
        copy, nothing, regenerate = fitted.predict(
            [Next("Q", "A", "", s) for s in ({"copy": 1}, {}, {"regenerate": 1})]
        )
        assert copy > nothing > regenerate

    @pytest.mark.published
    def test_the_next_words_of_real_users_rank_what_they_rated_above_chance(self):
        data = convai(DATA)
        said = np.isfinite(data.loved)
        rated = [one for one, is_said in zip(data.following, said, strict=True) if is_said]
        y, group = data.loved[said], data.group[said]
        p = followup.cross_predict(rated, y, group)
        _, low, _ = measure.interval(measure.auroc, y > 0.5, p, group=group)
        assert low > 0.5
