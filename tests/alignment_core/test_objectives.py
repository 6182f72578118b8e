"""Objectives: by hand, by identity, against TRL, and their gradients."""

from __future__ import annotations

import inspect
import math
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import logistic

from alignment.objectives import registry
from alignment.objectives.declare import KINDS
from alignment.objectives.pairwise import dpo, f_dpo, hinge, ipo, odpo, robust_dpo
from alignment.objectives.reference_free import cpo, orpo, simpo
from alignment.objectives.unpaired import kto, mismatched_kl

from .numbers import LOG2, batch, lists, one, pair, trl_function, trl_loss, trl_source

# -- by hand


def test_dpo_on_numbers_worked_by_hand():
    # h_w = 2, h_l = -1, D = 3, beta D = 0.3: -log s(0.3) = log(1 + e^-0.3) = 0.554355
    loss = dpo(*one(-10.0, -21.0, -12.0, -20.0), beta=0.1)
    assert loss.item() == pytest.approx(0.5543552, abs=1e-6)
    # Smoothing 0.1 adds 0.1 x 0.3, since -log s(-z) = -log s(z) + z.
    smooth = dpo(*one(-10.0, -21.0, -12.0, -20.0), beta=0.1, label_smoothing=0.1)
    assert smooth.item() == pytest.approx(0.5543552 + 0.03, abs=1e-6)


def test_ipo_hinge_and_odpo_on_numbers_worked_by_hand():
    ends = one(-10.0, -21.0, -12.0, -20.0)
    assert ipo(*ends, tau=0.1).item() == pytest.approx((3 - 5) ** 2)
    tokens = {"chosen_tokens": torch.tensor([2.0]), "rejected_tokens": torch.tensor([4.0])}
    assert ipo(*ends, tau=0.1, per="token", **tokens).item() == pytest.approx((1.25 - 5) ** 2)
    assert hinge(*ends, beta=0.1).item() == pytest.approx(0.7)
    assert hinge(*ends, beta=1.0).item() == 0.0
    offset = odpo(*ends, margin=torch.tensor([math.e]), beta=0.1, alpha=0.3)
    assert offset.item() == pytest.approx(LOG2, abs=1e-6)
    line = odpo(*ends, margin=torch.tensor([3.0]), beta=0.1, alpha=0.1, scale="linear")
    assert line.item() == pytest.approx(LOG2, abs=1e-6)


def test_reference_free_losses_on_numbers_worked_by_hand():
    tokens = {"chosen_tokens": torch.tensor([2.0]), "rejected_tokens": torch.tensor([2.0])}
    chosen, rejected = one(2 * math.log(0.5), 2 * math.log(0.25))
    # Means log 1/2 and log 1/4: gap log 2; beta 2, gamma 1: -log s(2 log 2 - 1).
    want = math.log1p(math.exp(-(2 * LOG2 - 1)))
    assert simpo(chosen, rejected, beta=2.0, gamma_ratio=0.5, **tokens).item() == pytest.approx(
        want
    )
    # Odds 1 and 1/3: log odds ratio log 3, -log s(log 3) = log(4/3).
    want = LOG2 + 0.1 * math.log(4 / 3)
    assert orpo(chosen, rejected, lam=0.1, **tokens).item() == pytest.approx(want)
    loss = cpo(chosen, rejected, beta=1.0, chosen_tokens=tokens["chosen_tokens"])
    assert loss.item() == pytest.approx(math.log1p(1 / 4) + LOG2)


def test_kto_on_numbers_worked_by_hand():
    logps, ref = one(-10.0, -12.0)
    liked = kto(logps, ref, torch.tensor([True]), kl=1.0, beta=0.5)
    assert liked.item() == pytest.approx(1 - 1 / (1 + math.exp(-0.5)))
    disliked = kto(logps, ref, torch.tensor([False]), kl=1.0, beta=0.5)
    assert disliked.item() == pytest.approx(1 - 1 / (1 + math.exp(0.5)))
    assert mismatched_kl(torch.tensor([-3.0]), torch.tensor([-1.0])).item() == 0.0


# -- identities


def test_at_the_reference_dpo_is_log_2_for_every_soft_label():
    v = batch()
    same = dpo(v["chosen"], v["rejected"], v["chosen"], v["rejected"], soft_label=v["soft_label"])
    assert same.numpy() == pytest.approx(LOG2)


def test_dpo_raises_the_chosen_and_lowers_the_rejected():
    v = batch()
    for name in ("chosen", "rejected"):
        v[name].requires_grad_(True)
    dpo(*pair(v)).sum().backward()
    assert (v["chosen"].grad < 0).all()
    assert (v["rejected"].grad > 0).all()


def test_a_tie_pulls_the_gap_to_zero_from_both_sides():
    for gap in (-2.0, 2.0):
        chosen = torch.tensor([gap], dtype=torch.float64, requires_grad=True)
        zero = torch.zeros(1, dtype=torch.float64)
        dpo(chosen, zero, zero, zero, beta=1.0, soft_label=0.5).sum().backward()
        assert math.copysign(1.0, chosen.grad.item()) == math.copysign(1.0, gap)


@pytest.mark.parametrize("tau", [0.05, 0.1, 1.0])
def test_ipo_is_least_at_half_over_tau(tau):
    zero = torch.zeros(1, dtype=torch.float64)
    target = torch.tensor([1 / (2 * tau)], dtype=torch.float64, requires_grad=True)
    loss = ipo(target, zero, zero, zero, tau=tau)
    loss.sum().backward()
    assert loss.item() == pytest.approx(0.0)
    assert target.grad.item() == pytest.approx(0.0)


def test_variants_with_their_extra_switched_off_are_dpo():
    v = batch()
    plain = dpo(*pair(v), beta=0.2)
    ends = pair(v)
    others = {
        "robust": robust_dpo(*ends, beta=0.2, label_smoothing=0.0),
        "odpo": odpo(*ends, margin=v["margin"], beta=0.2, alpha=0.0),
        "odpo at margin 1": odpo(*ends, margin=torch.ones(7), beta=0.2, alpha=2.0),
        "reverse KL": f_dpo(*ends, beta=0.2, divergence="reverse_kl"),
        "alpha to 0": f_dpo(*ends, beta=0.2, divergence="alpha", alpha=1e-9),
    }
    for name, loss in others.items():
        assert loss.numpy() == pytest.approx(plain.numpy(), rel=1e-6), name


def test_f_dpo_derivatives_match_the_textbook_divergences():
    # f(u) by numerical differentiation: an independent route to f'.
    functions = {
        "reverse_kl": lambda u: u * np.log(u),
        "forward_kl": lambda u: -np.log(u),
        "js": lambda u: u * np.log(u) - (u + 1) * np.log((u + 1) / 2),
        "alpha": lambda u: (u**0.5 - 0.5 * u - 0.5) / (0.5 * (0.5 - 1)),
        "chi2": lambda u: u * np.log(u) + (u - 1) ** 2 / 2,
    }
    ends = one(0.4, -0.9, 0.0, 0.0)
    for name, f in functions.items():

        def slope(h, f=f):
            u, e = math.exp(h), 1e-6
            return (f(u + e) - f(u - e)) / (2 * e)

        gap = slope(0.4) - slope(-0.9)
        got = f_dpo(*ends, beta=0.3, divergence=name).item()
        assert got == pytest.approx(math.log1p(math.exp(-0.3 * gap)), rel=1e-6), name


def test_robust_dpo_is_unbiased_under_the_flips_it_assumes():
    v = batch()
    ends = pair(v)
    flipped = [ends[1], ends[0], ends[3], ends[2]]
    e = 0.2
    noisy = (1 - e) * robust_dpo(*ends, label_smoothing=e) + e * robust_dpo(
        *flipped, label_smoothing=e
    )
    assert noisy.numpy() == pytest.approx(dpo(*ends).numpy())


def test_kto_at_the_reference_is_half_the_weight_and_a_class_of_weight_zero_adds_nothing():
    v = batch()
    loss = kto(v["logps"], v["logps"], v["label"], kl=0.0, undesirable_weight=0.0)
    assert loss[v["label"]].numpy() == pytest.approx(0.5)
    assert (loss[~v["label"]] == 0).all()


# -- against TRL


def test_pair_losses_equal_trl():
    v = batch()
    ends, counts = pair(v), {k: v[k] for k in ("chosen_tokens", "rejected_tokens")}
    table = [
        ("sigmoid", {}, dpo(*ends, beta=0.3)),
        ("hinge", {}, hinge(*ends, beta=0.3)),
        ("robust", {"label_smoothing": 0.2}, robust_dpo(*ends, beta=0.3, label_smoothing=0.2)),
        ("ipo", {}, ipo(*ends, tau=0.3, per="token", **counts)),
    ]
    for name, settings, ours in table:
        theirs = trl_loss(name, v, beta=0.3, **settings)
        assert ours.numpy() == pytest.approx(theirs, rel=1e-4), name


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("forward_kl", "forward_kl"), ("js", "js_divergence"), ("alpha", "alpha_divergence")],
)
def test_f_dpo_equals_trl(ours, theirs):
    v = batch()
    loss = f_dpo(*pair(v), beta=0.3, divergence=ours)
    assert loss.numpy() == pytest.approx(trl_loss("sigmoid", v, theirs, beta=0.3), rel=1e-3)


def test_kto_equals_trl():
    v = batch()
    h = v["logps"] - v["ref_logps"]
    scope = {
        "F": torch.nn.functional,
        "self": SimpleNamespace(beta=0.2),
        "kl": v["kl"],
        "chosen_logratios": h,
        "rejected_logratios": h,
    }
    losses = {}
    for side in ("chosen", "rejected"):
        line = re.search(
            rf"{side}_losses = (1 - F\.sigmoid\(.*kl.*\))\n", trl_source("trainer/kto_trainer.py")
        )
        losses[side] = eval(line.group(1), scope)
    want = torch.where(v["label"], losses["chosen"], losses["rejected"])
    got = kto(v["logps"], v["ref_logps"], v["label"], kl=v["kl"], beta=0.2)
    assert got.numpy() == pytest.approx(want.numpy())


def test_reference_free_losses_equal_trl():
    v = batch()
    utils, cpo_file = "experimental/orpo/orpo_trainer.py", "experimental/cpo/cpo_trainer.py"
    log1mexp = trl_function(utils, "log1mexp")
    fake = SimpleNamespace(
        beta=0.3,
        alpha=0.0,
        label_smoothing=0.0,
        simpo_gamma=0.45,
        accelerator=SimpleNamespace(device="cpu"),
    )
    means = [v["chosen"] / v["chosen_tokens"], v["rejected"] / v["rejected_tokens"]]
    counts = {k: v[k] for k in ("chosen_tokens", "rejected_tokens")}
    theirs = trl_function(cpo_file, "cpo_loss")
    fake.loss_type = "simpo"
    want = theirs(fake, *means)[0]
    got = simpo(v["chosen"], v["rejected"], beta=0.3, gamma_ratio=1.5, **counts)
    assert got.numpy() == pytest.approx(want.numpy())
    fake.loss_type = "sigmoid"
    want = theirs(fake, v["chosen"], v["rejected"])[0] - means[0]
    got = cpo(v["chosen"], v["rejected"], beta=0.3, chosen_tokens=v["chosen_tokens"])
    assert got.numpy() == pytest.approx(want.numpy())
    odds = trl_function("experimental/orpo/orpo_trainer.py", "odds_ratio_loss", log1mexp=log1mexp)
    want = -means[0] - odds(fake, *means)[0]
    got = orpo(v["chosen"], v["rejected"], lam=0.3, **counts)
    assert got.numpy() == pytest.approx(want.numpy(), rel=1e-5)


def test_odpo_is_the_log_of_a_shifted_logistic_distribution():
    v = batch()
    gap = 0.3 * ((v["chosen"] - v["ref_chosen"]) - (v["rejected"] - v["ref_rejected"]))
    want = -logistic.logcdf(gap.numpy(), loc=0.5 * np.log(v["margin"].numpy()))
    got = odpo(*pair(v), margin=v["margin"], beta=0.3, alpha=0.5)
    assert got.numpy() == pytest.approx(want)


# -- every objective of the registry

FREE = (
    *("chosen", "rejected", "logps", "probe", "target", "rationale", "degree_logits"),
    *("chosen_token_logps", "rejected_token_logps", "token_logps"),
)


@pytest.mark.parametrize("name", registry.names())
def test_the_gradient_agrees_with_finite_differences(name):
    objective = registry.get(name)
    values = batch() | (lists() if objective.inputs == "lists" else {})
    # Small gaps keep exponentials and squares within reach of finite differences.
    for key, value in values.items():
        if key.endswith(("chosen", "rejected", "logps", "probe", "target", "rationale")):
            values[key] = value * 0.2 if value.is_floating_point() else value
    if name == "nft":
        values["logps"] = values["ref_logps"] + 0.02 * values["advantages"]
    given = {k: values[k] for k in objective.needs}
    free = [k for k in FREE if k in given]
    if name == "mah_dpo":
        given |= {k: torch.stack([given[k], given[k] * 0.9, given[k] * 1.1]) for k in free}
    choices = [{}]
    for key, param in objective.params.items():
        if param.choices:
            choices += [{key: c} for c in param.choices[1:]]
    for choice in choices:
        options = objective.defaults() | choice
        if name == "a_lol" and options["form"] == "ratio":
            # The weight is held constant: within the window the value moves only with log pi.
            given["ref_logps"] = given["logps"].detach() - 5.0
        if name == "rloo":
            # The KL in the reward is held constant, as every part of a reward is.
            options["kl_weight"] = 0.0

        def loss(*tensors, options=options):
            named = dict(zip(free, tensors, strict=True))
            return objective.function(**(given | named), **options)

        ends = [given[k].clone().requires_grad_(True) for k in free]
        assert loss(*ends).shape == (7,)
        assert torch.autograd.gradcheck(loss, ends), (name, choice)


def test_the_gradient_check_covers_every_tensor_that_depends_on_the_policy():
    held = {"label", "kl", "soft_label", "margin", "rate", "scores", "mask", "tokens", "labels"}
    held |= {"advantages", "wins", "wins_chosen", "wins_rejected", "other_margin", "scope"}
    held |= {"degree", "head_mask", "feedback_mask", "sample_logps"}
    for name in registry.names():
        for need in registry.get(name).needs:
            fixed = need.startswith(("ref_", "last_", "old_")) or need.endswith(
                ("_tokens", "_mask")
            )
            fixed = fixed or need.endswith("_rewards") or need in held
            assert (need in FREE) != fixed, (name, need)


@pytest.mark.parametrize("name", registry.names())
def test_far_from_the_reference_losses_and_gradients_stay_finite_in_single_precision(name):
    objective = registry.get(name)
    values = batch() | (lists() if objective.inputs == "lists" else {})
    for sign in (1.0, -1.0):
        given = {}
        for key in objective.needs:
            value = values[key].clone()
            if value.is_floating_point():
                value = value.float()
            tokens = "_token_" in f"_{key}"
            if key in FREE and not tokens and key != "degree_logits":
                # One answer almost certain, the other all but impossible, or the other way round.
                far = sign if key != "rejected" else -sign
                value = torch.full_like(value, -1.0 if far > 0 else -3000.0)
            elif key in FREE and tokens:
                value = torch.full_like(value, -1e-3 if sign > 0 else -95.0)
            elif key.startswith(("ref_", "last_", "old_")):
                value = torch.full_like(value, -0.5 if tokens else -300.0)
            given[key] = value
        for key in FREE:
            if key in given:
                if name == "mah_dpo":
                    given[key] = given[key].expand(3, -1).clone()
                given[key].requires_grad_(True)
        loss = objective.function(**given, **objective.defaults())
        assert loss.isfinite().all(), sign
        loss.sum().backward()
        for key in FREE:
            if key in given and given[key].grad is not None:
                assert given[key].grad.isfinite().all(), (key, sign)


@pytest.mark.parametrize("name", registry.names())
def test_every_objective_declares_what_its_function_takes(name):
    objective = registry.get(name)
    taken = set(inspect.signature(objective.function).parameters)
    assert set(objective.needs) | set(objective.params) == taken
    assert objective.source
    assert objective.reference
    assert objective.inputs in KINDS
    assert objective.function.__doc__
    assert objective.needs_reference == bool(taken & {"ref_chosen", "ref_logps", "ref_token_logps"})


def test_the_registry_is_read_without_torch():
    code = (
        "import sys; from alignment.objectives import registry;"
        "from alignment.trainer.recipes import load_recipe; load_recipe('online-dpo');"
        "import alignment.stats, alignment.rollouts;"
        "print('torch' in sys.modules, 'django' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["False", "False"], result.stderr


def test_an_unknown_objective_is_refused_with_the_known_names():
    with pytest.raises(KeyError, match=r"unknown objective 'dop'; known: dpo"):
        registry.get("dop")
