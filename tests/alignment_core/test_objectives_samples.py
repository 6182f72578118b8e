"""Objectives on single answers and texts: NFT, A-LoL, supervised forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from alignment.objectives import a_lol, chain_of_hindsight, nft, nll, superhf
from alignment.objectives.supervised import pit_gap_loss, pit_reward, superhf_exact
from alignment.objectives.unpaired import balance

from .numbers import LOG2, batch

# -- NFT


def test_nft_is_the_likelihood_of_the_policies_it_implies():
    # Old policy = r x good + (1 - r) x bad: what is not good under the new policy is bad.
    old = np.array([0.5, 0.3, 0.2])
    new = np.array([0.55, 0.25, 0.2])
    rate = 0.6
    bad = (old - rate * new) / (1 - rate)
    assert bad.sum() == pytest.approx(1.0)
    ends = torch.tensor(np.log(new)), torch.tensor(np.log(old))
    rates = torch.full((3,), rate, dtype=torch.float64)
    liked = nft(*ends, torch.ones(3), rate=rates)
    assert liked.numpy() == pytest.approx(-np.log(new / old))
    disliked = nft(*ends, torch.zeros(3), rate=rates)
    assert disliked.numpy() == pytest.approx(-np.log(bad / old))


def test_nft_on_policy_pulls_by_one_and_pushes_by_the_odds():
    logps = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    rate = torch.tensor([0.75, 0.75], dtype=torch.float64)
    loss = nft(logps, logps.detach(), torch.tensor([True, False]), rate=rate)
    assert loss.tolist() == [0.0, 0.0]
    loss.sum().backward()
    assert logps.grad.tolist() == pytest.approx([-1.0, 3.0])
    # As GRPO weighs them: (1 - r)/sqrt(r(1 - r)) and r/sqrt(r(1 - r)).
    logps.grad = None
    nft(
        logps, logps.detach(), torch.tensor([True, False]), rate=rate, normalise="grpo"
    ).sum().backward()
    spread = math.sqrt(0.75 * 0.25)
    assert logps.grad.tolist() == pytest.approx([-0.25 / spread, 0.75 / spread])
    scaled = nft(torch.zeros(1), torch.ones(1), torch.ones(1), rate=rate[:1], normalise="rate")
    assert scaled.item() == pytest.approx(0.25)
    with pytest.raises(ValueError, match="unknown normalise"):
        nft(logps, logps, torch.ones(2), rate=rate, normalise="x")


def test_nft_keeps_a_gradient_where_the_implied_likelihood_runs_out():
    logps = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    loss = nft(logps, torch.zeros(1), torch.tensor([False]), rate=torch.tensor([0.5]))
    assert loss.item() == pytest.approx(-math.log(1e-3))
    loss.sum().backward()
    assert logps.grad.item() > 0


def test_classes_are_balanced_and_an_absent_class_weighs_nothing():
    assert balance(torch.tensor([1, 1, 1, 0])) == pytest.approx((4 / 6, 2.0))
    assert balance(torch.tensor([1, 1])) == pytest.approx((0.5, 0.0))


# -- A-LoL


def test_a_lol_by_hand_and_only_where_the_answer_beats_its_prompts_value():
    logps = torch.tensor([-10.0, -10.0, -10.0], dtype=torch.float64)
    ref = torch.tensor([-10.0, -12.0, -10.0], dtype=torch.float64)
    advantage = torch.tensor([0.5, 1.0, -2.0], dtype=torch.float64)
    assert a_lol(logps, ref, advantage).tolist() == pytest.approx([5.0, 19.0, 0.0])
    assert a_lol(logps, ref, advantage, form="ref_free").tolist() == [5.0, 10.0, 0.0]
    kl = a_lol(logps, ref, advantage, form="kl", kl_weight=0.2)
    assert kl.tolist() == pytest.approx([5.0, 10.4, 0.0])
    with pytest.raises(ValueError, match="unknown form"):
        a_lol(logps, ref, advantage, form="x")


def test_the_gradient_of_a_lol_is_the_clipped_weight_times_the_score():
    v = batch()
    logps = (v["ref_logps"] + 0.3 * v["advantages"].flip(0)).requires_grad_(True)
    a_lol(logps, v["ref_logps"], v["advantages"], clip=0.2).sum().backward()
    ratio = np.exp((logps.detach() - v["ref_logps"]).numpy())
    weight = np.minimum(np.maximum(ratio, 0.8), 1.2)
    a = v["advantages"].numpy()
    assert logps.grad.numpy() == pytest.approx(np.where(a > 0, -a * weight, 0.0))


# -- supervised


def test_the_likelihood_of_selected_text_equals_torch():
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 6, generator=g, dtype=torch.float64)
    ids = torch.randint(0, 6, (2, 4), generator=g)
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    own = logits.log_softmax(2).gather(2, ids[:, :, None])[:, :, 0]
    for row in range(2):
        n = int(mask[row].sum())
        want = torch.nn.functional.cross_entropy(logits[row, :n], ids[row, :n])
        assert nll(own, mask)[row].item() == pytest.approx(want.item())
        assert nll(own, mask, per="sum")[row].item() == pytest.approx(n * want.item())
    assert nll(own, torch.zeros_like(mask)).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="unknown per"):
        nll(own, mask, per="word")


def test_superhf_estimates_the_exact_divergence_and_without_it_is_raft():
    g = torch.Generator().manual_seed(1)
    logits, ref = (torch.randn(1, 1, 5, generator=g, dtype=torch.float64) for _ in range(2))
    p = logits.softmax(2)[0, 0]
    mask = torch.ones(1, 1, dtype=torch.bool)
    rows = []
    for token in range(5):
        ids = torch.tensor([[token]])
        own, prior = (x.log_softmax(2)[:, :, token] for x in (logits, ref))
        rows.append(superhf(own, prior, mask, kl_weight=0.7) - nll(own, mask))
        exact = superhf_exact(logits, ref, ids, mask, kl_weight=0.7) - nll(own, mask)
        kl = torch.nn.functional.kl_div(
            ref.log_softmax(2), logits.log_softmax(2), log_target=True, reduction="sum"
        )
        assert exact.item() == pytest.approx(0.7 * kl.item())
        assert torch.equal(superhf(own, prior, mask, kl_weight=0.0), nll(own, mask))
    assert float((p * torch.cat(rows)).sum()) == pytest.approx(exact.item())


def test_chain_of_hindsight_leaves_the_words_of_feedback_out():
    v = batch()
    got = chain_of_hindsight(v["token_logps"], v["mask"], v["feedback_mask"])
    for i in range(7):
        kept = [
            float(v["token_logps"][i, t])
            for t in range(5)
            if v["mask"][i, t] and not v["feedback_mask"][i, t]
        ]
        assert got[i].item() == pytest.approx(-np.mean(kept))
    none = torch.zeros_like(v["feedback_mask"])
    plain = chain_of_hindsight(v["token_logps"], v["mask"], none, per="sum")
    assert plain.numpy() == pytest.approx(nll(v["token_logps"], v["mask"], per="sum").numpy())


def test_pits_gap_is_ranked_and_zero_gaps_cost_four_logs_of_two():
    zero = torch.zeros(1, dtype=torch.float64)
    assert pit_gap_loss(zero, zero, zero, zero).item() == pytest.approx(4 * LOG2)
    good = pit_gap_loss(zero + 2, zero - 2, zero, zero)
    assert good.item() == pytest.approx(4 * math.log1p(math.exp(-2.0)))
    assert pit_gap_loss(zero - 2, zero + 2, zero, zero).item() > 4 * LOG2
    assert pit_reward(torch.tensor([2.0]), torch.tensor([0.5])).item() == 1.5
