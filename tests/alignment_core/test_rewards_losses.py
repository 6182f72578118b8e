"""Losses, calibration and processing of rewards: by hand, by identity, against independent code."""

from __future__ import annotations

import math
from types import SimpleNamespace

import choix
import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit
from sklearn.isotonic import IsotonicRegression

from alignment.rewards import losses, processing
from alignment.rewards.calibration import fit_isotonic, fit_temperature
from alignment.rewards.likelihood import (
    follow_up,
    implicit_reward,
    prefix_rewards,
    yes_no,
    yes_no_tokens,
)
from alignment.rewards.segments import (
    segment_ends,
    segment_index,
    segment_loss,
    segment_rewards,
    span_labels,
)

from .numbers import LOG2, batch, trl_source


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float64)


# -- pairs, ratings, rankings, reactions


def test_bradley_terry_equals_trls_reward_trainer():
    chosen, rejected, margin = draw(6), draw(6, seed=1), draw(6, seed=2).abs()
    lines = trl_source("trainer/reward_trainer.py").split("\n")
    at = next(i for i, line in enumerate(lines) if 'rewards_rejected - inputs["margin"]' in line)
    centre = next(line for line in lines[at:] if "torch.mean((rewards_chosen" in line)
    scope = {
        "nn": torch.nn,
        "torch": torch,
        "rewards_chosen": chosen,
        "rewards_rejected": rejected,
        "inputs": {"margin": margin},
        "self": SimpleNamespace(args=SimpleNamespace(center_rewards_coefficient=0.03)),
    }
    exec(lines[at].strip(), scope)
    exec(centre.strip(), scope)
    ours = losses.bradley_terry(chosen, rejected, margin=margin, centre=0.03).mean()
    assert ours.item() == pytest.approx(scope["loss"].item())


def test_a_graded_preference_scales_or_shifts_and_at_strength_one_is_plain():
    chosen, rejected = torch.tensor([2.0]), torch.tensor([1.0])
    plain = math.log1p(math.exp(-1))
    three = torch.tensor([3.0])
    assert losses.strength_loss(chosen, rejected, three).item() == pytest.approx(3 * plain)
    margin = losses.strength_loss(chosen, rejected, three, form="margin")
    assert margin.item() == pytest.approx(math.log1p(math.exp(2.0)))
    assert losses.strength_loss(chosen, rejected, three, form="plain").item() == pytest.approx(
        plain
    )
    one = losses.strength_loss(draw(5), draw(5, seed=1), torch.ones(5))
    assert torch.equal(one, losses.bradley_terry(draw(5), draw(5, seed=1)))
    with pytest.raises(ValueError, match="unknown form"):
        losses.strength_loss(chosen, rejected, three, form="x")


def test_ratings_count_only_where_they_were_given():
    predicted = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    ratings = torch.tensor([[3.0, math.nan, 2.0], [math.nan] * 3])
    mask = ~ratings.isnan()
    loss = losses.attribute_mse(predicted, ratings, mask)
    assert loss.tolist() == [2.5, 0.0]
    predicted.requires_grad_(True)
    losses.attribute_mse(predicted, ratings, mask).sum().backward()
    assert predicted.grad.isfinite().all()


def test_a_ranking_of_two_is_a_pair_and_longer_ones_equal_choix():
    r = draw(4, 2)
    pair = losses.ranking(r, torch.tensor([[1.0, 0.0]]).expand(4, 2))
    assert pair.numpy() == pytest.approx(losses.bradley_terry(r[:, 0], r[:, 1]).numpy())
    tie = losses.ranking(r, torch.zeros(4, 2))
    assert tie.numpy() == pytest.approx(
        losses.bradley_terry(r[:, 0], r[:, 1], soft_label=0.5).numpy()
    )
    five = draw(1, 5)
    want = -choix.log_likelihood_rankings([(4, 1, 0, 3, 2)], five[0].numpy())
    got = losses.ranking(five, torch.tensor([[2.0, 3.0, 0.0, 1.0, 4.0]]))
    assert got.item() == pytest.approx(want)


def test_reactions_are_weighed_by_exposure_and_class():
    score = torch.tensor([0.5, -1.0], dtype=torch.float64)
    label = torch.tensor([1.0, 0.0])
    plain = -log_expit(np.array([0.7, 0.8]))
    assert losses.reaction(score, label, bias=0.2).numpy() == pytest.approx(plain)
    exposure = torch.tensor([0.5, 1.0], dtype=torch.float64)
    seen = losses.reaction(score, label, bias=0.2, exposure=exposure, positive_weight=3.0)
    assert seen.numpy() == pytest.approx(plain * [6.0, 1.0])


def test_exposure_weights_leave_the_rate_of_a_like_unbiased():
    # Reactions of likers are recorded twice as often: the weighted optimum is the true rate.
    rate, seen = 0.3, {1.0: 0.8, 0.0: 0.4}
    rows = [(y, seen[y], (rate if y else 1 - rate) * seen[y]) for y in (1.0, 0.0)]

    def value(z: float) -> float:
        score = torch.full((2,), z, dtype=torch.float64)
        y, e, mass = (torch.tensor(c, dtype=torch.float64) for c in zip(*rows, strict=True))
        return float((losses.reaction(score, y, exposure=e) * mass).sum())

    assert expit(minimize_scalar(value).x) == pytest.approx(rate, abs=1e-6)


def test_a_pairwise_logit_and_its_opposite_are_probabilities_that_sum_to_one():
    logit = draw(5)
    p = torch.exp(-losses.preference(logit)) + torch.exp(-losses.preference(-logit))
    assert p.numpy() == pytest.approx(1.0)
    soft = losses.preference(logit, 0.3)
    assert soft.numpy() == pytest.approx(losses.preference(-logit, 0.7).numpy())
    assert losses.preference(torch.zeros(1), 0.3).item() == pytest.approx(LOG2)


def test_the_length_head_is_paid_for_length_and_the_quality_head_fined():
    tokens = torch.arange(6)
    exact = losses.length_decorrelated(torch.ones(6) * 2, 3.0 * tokens + 1, tokens)
    assert exact.item() == pytest.approx(0.0, abs=1e-6)
    q, ell = draw(6), draw(6, seed=4)
    want = 1 - np.corrcoef(ell, tokens)[0, 1] + abs(np.corrcoef(q, tokens)[0, 1])
    assert losses.length_decorrelated(q, ell, tokens, weight=2.0).item() == pytest.approx(2 * want)


def test_reliability_weights_average_and_a_weightless_batch_is_zero():
    values = torch.tensor([1.0, 3.0, 8.0])
    assert losses.weighted_mean(values).item() == 4.0
    assert losses.weighted_mean(values, torch.tensor([1.0, 1.0, 0.0])).item() == 2.0
    assert losses.weighted_mean(values, torch.zeros(3)).item() == 0.0


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: losses.strength_loss(a, b, torch.arange(1.0, 6.0)),
        lambda a, b: losses.strength_loss(a, b, torch.arange(1.0, 6.0), form="margin"),
        lambda a, b: losses.attribute_mse(a[:, None], b[:, None], torch.ones(5, 1) > 0),
        lambda a, b: losses.ranking(torch.stack([a, b, a * b], 1), draw(5, 3).round()),
        lambda a, b: losses.reaction(a - b, torch.arange(5) % 2, exposure=0.5, positive_weight=2),
        lambda a, b: losses.preference(a - b, 0.7),
        lambda a, b: losses.length_decorrelated(a, b, torch.arange(5)),
    ],
)
def test_the_losses_pass_a_gradient_check(loss):
    ends = [draw(5).requires_grad_(True), draw(5, seed=1).requires_grad_(True)]
    assert torch.autograd.gradcheck(loss, ends)


# -- rewards read off a language model


def test_exchanging_yes_and_no_negates_the_score():
    yes, no = draw(4), draw(4, seed=1)
    assert torch.equal(yes_no(yes, no), -yes_no(no, yes))
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
    ids = torch.tensor([0, 1]), torch.tensor([2])
    assert yes_no_tokens(logits, *ids).item() == pytest.approx(0.0, abs=1e-6)
    assert yes_no_tokens(logits, ids[0], torch.tensor([3])).item() == pytest.approx(math.log(0.75))


def test_follow_ups_are_compared_a_token_when_their_lengths_are_given():
    positive, negative = torch.tensor([[-4.0, -8.0]]), torch.tensor([[-9.0]])
    assert follow_up(positive, negative).item() == pytest.approx(3.0)
    tokens = torch.tensor([2.0, 4.0]), torch.tensor([3.0])
    assert follow_up(positive, negative, tokens=tokens).item() == pytest.approx(1.0)


def test_the_implicit_reward_is_the_margin_of_dpo_and_its_tokens_add_up():
    from alignment.objectives import dpo

    v = batch()
    gap = implicit_reward(v["chosen"], v["ref_chosen"], beta=0.3)
    gap = gap - implicit_reward(v["rejected"], v["ref_rejected"], beta=0.3)
    ends = [v[k] for k in ("chosen", "rejected", "ref_chosen", "ref_rejected")]
    assert losses.preference(gap).numpy() == pytest.approx(dpo(*ends, beta=0.3).numpy())
    tokens = implicit_reward(v["token_logps"], v["ref_token_logps"])
    whole = implicit_reward(
        *((v[k] * v["mask"]).sum(1) for k in ("token_logps", "ref_token_logps"))
    )
    assert prefix_rewards(tokens, v["mask"])[:, -1].numpy() == pytest.approx(whole.numpy())


# -- segments


def test_segment_rewards_reproduce_the_span_labels():
    ends = segment_ends([[2, 3], [4]], 6)
    assert ends.long().tolist() == [[0, 1, 0, 0, 1, 0], [0, 0, 0, 1, 0, 0]]
    assert segment_index(ends)[0].tolist() == [0, 0, 1, 1, 1, 2]
    # Tokens 1 to 3 of the first answer: one token in the first segment, two in the second.
    spans = [[(1, 4, 0, 3.0), (2, 4, 1, 2.0)], [(0, 2, 1, 1.0), (1, 3, 1, 0.5)]]
    labels = span_labels(spans, ends, 2)
    assert labels[0, 1].tolist() == pytest.approx([1.0, 0.0])
    assert labels[0, 4].tolist() == pytest.approx([2.0, 2.0])
    assert labels[1, 3].tolist() == pytest.approx([0.0, 1.5])
    assert labels.sum((1, 2)).tolist() == pytest.approx([5.0, 1.5])
    rewards = segment_rewards(labels, ends, torch.tensor([-0.3, -0.5]))
    assert rewards[0].tolist() == pytest.approx([0.0, -0.3, 0.0, 0.0, -1.6, 0.0])
    assert (rewards[~ends] == 0).all()
    beyond = span_labels([[(5, 6, 0, 1.0)], [(9, 9, 0, 1.0)]], ends, 2)
    assert beyond[0, 4, 0].item() == 1.0
    assert beyond[1].sum() == 0


def test_segments_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="longer than 3 tokens"):
        segment_ends([[2, 2]], 3)
    with pytest.raises(ValueError, match="at least one token"):
        segment_ends([[0, 2]], 3)


def test_segment_losses_read_only_the_ends():
    ends = segment_ends([[2, 1], []], 3)
    logits, other = draw(2, 3, 2), draw(2, 3, 2, seed=9)
    labels = (draw(2, 3, 2, seed=1) > 0).double()
    got = segment_loss(logits, labels, ends)
    signed = ((2 * labels - 1) * logits)[0, 1:].numpy()
    want = -log_expit(signed).mean()
    assert got.tolist() == pytest.approx([want, 0.0])
    moved = torch.where(ends[:, :, None], logits, other)
    assert segment_loss(moved, labels, ends).tolist() == pytest.approx(got.tolist())
    steps = segment_loss(logits, torch.tensor([[0, 1, 0], [1, 1, 1]]), ends, kind="class")
    probability = logits.softmax(2)
    want = -(probability[0, 1, 1].log() + probability[0, 2, 0].log()) / 2
    assert steps[0].item() == pytest.approx(want.item())
    assert segment_loss(labels, labels, ends, kind="value").tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="unknown kind"):
        segment_loss(logits, labels, ends, kind="x")


# -- calibration


def test_the_temperature_is_where_a_scalar_minimiser_finds_it():
    rng = np.random.default_rng(0)
    z = rng.normal(size=400) * 3
    y = (rng.random(400) < expit(z / 2.5)).astype(float)
    w = rng.random(400)
    want = minimize_scalar(
        lambda t: -(w * (y * log_expit(z / t) + (1 - y) * log_expit(-z / t))).sum(),
        bounds=(0.05, 50),
        method="bounded",
        options={"xatol": 1e-9},
    ).x
    assert fit_temperature(z, y, w) == pytest.approx(want, rel=1e-5)
    assert fit_temperature(z, expit(z)) == pytest.approx(1.0)
    assert fit_temperature(np.array([1.0, -1.0]), np.array([1.0, 0.0])) == pytest.approx(1e-3)
    assert fit_temperature(np.array([1.0, -1.0]), np.array([0.0, 1.0])) == pytest.approx(1e3)
    with pytest.raises(ValueError, match="two columns"):
        fit_temperature(np.zeros(2), np.zeros(3))


def test_the_isotonic_curve_equals_sklearn():
    rng = np.random.default_rng(1)
    x = rng.normal(size=60).round(1)
    y = (rng.random(60) < expit(x)).astype(float)
    w = rng.random(60) + 0.1
    curve = fit_isotonic(x, y, w)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(x, y, sample_weight=w)
    grid = np.linspace(-4, 4, 81)
    assert curve(grid) == pytest.approx(theirs.predict(grid), abs=1e-7)
    assert (np.diff(curve(grid)) >= -1e-12).all()
    assert fit_isotonic(np.array([1.0, 2.0]), np.array([1.0, 0.0]))(1.5) == pytest.approx(0.5)


# -- processing


def test_log_sigmoid_is_monotone_and_its_sum_behaves_as_and():
    r = torch.linspace(-5, 5, 21, dtype=torch.float64)
    out = processing.log_sigmoid(r, 1.0)
    assert out.numpy() == pytest.approx(log_expit(r.numpy() - 1.0))
    assert (out.diff() > 0).all()
    two = torch.tensor([[9.0, -1.0], [2.0, 2.0]], dtype=torch.float64)
    assert two.sum(1).argmax() == 0
    assert processing.conjunction(two, torch.zeros(2)).argmax() == 1


def test_preference_as_reward_is_bounded_and_averages_its_references():
    r = torch.tensor([[0.0, 50.0, -50.0]], dtype=torch.float64)
    refs = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    out = processing.par(r, refs, k=0.5)
    assert out[0, 0].item() == pytest.approx((0.5 + expit(-1.0)) / 2)
    assert ((out > 0) & (out < 1)).all()


def test_delta_telescopes_and_clip_never_pays():
    r = torch.tensor([[0.4, 0.9, 0.2, 7.0]])
    mask = torch.tensor([[True, True, True, False]])
    delta = processing.delta_steps(r, mask)
    assert delta[0].tolist() == pytest.approx([-0.5, 0.7, 0.2, 0.0])
    assert delta.sum().item() == pytest.approx(0.4)
    assert processing.clip_steps(r, 0.5)[0].tolist() == pytest.approx([-0.1, 0.0, -0.3, 0.0])
    assert processing.clip(r, 0.3, 1.0)[0].tolist() == pytest.approx([0.4, 0.9, 0.3, 1.0])


def test_whitening_has_mean_zero_and_spread_one_over_what_is_kept():
    r = draw(3, 4) * 5 + 2
    mask = draw(3, 4, seed=3) > -0.5
    out = processing.whiten(r, mask)
    assert out[mask].mean().item() == pytest.approx(0.0, abs=1e-12)
    assert out[mask].std().item() == pytest.approx(1.0)
    assert (out[~mask] == 0).all()
    kept = processing.whiten(r, keep_mean=True)
    assert kept.mean().item() == pytest.approx(r.mean().item())
    assert processing.whiten(torch.ones(3)).tolist() == [0.0, 0.0, 0.0]
    assert processing.whiten(torch.ones(1)).tolist() == [0.0]
    scaled = processing.renormalise(torch.tensor([3.0]), torch.tensor([1.0, 3.0, 5.0]))
    assert scaled.tolist() == [0.0]


def test_running_moments_equal_those_of_all_batches_at_once():
    moments = processing.RunningMoments(limit=1.0)
    parts = [draw(n, seed=n) * n + n for n in (1, 5, 7)]
    for part in parts:
        moments.update(part)
    moments.update(torch.zeros(0))
    every = torch.cat(parts)
    assert moments.mean == pytest.approx(every.mean().item())
    assert moments.std == pytest.approx(every.std(unbiased=False).item())
    assert moments(every).abs().max().item() == 1.0
    inner = (every - every.mean()) / every.std(unbiased=False)
    assert moments(every).numpy() == pytest.approx(inner.clamp(-1, 1).numpy())
    assert processing.RunningMoments()(torch.tensor([2.0])).tolist() == [2.0]


def test_length_is_uncorrelated_after_its_slope_is_taken_out():
    lengths = torch.randint(5, 90, (6, 8), generator=torch.Generator().manual_seed(0))
    r = draw(6, 8) + 0.05 * lengths * draw(6, 1, seed=2)
    left = processing.without_length(r, lengths)
    for row in range(6):
        assert np.corrcoef(left[row], lengths[row])[0, 1] == pytest.approx(0.0, abs=1e-9)
        slope = np.polyfit(lengths[row], r[row], 1)[0]
        want = r[row] - slope * (lengths[row] - lengths[row].double().mean())
        assert left[row].numpy() == pytest.approx(want.numpy())
    assert left.mean(1).numpy() == pytest.approx(r.mean(1).numpy())
    pooled = processing.without_length(r, lengths, per_prompt=False)
    assert processing.length_slope(pooled, lengths).item() == pytest.approx(0.0, abs=1e-12)
    given = processing.without_length(r, lengths, slope=processing.length_slope(r, lengths))
    assert torch.equal(given, pooled)
    mask = torch.ones(6, 8, dtype=torch.bool)
    mask[:, 5:] = False
    part = processing.without_length(r, lengths, mask=mask)[:, :5]
    assert part.numpy() == pytest.approx(
        processing.without_length(r[:, :5], lengths[:, :5]).numpy()
    )
    fined = processing.length_penalty(torch.zeros(2), torch.tensor([4, 10]), 0.5, free=6)
    assert fined.tolist() == [0.0, -2.0]


def test_rewards_are_combined_as_named_and_steps_compose():
    r = torch.tensor([[1.0, 4.0], [3.0, -1.0]])
    assert processing.weighted(r, torch.tensor([0.5, 0.25])).tolist() == [1.5, 1.25]
    assert processing.worst(r).tolist() == [1.0, -1.0]
    bound = processing.above_thresholds(r, torch.tensor([9.0, 0.0]))
    assert bound.tolist() == [1.0, -1.0]
    steps = processing.compose(lambda x: x - 2.0, lambda x: processing.clip(x, -1.0, 1.0))
    assert steps(torch.tensor([0.0, 2.5, 9.0])).tolist() == [-1.0, 0.5, 1.0]
    assert torch.equal(processing.compose()(r), r)
