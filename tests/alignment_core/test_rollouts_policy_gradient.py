"""Policy-gradient losses: by hand, against TRL's lines, unbiased on a bandit."""

from __future__ import annotations

import itertools
import math
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from alignment.rollouts import KLBudget, grpo, leave_signal, pairwise, per_answer, remax, rloo
from alignment.rollouts.advantages import gae, token_rewards
from alignment.rollouts.policy_gradient import (
    aggregate,
    clip_share,
    clipped,
    effective_samples,
    engine_weights,
    p3o,
    ppo,
    value_loss,
)

from .numbers import trl_function, trl_source


def draw(*shape: int, seed: int = 0, spread: float = 1.0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return spread * torch.randn(*shape, generator=g, dtype=torch.float64)


MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()


# -- PPO and its averages


def test_the_clipped_surrogate_by_hand():
    old = torch.zeros(4, dtype=torch.float64)
    logps = torch.log(torch.tensor([1.5, 0.5, 1.5, 0.5], dtype=torch.float64))
    a = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    assert clipped(logps, old, a).tolist() == pytest.approx([-1.2, -0.5, 1.5, 0.8])
    higher = clipped(logps, old, a, clip_high=0.4)
    assert higher.tolist() == pytest.approx([-1.4, -0.5, 1.5, 0.8])
    dual = clipped(logps + math.log(3.0), old, a, dual=2.0)
    assert dual.tolist() == pytest.approx([-1.2, -1.2, 2.0, 1.5])
    assert clip_share(logps[None], old[None], torch.ones(1, 4), 0.4).item() == 1.0
    assert clip_share(logps[None], old[None], torch.ones(1, 4), 0.6).item() == 0.0


def test_averages_differ_in_what_a_token_of_a_short_answer_weighs():
    values = torch.tensor([[1.0, 1.0, 1.0, 1.0], [4.0, 4.0, 9.0, 9.0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    assert aggregate(values, mask, "sequence").item() == pytest.approx(2.5)
    assert aggregate(values, mask, "token").item() == pytest.approx(2.0)
    assert aggregate(values, mask, "constant", length=8).item() == pytest.approx(12 / 16)
    with pytest.raises(ValueError, match="needs length"):
        aggregate(values, mask, "constant")
    with pytest.raises(ValueError, match="unknown aggregate"):
        aggregate(values, mask, "mean")


def trl_grpo(loss_type: str, scope: dict) -> float:
    """TRL's own lines from the importance ratio to the loss."""
    source = trl_source("trainer/grpo_trainer.py")
    start = source.index("        coef_1 = torch.exp(log_importance_weights)")
    ratio = source[start : source.index("        # From here, log_importance_weights", start)]
    start = source.index('        if self.loss_type == "cispo":', start)
    token = source[start : source.index('        elif self.loss_type == "vespo":', start)]
    correction = "        if self.use_vllm and self.vllm_importance_sampling_correction and"
    start = source.index(correction, start)
    end = source.index('        elif self.loss_type in ["cispo", "dapo", "vespo"]', start)
    for part in (ratio, token, source[start:end]):
        exec(textwrap.dedent(part), scope)
    return scope["loss"].item()


@pytest.mark.parametrize(
    ("loss_type", "how"), [("grpo", "sequence"), ("bnpo", "token"), ("dr_grpo", "constant")]
)
def test_the_loss_equals_trl(loss_type, how):
    old = draw(3, 4, seed=1)
    logps, ref = old + draw(3, 4, seed=2, spread=0.3), old + draw(3, 4, seed=3, spread=0.3)
    advantages, weights = draw(3, seed=4), draw(3, 4, seed=5).exp()
    names = {
        "loss_type": loss_type,
        "beta": 0.1,
        "epsilon_low": 0.2,
        "epsilon_high": 0.28,
        "max_completion_length": 6,
        "off_policy_mask_threshold": None,
        "use_vllm": True,
        "vllm_importance_sampling_correction": True,
        "current_gradient_accumulation_steps": 1,
        "use_bias_correction_kl": False,
        "args": SimpleNamespace(delta=None, use_bias_correction_kl=False),
        "model": SimpleNamespace(training=False),
    }
    scope = {
        "torch": torch,
        "self": SimpleNamespace(**names),
        "inputs": {"ref_per_token_logps": ref, "importance_sampling_ratio": weights},
        "log_importance_weights": logps - old,
        "per_token_logps": logps,
        "advantages": advantages[:, None],
        "mask": MASK.double(),
        "entropy_mask": None,
    }
    want = trl_grpo(loss_type, scope)
    options = {"clip_high": 0.28, "ref_logps": ref, "kl_weight": 0.1, "weights": weights}
    got = ppo(logps, old, advantages, MASK, **options, how=how, length=6)
    assert got.item() == pytest.approx(want)


def test_the_value_loss_by_hand():
    values, old = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    returns, mask = torch.tensor([[3.0, 1.0]]), torch.ones(1, 2)
    # Held value 1.2: error 3.24 beats 1; the second stays 1.
    assert value_loss(values, old, returns, mask).item() == pytest.approx(0.5 * (3.24 + 1) / 2)
    free = value_loss(values, old, returns, mask, clip=None)
    assert free.item() == pytest.approx(0.5)


@pytest.mark.parametrize("form", ["ppo", "constant", "value", "p3o"])
def test_the_gradients_agree_with_finite_differences(form):
    old = draw(3, 4, seed=1)
    start = (old + draw(3, 4, seed=2, spread=0.1)).requires_grad_(True)

    def loss(x):
        if form == "value":
            return value_loss(x, old, draw(3, 4, seed=5), MASK)
        if form == "p3o":
            return p3o(x[:, :2], old[:, :2], draw(3, 2, seed=6), form="separate")
        extra = {"how": "constant", "length": 4} if form == "constant" else {}
        return ppo(x, old, draw(3, seed=4), MASK, ref_logps=old, kl_weight=0.1, **extra)

    assert torch.autograd.gradcheck(loss, [start])


# -- advantages


def test_leave_one_out_and_group_normalisation_equal_trl():
    rewards = draw(3, 4)
    nanstd = trl_function("trainer/utils.py", "nanstd")
    group = rewards
    want = (group - group.mean(1, keepdim=True)) / (nanstd(group, dim=1)[:, None] + 1e-4)
    assert grpo(rewards).numpy() == pytest.approx(want.numpy())
    lines = trl_source("trainer/rloo_trainer.py")
    lines = lines[lines.index("        scorable_counts = ") :]
    scope = {
        "torch": torch,
        "grouped_rewards": rewards,
        "num_generations": 4,
        "rewards": rewards.flatten(),
    }
    exec(textwrap.dedent(lines[: lines.index("        else:  #")]), scope)
    assert rloo(rewards).flatten().numpy() == pytest.approx(scope["advantages"].numpy())


def test_groups_of_equal_rewards_are_filtered():
    rewards = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0], [2.0, 2.001, 2.0]])
    assert leave_signal(rewards).tolist() == [False, True, True]
    assert leave_signal(rewards.numpy(), 0.01).tolist() == [False, True, False]


def test_pairwise_advantages_are_win_rates_less_a_half_and_sum_to_zero():
    p = np.array([[[0.5, 0.9, 0.2], [0.1, 0.5, 0.7], [0.8, 0.3, 0.5]]])
    got = pairwise(p)
    assert got[0].tolist() == pytest.approx([0.05, -0.1, 0.05])
    assert got.sum() == pytest.approx(0.0)
    assert pairwise(torch.tensor(p)).numpy() == pytest.approx(got)


def test_token_rewards_put_the_score_at_the_last_kept_token():
    ratio = torch.tensor([[0.5, -0.5, 9.0], [1.0, 1.0, 1.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    got = token_rewards(torch.tensor([2.0, -7.0]), ratio, mask, beta=0.1, clip=5.0)
    assert got[0].tolist() == pytest.approx([-0.05, 2.05, 0.0])
    assert got[1].tolist() == pytest.approx([-0.1, -0.1, -5.1])
    # At lambda 1 and no values, the first advantage is the score less the whole KL.
    assert gae(got, torch.zeros(2, 3), lam=1.0)[0, 0].item() == pytest.approx(2.0)


PROBABILITY = np.array([0.5, 0.3, 0.15, 0.05])
REWARD = np.array([1.0, 3.0, -2.0, 0.5])
GRADIENT = (PROBABILITY * REWARD) @ (np.eye(4) - PROBABILITY)


def expected_gradient(loss, k: int, shift: float = 0.0) -> np.ndarray:
    """Exact expectation over every draw of k arms of the gradient of a loss on logits, negated."""
    total = np.zeros(4)
    for arms in itertools.product(range(4), repeat=k):
        logits = torch.tensor(np.log(PROBABILITY), requires_grad=True)
        logps = logits.log_softmax(0)[list(arms)]
        loss(logps, torch.tensor(REWARD[list(arms)] + shift)).backward()
        total -= PROBABILITY[list(arms)].prod() * logits.grad.numpy()
    return total


@pytest.mark.parametrize("form", ["joint", "separate"])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_p3o_is_unbiased_and_does_not_see_what_is_added_to_every_reward(form, shift):
    def loss(logps, rewards):
        return p3o(logps[None], logps.detach()[None], rewards[None], form=form).sum()

    assert expected_gradient(loss, 2, shift) == pytest.approx(GRADIENT, rel=1e-9)


def test_an_unclipped_step_on_policy_has_the_bandits_gradient():
    def loss(logps, rewards):
        advantage = rloo(rewards[None])[0]
        tokens = logps[:, None], logps.detach()[:, None]
        return ppo(*tokens, advantage, torch.ones(3, 1).bool(), how="sequence")

    assert expected_gradient(loss, 3) == pytest.approx(GRADIENT)


@pytest.mark.parametrize("baseline", ["greedy", "group mean"])
def test_baselines_leave_the_gradient_unbiased_up_to_its_length(baseline):
    def loss(logps, rewards):
        if baseline == "greedy":
            advantage = remax(rewards[None], torch.tensor([REWARD[0]]))[0]
        else:
            advantage = grpo(rewards[None], normalise=False)[0]
        return -(advantage * logps).mean()

    # The group's mean holds the answer itself: two thirds of the gradient for three answers.
    share = 1.0 if baseline == "greedy" else 2 / 3
    assert expected_gradient(loss, 3) == pytest.approx(share * GRADIENT)


def test_a_kl_weight_without_a_reference_is_refused():
    tokens = draw(3, 4)
    with pytest.raises(ValueError, match="needs ref_logps"):
        ppo(tokens, tokens, draw(3), MASK, kl_weight=0.1)


def test_joint_p3o_stops_where_the_pair_has_moved_far_enough():
    old = torch.zeros(2, 2, dtype=torch.float64)
    logps = torch.tensor([[0.3, 0.0], [-0.3, 0.0]], dtype=torch.float64, requires_grad=True)
    p3o(logps, old, torch.tensor([[1.0, 0.0], [1.0, 0.0]])).sum().backward()
    assert logps.grad[0].tolist() == [0.0, 0.0]
    weight = math.exp(-0.3)
    assert logps.grad[1].tolist() == pytest.approx([-0.5 * weight, 0.5 * weight])
    with pytest.raises(ValueError, match="unknown form"):
        p3o(logps, old, old, form="x")


# -- engine against trainer


@pytest.mark.parametrize(
    "mode", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
)
def test_importance_weights_equal_trl(mode):
    source = trl_source("trainer/grpo_trainer.py")
    start = source.index("                per_token_logps_diff = (old_per_token_logps")
    end = source.index("                else:\n                    raise ValueError", start)
    engine = draw(3, 4)
    engine[0, 1] = torch.nan
    trainer = torch.nan_to_num(engine) + draw(3, 4, seed=1, spread=0.7)
    scope = {
        "torch": torch,
        "math": math,
        "mask": MASK.double(),
        "old_per_token_logps": trainer,
        "sampling_per_token_logps": engine,
        "self": SimpleNamespace(
            vllm_importance_sampling_mode=mode,
            vllm_importance_sampling_clip_min=0.5,
            vllm_importance_sampling_clip_max=1.5,
        ),
    }
    exec(textwrap.dedent(source[start:end]), scope)
    want = scope["vllm_importance_sampling_ratio"].expand(3, 4) * MASK
    level, how = mode.split("_")
    got = engine_weights(trainer, engine, MASK, level=level, mode=how, low=0.5, high=1.5)
    assert got.numpy() == pytest.approx(want.numpy())


def test_importance_weights_mend_the_bias_of_a_mismatched_engine():
    # Samples come from the engine's probabilities, the gradient should be the trainer's.
    engine = np.array([0.4, 0.4, 0.1, 0.1])
    got = np.zeros(4)
    for arm in range(4):
        logits = torch.tensor(np.log(PROBABILITY), requires_grad=True)
        logps = logits.log_softmax(0)[arm].view(1, 1)
        mask = torch.ones(1, 1).bool()
        drawn = torch.tensor([[math.log(engine[arm])]])
        w = engine_weights(logps.detach(), drawn, mask, high=None)
        loss = ppo(logps, logps.detach(), torch.tensor([REWARD[arm]]), mask, weights=w)
        loss.backward()
        got -= engine[arm] * logits.grad.numpy()
    assert got == pytest.approx(GRADIENT)
    same = engine_weights(draw(3, 4), draw(3, 4), MASK)
    assert same.tolist() == MASK.double().tolist()
    assert effective_samples(torch.ones(7)).item() == pytest.approx(7.0)
    assert effective_samples(torch.tensor([1.0, 0.0, 0.0])).item() == pytest.approx(1.0)
    for option in ("level", "mode"):
        with pytest.raises(ValueError, match=f"unknown {option}"):
            engine_weights(draw(3, 4), draw(3, 4), MASK, **{option: "x"})


# -- KL of answers


def test_token_estimates_add_up_to_the_kl_of_whole_answers():
    # Two tokens of a small vocabulary, the second depending on the first: every answer enumerated.
    first, ref_first = np.array([0.7, 0.3]), np.array([0.4, 0.6])
    second = np.array([[0.2, 0.8], [0.5, 0.5]])
    ref_second = np.array([[0.5, 0.5], [0.9, 0.1]])
    probability, ratios = [], []
    for i, j in itertools.product(range(2), range(2)):
        probability.append(first[i] * second[i, j])
        ratios.append([np.log(first[i] / ref_first[i]), np.log(second[i, j] / ref_second[i, j])])
    probability, ratios = np.array(probability), np.array(ratios)
    mask = np.ones((4, 2))
    exact = float((probability * ratios.sum(1)).sum())
    for estimator in ("k1", "k3"):
        got = float((probability * per_answer(ratios, mask, estimator)).sum())
        assert got == pytest.approx(exact), estimator
    chi = float((probability * per_answer(ratios, mask, "chi_squared")).sum())
    assert chi == pytest.approx(float((probability * np.exp(ratios.sum(1))).sum() - 1))
    with pytest.raises(ValueError, match="unknown estimator"):
        per_answer(ratios, mask, "k9")


def test_a_budget_is_exceeded_by_the_upper_end_of_the_estimate():
    budget = KLBudget(1.0, z=1.0)
    assert not budget.exceeded([])
    assert not budget.exceeded([0.9, 0.9])
    assert budget.exceeded([0.5, 1.3])
    assert not KLBudget(1.0, z=0.0).exceeded([0.5, 1.3])
