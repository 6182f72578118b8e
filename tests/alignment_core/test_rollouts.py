"""KL estimators on a discrete toy, advantages, pairs from scored samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alignment.rollouts import (
    chi_squared,
    choose,
    gae,
    grpo,
    k1,
    k2,
    k3,
    most_disputed,
    preference_row,
    remax,
    rloo,
)

P = np.array([0.5, 0.3, 0.15, 0.05])
Q = np.array([0.4, 0.2, 0.3, 0.1])
RATIO = np.log(P / Q)


def test_k1_and_k3_are_unbiased_and_k2_is_not():
    # The expectation over a discrete policy is a finite sum: no sampling error to hide in.
    kl = float((P * RATIO).sum())
    assert float((P * k1(RATIO)).sum()) == pytest.approx(kl)
    assert float((P * k3(RATIO)).sum()) == pytest.approx(kl)
    assert float((P * k2(RATIO)).sum()) != pytest.approx(kl, rel=1e-3)
    assert float((P * chi_squared(RATIO)).sum()) == pytest.approx(float((P**2 / Q).sum() - 1))


def test_k2_and_k3_are_never_negative_and_vanish_at_the_reference():
    grid = torch.linspace(-3, 3, 50)
    assert (k3(grid) >= 0).all()
    assert (k2(grid) >= 0).all()
    assert k3(torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_the_gradient_of_k2_is_that_of_the_kl():
    logits = torch.tensor(np.log(P), requires_grad=True)
    logp = logits.log_softmax(0)
    exact = torch.autograd.grad((logp.exp() * (logp - torch.tensor(np.log(Q)))).sum(), logits)[0]
    logp = logits.log_softmax(0)
    sampled = (torch.tensor(P) * k2(logp - torch.tensor(np.log(Q)))).sum()
    assert torch.allclose(torch.autograd.grad(sampled, logits)[0], exact)


def test_rloo_by_hand_and_its_sum_is_zero():
    rewards = torch.tensor([[1.0, 2.0, 6.0]])
    assert rloo(rewards).tolist() == [[-3.0, -1.5, 4.5]]
    with pytest.raises(ValueError, match="two answers"):
        rloo(torch.zeros(2, 1))


def test_the_leave_one_out_baseline_leaves_a_bandits_gradient_unbiased():
    # Every ordered pair of arms, weighted by its probability: the exact expectation for K = 2.
    reward = np.array([1.0, 3.0, -2.0, 0.5])
    score = np.eye(4) - P
    want = (P * reward) @ score
    got = np.zeros(4)
    for i in range(4):
        for j in range(4):
            advantage = rloo(np.array([[reward[i], reward[j]]]))[0]
            got += P[i] * P[j] * (advantage[0] * score[i] + advantage[1] * score[j]) / 2
    assert got == pytest.approx(want)


def test_grpo_by_hand():
    rewards = torch.tensor([[0.0, 1.0, 2.0], [3.0, 3.0, 3.0]])
    got = grpo(rewards, eps=0.0 + 1e-9)
    assert got[0].tolist() == pytest.approx([-1.0, 0.0, 1.0])
    assert got[1].tolist() == [0.0, 0.0, 0.0]
    assert grpo(rewards, normalise=False)[0].tolist() == [-1.0, 0.0, 1.0]
    assert remax(rewards, torch.tensor([1.0, 2.0]))[1].tolist() == [1.0, 1.0, 1.0]


def test_gae_at_both_ends():
    rewards = torch.tensor([[1.0, 0.0, 2.0]])
    values = torch.tensor([[0.5, 1.0, 1.5]])
    returns = torch.tensor([[3.0, 2.0, 2.0]])
    assert torch.allclose(gae(rewards, values, 1.0, 1.0), returns - values)
    td = rewards + torch.tensor([[1.0, 1.5, 0.0]]) - values
    assert torch.allclose(gae(rewards, values, 1.0, 0.0), td)


def test_the_best_is_paired_with_the_worst():
    scores = np.array([[0.0, 0.2], [2.0, 2.2], [-1.0, 1.0]])
    pair = choose(scores, ["a", "b", "c"])
    assert (pair.chosen, pair.rejected) == (1, 2)
    assert pair.margin == pytest.approx(2.1)
    assert pair.spread == pytest.approx(0.9)
    assert pair.agreement == 1.0


@pytest.mark.parametrize(
    ("scores", "texts", "margin"),
    [
        ([1.0, 1.0], ["a", "b"], 0.0),
        ([1.0, 0.0], ["same", "same"], 0.0),
        ([1.0, 0.5], ["a", "b"], 0.5),
        ([1.0], ["a"], 0.0),
    ],
)
def test_ties_copies_and_small_gaps_give_no_pair(scores, texts, margin):
    assert choose(np.array(scores), texts, margin=margin) is None


def test_a_random_pair_is_ordered_by_score():
    scores = np.arange(6.0)
    for seed in range(5):
        pair = choose(scores, list("abcdef"), "random", rng=np.random.default_rng(seed))
        assert pair.chosen > pair.rejected
    with pytest.raises(ValueError, match="unknown strategy"):
        choose(scores, list("abcdef"), "worst_best")


def test_people_are_asked_where_the_heads_disagree():
    scores = np.array([[0.0, 0.0], [1.0, 1.1], [3.0, -3.0]])
    pair = most_disputed(scores, ["a", "b", "c"])
    assert {pair.chosen, pair.rejected} == {1, 2}
    assert pair.agreement == 0.5
    assert most_disputed(scores, ["x", "x", "x"]) is None


def test_a_preference_row_keeps_tokens_and_labels_by_agreement():
    pair = choose(np.array([[1.0, 0.0, 1.0], [0.0, 0.5, 0.0]]), ["a", "b"])
    base = {"prompt": "[]", "prompt_hash": "h", "prompt_id": "p"}
    chosen = base | {"text": "a", "token_ids": [1, 2]}
    rejected = base | {"text": "b", "token_ids": [3]}
    row = preference_row(chosen, rejected, pair, soft=True)
    assert row["soft_label"] == pytest.approx(2 / 3)
    assert (row["chosen_ids"], row["rejected_ids"]) == ([1, 2], [3])
    assert preference_row(chosen, rejected, pair)["soft_label"] == 1.0


def test_drawing_follows_the_weights_and_never_takes_a_zero():
    from alignment.trainer.generate import draw, truncate_top_p

    weights = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0]).repeat(20000, 1)
    drawn = draw(weights, torch.Generator().manual_seed(0))[:, 0]
    share = torch.bincount(drawn, minlength=6) / 20000
    assert share.tolist() == pytest.approx([0.0, 0.5, 0.0, 0.3, 0.2, 0.0], abs=0.015)
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    kept = truncate_top_p(logits, 0.75).isfinite()[0].tolist()
    assert kept == [True, True, False, False]
    assert torch.equal(truncate_top_p(logits, 1.0), logits)
