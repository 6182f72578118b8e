"""Several objectives: MODPO, MAH-DPO, DPA, min-norm weights, Lagrange multipliers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from alignment.objectives import dpo, mah_dpo, modpo
from alignment.objectives.multi import (
    constrained_reward,
    direction,
    direction_prompt,
    min_norm_weights,
    mix_heads,
    noon_advantages,
    select_along,
    update_multipliers,
)

from .numbers import batch, one, pair


def test_modpo_on_numbers_worked_by_hand_and_with_one_objective():
    # D = 3: (0.1 x 3 - 0.1) / 0.5 = 0.4.
    margin = torch.tensor([0.1], dtype=torch.float64)
    loss = modpo(*one(-10.0, -21.0, -12.0, -20.0), other_margin=margin, weight=0.5)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-0.4)))
    v = batch()
    alone = modpo(*pair(v), other_margin=torch.zeros(7), weight=1.0, soft_label=v["soft_label"])
    assert alone.numpy() == pytest.approx(dpo(*pair(v), soft_label=v["soft_label"]).numpy())


def test_modpo_reaches_the_policy_of_the_weighted_reward():
    # Two answers: at the optimum beta D = weighted reward gap, whatever the split of the weights.
    gaps, w = np.array([1.2, -0.7]), np.array([0.3, 0.7])
    p = 1 / (1 + math.exp(-gaps[0]))
    d = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    other = torch.tensor([w[1] * gaps[1]])
    optimiser = torch.optim.LBFGS([d], line_search_fn="strong_wolfe", max_iter=100)

    def closure():
        optimiser.zero_grad()
        loss = modpo(d, zero, zero, zero, other_margin=other, beta=0.5, weight=0.3, soft_label=p)
        loss.sum().backward()
        return loss.sum()

    optimiser.step(closure)
    assert 0.5 * d.item() == pytest.approx(float(w @ gaps), abs=1e-5)


def test_mah_dpo_is_the_mean_over_the_heads_that_judged_a_pair():
    v = batch()
    chosen, rejected = (torch.stack([v[k], v[k] - 1, v[k] + 2]) for k in ("chosen", "rejected"))
    rejected = rejected * 1.01
    ref = (v["ref_chosen"], v["ref_rejected"])
    got = mah_dpo(chosen, rejected, *ref, labels=v["labels"], head_mask=v["head_mask"])
    for i in range(7):
        losses = [
            dpo(
                *(t[h, i : i + 1] for t in (chosen, rejected)),
                *(t[i : i + 1] for t in ref),
                soft_label=v["labels"][h, i],
            ).item()
            for h in range(3)
            if v["head_mask"][h, i]
        ]
        assert got[i].item() == pytest.approx(np.mean(losses) if losses else 0.0)
    alone = mah_dpo(
        chosen[:1], rejected[:1], *ref, labels=torch.ones(1, 7), head_mask=torch.ones(1, 7)
    )
    assert alone.numpy() == pytest.approx(dpo(chosen[0], rejected[0], *ref).numpy())


def test_heads_are_mixed_by_the_users_weights():
    logits = torch.tensor([[[1.0, 2.0]], [[3.0, -2.0]]])
    assert mix_heads(logits, torch.tensor([1.0, 0.0])).tolist() == [[1.0, 2.0]]
    assert mix_heads(logits, torch.tensor([0.25, 0.75])).tolist() == [[2.5, -1.0]]


def test_a_direction_is_a_unit_vector_named_in_the_prompt():
    assert direction([0.0]).tolist() == pytest.approx([1.0, 0.0])
    assert direction([30.0]).tolist() == pytest.approx([math.sqrt(3) / 2, 0.5])
    three = direction([60.0, 45.0])
    assert three.norm().item() == pytest.approx(1.0)
    assert three.tolist() == pytest.approx([0.5, math.sqrt(3 / 8), math.sqrt(3 / 8)])
    text = direction_prompt(direction([36.87]).tolist(), ["helpfulness", "verbosity"])
    assert text.endswith("helpfulness: 80, verbosity: 60.")
    with pytest.raises(ValueError, match="zip"):
        direction_prompt([1.0], ["a", "b"])


def test_a_sweep_of_directions_traces_a_monotone_front():
    g = torch.Generator().manual_seed(0)
    rewards = torch.randn(200, 8, 2, generator=g, dtype=torch.float64)
    front = []
    for angle in np.linspace(0.0, 90.0, 10):
        best = select_along(rewards, direction([angle]))
        front.append(rewards[torch.arange(200), best].mean(0).numpy())
    front = np.array(front)
    assert (np.diff(front[:, 0]) <= 1e-12).all()
    assert (np.diff(front[:, 1]) >= -1e-12).all()
    assert front[0, 0] == pytest.approx(rewards[..., 0].amax(1).mean().item())
    mask = torch.zeros(200, 8, dtype=torch.bool)
    mask[:, 3] = True
    assert (select_along(rewards, direction([10.0]), mask) == 3).all()


# -- min-norm weights


def test_min_norm_weights_of_two_gradients_have_desideris_closed_form():
    g1, g2 = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0])
    # w1 = (g2 - g1).g2 / |g1 - g2|^2 = 1/5.
    assert min_norm_weights(torch.stack([g1, g2])).tolist() == pytest.approx([0.2, 0.8])
    # One gradient is the shorter and acute to the other: it alone.
    shadow = torch.stack([torch.tensor([3.0, 0.0]), torch.tensor([1.0, 0.1])])
    assert min_norm_weights(shadow).tolist() == pytest.approx([0.0, 1.0])
    opposed = torch.stack([torch.tensor([1.0, 0.0]), torch.tensor([-2.0, 0.0])])
    assert min_norm_weights(opposed).tolist() == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize("seed", range(6))
def test_min_norm_weights_equal_a_numerical_solver_and_descend_every_objective(seed):
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(4, 3 if seed % 2 else 8))
    w = min_norm_weights(torch.tensor(g)).numpy()
    assert w.sum() == pytest.approx(1.0)
    assert (w >= 0).all()
    result = minimize(
        lambda x: ((x @ g) ** 2).sum(),
        np.full(4, 0.25),
        jac=lambda x: 2 * g @ (x @ g),
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda x: np.ones(4)},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    assert ((w @ g) ** 2).sum() == pytest.approx(result.fun, abs=1e-8)
    # Every gradient has at least the square of the least norm along the direction.
    assert (g @ (w @ g) >= ((w @ g) ** 2).sum() - 1e-9).all()


def test_many_objectives_are_refused():
    with pytest.raises(ValueError, match="at most 10"):
        min_norm_weights(torch.eye(11))
    assert noon_advantages(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]


# -- constrained rewards


def test_multipliers_stay_zero_under_the_threshold_and_rise_above_it():
    mu, thresholds = torch.zeros(2), torch.tensor([1.0, 2.0])
    mu = update_multipliers(mu, torch.tensor([0.5, 2.5]), thresholds, lr=0.2)
    assert mu.tolist() == pytest.approx([0.0, 0.1])
    mu = update_multipliers(mu, torch.tensor([0.5, 1.0]), thresholds, lr=0.2)
    assert mu.tolist() == pytest.approx([0.0, 0.0])
    capped = update_multipliers(mu, torch.tensor([9.0, 9.0]), thresholds, lr=1.0, cap=3.0)
    assert capped.tolist() == [3.0, 3.0]


def test_the_lagrangian_by_hand_and_its_fixed_point_holds_the_constraint():
    rewards = torch.tensor([[1.0, 4.0], [2.0, 0.0]])
    mu, thresholds = torch.tensor([0.5, 0.0]), torch.tensor([1.0, 2.0])
    assert constrained_reward(rewards, mu, thresholds).tolist() == pytest.approx([5.0, 1.5])
    plain = constrained_reward(rewards, torch.zeros(2), thresholds, torch.tensor([2.0, 1.0]))
    assert plain.tolist() == [6.0, 4.0]
    # A policy with one number a, rewards (a, 2a), cost a^2/2: free optimum a = 3, r_2 <= 2 binds.
    mu, a, bound = torch.zeros(2), 0.0, torch.tensor([9.0, 2.0])
    for _ in range(4000):
        slope = constrained_reward(torch.tensor([1.0, 2.0]), mu, torch.zeros(2)).item()
        a += 0.05 * (slope - a)
        mu = update_multipliers(mu, torch.tensor([a, 2 * a]), bound, lr=0.05)
    assert a == pytest.approx(1.0, abs=1e-2)
    assert mu.tolist() == pytest.approx([0.0, 1.0], abs=1e-2)
