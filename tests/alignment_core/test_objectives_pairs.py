"""Further objectives on pairs: by hand, by identity, against TRL and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from alignment.objectives import (
    aot,
    apo,
    bco,
    c3po,
    cpl,
    degree_dpo,
    discopop,
    dpo,
    exo,
    hypo,
    nca,
    rationale_dpo,
    selm,
    slic,
    token_regularised_dpo,
    vpo,
    xpo,
)
from alignment.objectives.degree import contrast_rewards
from alignment.objectives.reference_free import cpo
from alignment.objectives.variants import length_desensitised, soft_label_from_gap, wpo_weights

from .numbers import LOG2, batch, one, pair, trl_loss

# h_w = 2, h_l = -1, D = 3.
HAND = (-10.0, -21.0, -12.0, -20.0)


def s(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# -- variants


@pytest.mark.parametrize(
    ("ours", "options", "theirs", "settings"),
    [
        (exo, {"label_smoothing": 0.1}, "exo_pair", {"label_smoothing": 0.1}),
        (nca, {}, "nca_pair", {}),
        (bco, {}, "bco_pair", {}),
        (apo, {"anchor": "zero"}, "apo_zero", {}),
        (apo, {"anchor": "down"}, "apo_down", {}),
        (aot, {"label_smoothing": 0.1}, "aot", {"label_smoothing": 0.1}),
        (aot, {"paired": "no"}, "aot_unpaired", {}),
        (discopop, {}, "discopop", {}),
    ],
)
def test_variants_equal_trl(ours, options, theirs, settings):
    v = batch()
    got = ours(*pair(v), beta=0.3, **options)
    assert got.numpy() == pytest.approx(trl_loss(theirs, v, beta=0.3, **settings), rel=1e-4)


def test_variants_on_numbers_worked_by_hand():
    ends = one(*HAND)
    assert nca(*ends, beta=1.0).item() == pytest.approx(
        -math.log(s(2)) - 0.5 * (math.log(s(-2)) + math.log(s(1)))
    )
    assert bco(*ends, beta=1.0, shift=0.5).item() == pytest.approx(
        -math.log(s(1.5)) - math.log(s(1.5))
    )
    assert apo(*ends, beta=1.0).item() == pytest.approx(1 - s(2) + s(-1))
    assert apo(*ends, beta=1.0, anchor="down").item() == pytest.approx(s(2) + 1 - s(3))
    share = s(0.3 / 0.5)
    want = (1 - share) * math.log1p(math.exp(-0.3)) + share * math.exp(-0.3)
    assert discopop(*ends, beta=0.1, tau=0.5).item() == pytest.approx(want)
    q = s(0.3)
    want = q * math.log(q / 0.9) + (1 - q) * math.log((1 - q) / 0.1)
    assert exo(*ends, beta=0.1, label_smoothing=0.1).item() == pytest.approx(want)


def test_exo_is_least_where_the_model_agrees_with_the_smoothed_label():
    z = torch.tensor([math.log(0.9 / 0.1)], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    loss = exo(z, zero, zero, zero, beta=1.0, label_smoothing=0.1)
    loss.sum().backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    assert z.grad.item() == pytest.approx(0.0, abs=1e-12)


def test_alignment_by_transport_of_one_pair_is_dpo_and_of_a_batch_ignores_the_pairing():
    v = batch()
    alone = [t[:1] for t in pair(v)]
    assert aot(*alone).item() == pytest.approx(dpo(*alone).item())
    ends = pair(v)
    shuffled = [ends[0], ends[1].flip(0), ends[2], ends[3].flip(0)]
    total = [aot(*e, paired="no").sum().item() for e in (ends, shuffled)]
    assert total[0] == pytest.approx(total[1])
    with pytest.raises(ValueError, match="unknown paired"):
        aot(*ends, paired="maybe")
    with pytest.raises(ValueError, match="unknown anchor"):
        apo(*ends, anchor="up")


def test_slic_on_numbers_worked_by_hand():
    chosen, rejected, target = one(-10.0, -10.4, -6.0)
    tokens = torch.tensor([3.0])
    options = {"target": target, "target_tokens": tokens}
    assert slic(chosen, rejected, delta=1.0, **options).item() == pytest.approx(0.6 + 2.0)
    assert slic(chosen, rejected, delta=0.2, nll_weight=0.0, **options).item() == 0.0


def test_weights_and_lengths_of_the_variants_by_hand():
    chosen = torch.log(torch.tensor([[0.5, 0.5, 0.9]], dtype=torch.float64))
    rejected = torch.log(torch.tensor([[0.25, 0.25, 0.25]], dtype=torch.float64))
    masks = torch.tensor([[[True, True, False]], [[True, True, True]]])
    assert wpo_weights(chosen, rejected, masks).item() == pytest.approx(0.125)
    values = torch.tensor([[-1.0, -2.0, -4.0]])
    keep = torch.ones(1, 3, dtype=torch.bool)
    short = torch.tensor([1])
    assert length_desensitised(values, keep, short, 0.5).item() == pytest.approx(-4.0)
    assert length_desensitised(values, keep, short, 1.0).item() == pytest.approx(-7.0)
    assert length_desensitised(values, keep, short, 0.0).item() == pytest.approx(-1.0)
    p = soft_label_from_gap(torch.tensor([0.0, 2 * math.log(3.0)]), temperature=2.0)
    assert p.tolist() == pytest.approx([0.5, 0.75])


# -- exploration


def test_exploration_on_numbers_worked_by_hand():
    ends = one(*HAND)
    probe, ref = one(-30.0, -32.0)
    base = math.log1p(math.exp(-0.3))
    assert xpo(*ends, probe=probe, alpha=0.01).item() == pytest.approx(base - 0.3)
    options = {"probe": probe, "ref_probe": ref, "beta": 0.1, "alpha": 0.5}
    assert selm(*ends, **options).item() == pytest.approx(base + 0.1)
    assert selm(*ends, **options, sign="raise").item() == pytest.approx(base - 0.1)
    assert vpo(*ends, **options).item() == pytest.approx(base + 0.1)
    assert vpo(*ends, **options, mode="offline").item() == pytest.approx(base - 0.1)
    assert hypo(*ends, probe=probe, ref_probe=ref, lam=0.25).item() == pytest.approx(base + 0.5)


def test_extra_terms_of_weight_zero_leave_dpo():
    v = batch()
    ends = pair(v)
    plain = dpo(*ends, soft_label=v["soft_label"]).numpy()
    more = {"soft_label": v["soft_label"]}
    probes = {"probe": v["probe"], "ref_probe": v["ref_probe"]}
    tokens = {k: v[k] for k in v if "_token_" in k and k[:3] in ("cho", "rej")}
    masks = {k: v[k] for k in ("chosen_mask", "rejected_mask")}
    rationale = {k: v[k] for k in ("rationale", "rationale_tokens")}
    others = {
        "xpo": xpo(*ends, probe=v["probe"], alpha=0.0, **more),
        "selm": selm(*ends, **probes, beta=0.1, alpha=0.0, **more),
        "vpo": vpo(*ends, **probes, alpha=0.0, **more),
        "hypo": hypo(*ends, **probes, lam=0.0, **more),
        "degree": degree_dpo(
            *ends, degree_logits=v["degree_logits"], degree=v["degree"], weight=0.0, **more
        ),
        "rationale": rationale_dpo(*ends, **rationale, weight=0.0, **more),
        "token rewards": token_regularised_dpo(*ends, **tokens, **masks, weight=0.0, **more),
    }
    for name, loss in others.items():
        assert loss.numpy() == pytest.approx(plain), name


def test_optimism_lowers_and_pessimism_raises_the_calibration_answers():
    v = batch()
    for mode, sign in (("online", 1), ("offline", -1)):
        probe = v["probe"].clone().requires_grad_(True)
        vpo(*pair(v), probe=probe, ref_probe=v["ref_probe"], mode=mode).sum().backward()
        assert (probe.grad * sign > 0).all()
    for loss, option in ((vpo, "mode"), (selm, "sign")):
        with pytest.raises(ValueError, match=f"unknown {option}"):
            loss(*pair(v), probe=v["probe"], ref_probe=v["ref_probe"], **{option: "x"})


def test_the_expected_gradient_of_hypos_term_is_that_of_the_kl():
    logits = torch.tensor([0.3, -0.2, 0.9, -1.0], dtype=torch.float64, requires_grad=True)
    ref = torch.tensor([0.1, 0.4, 0.3, 0.2], dtype=torch.float64).log()
    logp = logits.log_softmax(0)
    exact = torch.autograd.grad((logp.exp() * (logp - ref)).sum(), logits, retain_graph=True)[0]
    zero = torch.zeros(4, dtype=torch.float64)
    loss = hypo(zero, zero, zero, zero, probe=logp, ref_probe=ref, lam=1.0)
    sampled = torch.autograd.grad((logp.exp().detach() * loss).sum(), logits)[0]
    assert sampled.numpy() == pytest.approx(exact.numpy())


# -- further supervision


def test_degree_and_rationale_terms_against_numpy():
    v = batch()
    ends = pair(v)
    logits = v["degree_logits"].numpy()
    nll = np.log(np.exp(logits).sum(1)) - logits[np.arange(7), v["degree"].numpy()]
    got = degree_dpo(*ends, degree_logits=v["degree_logits"], degree=v["degree"], weight=0.4)
    assert got.numpy() == pytest.approx(dpo(*ends).numpy() + 0.4 * nll)
    tokens = v["rationale_tokens"].clone()
    tokens[0] = 0.0
    got = rationale_dpo(*ends, rationale=v["rationale"], rationale_tokens=tokens, weight=0.4)
    extra = np.array([0.0, *(-v["rationale"][1:] / tokens[1:]).tolist()])
    assert got.numpy() == pytest.approx(dpo(*ends).numpy() + 0.4 * extra)


def test_token_rewards_raise_good_tokens_and_lower_bad_ones_in_either_answer():
    v = batch()
    ends = pair(v)
    values = {k: v[k] for k in v if "_token_" in k and k[:3] in ("cho", "rej")}
    masks = {k: v[k] for k in ("chosen_mask", "rejected_mask")}
    got = token_regularised_dpo(*ends, **values, **masks, weight=0.5)
    for i in range(7):
        total = count = 0.0
        for side in ("chosen", "rejected"):
            for t in range(5):
                if masks[f"{side}_mask"][i, t]:
                    reward = float(values[f"{side}_token_rewards"][i, t])
                    total += reward * float(values[f"{side}_token_logps"][i, t])
                    count += 1
        want = dpo(*[e[i : i + 1] for e in ends]).item() - 0.5 * total / count
        assert got[i].item() == pytest.approx(want)
    rewards = contrast_rewards(torch.tensor([-1.0, -2.0]), torch.tensor([-1.0, -2.0 - LOG2]))
    assert rewards.tolist() == pytest.approx([0.0, 2 / 3 - 0.5])


# -- CPL


def test_cpl_on_segments_worked_by_hand():
    up, down = torch.tensor([[-1.0, -2.0, -9.0]]), torch.tensor([[-2.0, -4.0, -8.0]])
    up_mask, down_mask = torch.tensor([[True, True, False]]), torch.tensor([[True, True, True]])
    ends = (up.double(), down.double(), up_mask, down_mask)
    a, b = -1.0 - 0.5 * 2.0, -2.0 - 0.5 * 4.0 - 0.25 * 8.0
    for bias in (0.5, 1.0):
        want = -math.log(math.exp(a) / (math.exp(a) + math.exp(bias * b)))
        assert cpl(*ends, alpha=1.0, gamma=0.5, bias=bias).item() == pytest.approx(want)
    want = -math.log(math.exp(b) / (math.exp(b) + math.exp(0.5 * a)))
    flipped = cpl(*ends, alpha=1.0, gamma=0.5, bias=0.5, soft_label=0.0)
    assert flipped.item() == pytest.approx(want)


def test_cpl_without_bias_and_discount_is_the_logistic_loss_on_sums():
    v = batch()
    up, down = ((v[f"{s}_token_logps"] * v[f"{s}_mask"]).sum(1) for s in ("chosen", "rejected"))
    names = ("chosen_token_logps", "rejected_token_logps", "chosen_mask", "rejected_mask")
    got = cpl(*[v[k] for k in names], alpha=0.3, bias=1.0)
    want = cpo(up, down, chosen_tokens=torch.ones(7), beta=0.3, nll_weight=0.0)
    assert got.numpy() == pytest.approx(want.numpy())


# -- C3PO


def test_c3po_takes_each_row_by_its_scope():
    v = batch()
    ends = pair(v)
    options = {"scope": v["scope"], "chosen_tokens": v["chosen_tokens"]}
    for keep in ("sft", "kl"):
        got = c3po(*ends, **options, beta=0.2, out_weight=0.3, near_weight=0.7, keep=keep)
        for i in range(7):
            base = 0.0 if keep == "sft" else float(ends[2][i])
            stay = (base - float(ends[0][i])) / float(v["chosen_tokens"][i])
            inside = dpo(*[e[i : i + 1] for e in ends], beta=0.2).item()
            want = (inside, 0.7 * stay, 0.3 * stay)[int(v["scope"][i])]
            assert got[i].item() == pytest.approx(want), (keep, i)
    with pytest.raises(ValueError, match="unknown keep"):
        c3po(*ends, **options, keep="all")


def test_a_rule_of_empty_scope_changes_nothing_in_expectation():
    # Every answer of the old model, weighted by its probability: the exact expected gradient.
    ref = torch.tensor([0.1, 0.4, 0.3, 0.2], dtype=torch.float64).log()
    logits = ref.clone().requires_grad_(True)
    logp = logits.log_softmax(0)
    ones = torch.ones(4, dtype=torch.float64)
    loss = c3po(logp, logp, ref, ref, scope=2 * ones, chosen_tokens=ones, keep="kl")
    (ref.exp() * loss).sum().backward()
    assert loss.abs().max() < 1e-12
    assert logits.grad.abs().max() < 1e-12
