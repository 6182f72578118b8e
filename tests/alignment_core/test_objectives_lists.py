"""List objectives: by hand, by identity, against choix and plain loops."""

from __future__ import annotations

import itertools
import math

import choix
import numpy as np
import pytest
import torch

from alignment.objectives import brain, dpo, lipo, list_mle, list_softmax, pro
from alignment.objectives.listwise import plackett_luce
from alignment.objectives.rollout import grpo, rloo
from alignment.rollouts import advantages
from alignment.rollouts.policy_gradient import ppo

from .numbers import LOG2, lists


def row(*numbers: float) -> torch.Tensor:
    return torch.tensor([numbers], dtype=torch.float64)


ZERO3 = row(0.0, 0.0, 0.0)


# -- LiPO


def test_lipo_on_a_list_worked_by_hand():
    # Utilities 0, 1, -1 (beta 1); labels 1, 0.5, 0: the best label stands second by utility.
    u, labels = row(0.0, 1.0, -1.0), row(1.0, 0.5, 0.0)
    d1, d2, d3 = 1 / math.log(2), 1 / math.log(3), 1 / math.log(4)
    g1, g2 = 1.0, math.sqrt(2) - 1
    want = (
        (g1 - g2) * (d1 - d2) * math.log1p(math.exp(1.0))
        + g1 * (d2 - d3) * math.log1p(math.exp(-1.0))
        + g2 * (d1 - d3) * math.log1p(math.exp(-2.0))
    )
    assert lipo(u, ZERO3, labels, beta=1.0).item() == pytest.approx(want)
    plain = sum(math.log1p(math.exp(-x)) for x in (-1.0, 1.0, 2.0))
    assert lipo(u, ZERO3, labels, beta=1.0, weighting="none").item() == pytest.approx(plain)
    mean = lipo(u, ZERO3, labels, beta=1.0, weighting="none", reduce="mean")
    assert mean.item() == pytest.approx(plain / 3)
    hinge = lipo(u, ZERO3, labels, beta=1.0, weighting="none", pair_loss="hinge")
    assert hinge.item() == pytest.approx(2.0 + 0.0 + 0.0)
    line = lipo(u, ZERO3, labels, beta=1.0, weighting="gain", gain="linear")
    want = sum(w * math.log1p(math.exp(-x)) for w, x in ((0.5, -1.0), (1.0, 1.0), (0.5, 2.0)))
    assert line.item() == pytest.approx(want)


def lipo_by_loops(values: dict, beta: float) -> list[float]:
    out = []
    for b in range(len(values["scores"])):
        n = int(values["mask"][b].sum())
        h = [float(values["logps"][b, i] - values["ref_logps"][b, i]) for i in range(n)]
        psi = [float(values["scores"][b, i]) for i in range(n)]
        rank = {i: at + 1 for at, i in enumerate(sorted(range(n), key=lambda i: -h[i]))}
        total = 0.0
        for i, j in itertools.permutations(range(n), 2):
            if psi[i] > psi[j]:
                weight = abs(2 ** psi[i] - 2 ** psi[j])
                weight *= abs(1 / math.log(1 + rank[i]) - 1 / math.log(1 + rank[j]))
                total += weight * math.log(1 + math.exp(-beta * (h[i] - h[j])))
        out.append(total)
    return out


def test_lipo_on_ragged_lists_with_ties_equals_the_double_loop():
    v = lists(9, 5, seed=3)
    got = lipo(v["logps"], v["ref_logps"], v["scores"], mask=v["mask"], beta=0.7)
    assert got.numpy() == pytest.approx(lipo_by_loops(v, 0.7))


@pytest.mark.parametrize("loss", [lipo, list_mle])
def test_a_list_of_two_with_equal_weights_is_dpo(loss):
    v = lists(8, 2)
    first = torch.tensor([True, False]).repeat(4)
    scores = torch.where(first[:, None], row(1.0, 0.0), row(0.0, 1.0))
    options = {"weighting": "none"} if loss is lipo else {}
    got = loss(v["logps"], v["ref_logps"], scores, beta=0.3, **options)
    order = torch.where(first[:, None], torch.tensor([0, 1]), torch.tensor([1, 0]))
    logps, ref = v["logps"].gather(1, order), v["ref_logps"].gather(1, order)
    want = dpo(logps[:, 0], logps[:, 1], ref[:, 0], ref[:, 1], beta=0.3)
    assert got.numpy() == pytest.approx(want.numpy())


def test_what_is_masked_or_all_tied_adds_nothing():
    v = lists(5, 4)
    ends = (v["logps"], v["ref_logps"], v["scores"])
    other = v["logps"] + (~v["mask"]) * 50.0
    for loss in (lipo, list_mle, list_softmax):
        want = loss(*ends, mask=v["mask"])
        got = loss(other, *ends[1:], mask=v["mask"])
        assert got.numpy() == pytest.approx(want.numpy()), loss
    want = pro(v["logps"], v["scores"], tokens=v["tokens"], mask=v["mask"])
    got = pro(other, v["scores"], tokens=v["tokens"], mask=v["mask"])
    assert got.numpy() == pytest.approx(want.numpy())
    assert (lipo(v["logps"], v["ref_logps"], torch.ones(5, 4)) == 0).all()


@pytest.mark.parametrize(
    ("loss", "option"),
    [
        *((lipo, option) for option in ("weighting", "gain", "pair_loss", "reduce")),
        *((list_mle, "ties"), (list_softmax, "target"), (brain, "posterior")),
    ],
)
def test_an_unknown_choice_is_refused_by_its_name(loss, option):
    v = lists()
    with pytest.raises(ValueError, match=f"unknown {option} 'x'; known"):
        loss(v["logps"], v["ref_logps"], v["scores"], **{option: "x"})


# -- Plackett-Luce


def test_plackett_luce_by_hand_and_against_choix():
    u = row(math.log(3.0), math.log(2.0), math.log(1.0))
    # First: 3/6, then 2/3: probability 1/3.
    assert plackett_luce(u, row(3, 2, 1)).item() == pytest.approx(math.log(3))
    assert plackett_luce(u, row(1, 2, 3)).item() == pytest.approx(-math.log(1 / 6 * 2 / 5))
    g = np.random.default_rng(0)
    for _ in range(5):
        values, scores = g.normal(size=6), g.permutation(6)
        data = [tuple(np.argsort(-scores))]
        want = -choix.log_likelihood_rankings(data, values)
        got = plackett_luce(torch.tensor(values)[None], torch.tensor(scores)[None].double())
        assert got.item() == pytest.approx(want)


def test_ties_are_the_mean_over_all_their_orders():
    g = np.random.default_rng(1)
    u = g.normal(size=5)
    scores = np.array([2.0, 1.0, 2.0, 0.0, 2.0])
    losses = []
    for tied in itertools.permutations([0, 2, 4]):
        order = [*tied, 1, 3]
        losses.append(-choix.log_likelihood_rankings([tuple(order)], u))
    got = plackett_luce(torch.tensor(u)[None], torch.tensor(scores)[None])
    assert got.item() == pytest.approx(np.mean(losses))
    breslow = plackett_luce(torch.tensor(u)[None], torch.tensor(scores)[None], ties="breslow")
    assert breslow.item() > got.item()


def test_two_tied_answers_are_a_pair_of_soft_label_one_half():
    v = lists(6, 2)
    got = list_mle(v["logps"], v["ref_logps"], torch.zeros(6, 2), beta=0.4)
    ends = (v["logps"][:, 0], v["logps"][:, 1], v["ref_logps"][:, 0], v["ref_logps"][:, 1])
    assert got.numpy() == pytest.approx(dpo(*ends, beta=0.4, soft_label=0.5).numpy())
    same = list_mle(v["logps"], v["logps"], torch.zeros(6, 2))
    assert same.numpy() == pytest.approx(LOG2)


def test_without_ties_both_rules_agree_and_long_lists_take_the_second():
    g = torch.Generator().manual_seed(0)
    u = torch.randn(3, 6, generator=g, dtype=torch.float64)
    scores = torch.stack([torch.randperm(6, generator=g) for _ in range(3)]).double()
    both = [plackett_luce(u, scores, ties=t) for t in ("average", "breslow")]
    assert both[0].numpy() == pytest.approx(both[1].numpy())
    wide = torch.randn(2, 20, generator=g, dtype=torch.float64)
    ranks = torch.arange(20.0).expand(2, 20)
    with pytest.raises(ValueError, match="at most 12"):
        plackett_luce(wide, ranks)
    want = -choix.log_likelihood_rankings([tuple(range(19, -1, -1))], wide[0].numpy())
    assert plackett_luce(wide, ranks, ties="breslow")[0].item() == pytest.approx(want)


# -- list softmax


def test_list_softmax_equals_cross_entropy_with_class_probabilities():
    v = lists(6, 4)
    u = 0.5 * (v["logps"] - v["ref_logps"])
    scores = v["scores"] + 0.1
    for target, p in (("share", scores / scores.sum(1, keepdim=True)), ("softmax", None)):
        p = scores.softmax(1) if p is None else p
        want = torch.nn.functional.cross_entropy(u, p, reduction="none")
        got = list_softmax(v["logps"], v["ref_logps"], scores, beta=0.5, target=target)
        assert got.numpy() == pytest.approx(want.numpy())
    one_hot = list_softmax(row(2.0, 0.0), row(0.0, 0.0), row(1.0, 0.0), beta=0.5)
    assert one_hot.item() == pytest.approx(math.log1p(math.exp(-1.0)))


# -- PRO


def test_pro_with_two_answers_and_no_supervised_term_is_a_softmax_of_two():
    logps, tokens = row(-4.0, -9.0), row(2.0, 3.0)
    got = pro(logps, row(1.0, 0.0), tokens=tokens, sft_weight=0.0, temperature="none")
    assert got.item() == pytest.approx(math.log1p(math.exp(-1.0)))
    gap = pro(logps, row(0.7, 0.2), tokens=tokens, sft_weight=0.0)
    assert gap.item() == pytest.approx(math.log1p(math.exp(-0.5)))


def pro_by_loops(values: dict, sft: float) -> list[float]:
    """The paper's form: utilities divided by temperatures 1/(r_k - r_i) and their least one."""
    out = []
    for b in range(len(values["scores"])):
        n = int(values["mask"][b].sum())
        items = [
            (float(values["scores"][b, i]), float(values["logps"][b, i] / values["tokens"][b, i]))
            for i in range(n)
        ]
        items.sort(key=lambda item: -item[0])
        total = 0.0
        for k in range(n - 1):
            gaps = [items[k][0] - items[i][0] for i in range(k + 1, n)]
            temperatures = [1 / g if g else math.inf for g in gaps]
            own = items[k][1] / min(temperatures)
            rest = [items[k + 1 + i][1] / t for i, t in enumerate(temperatures)]
            total -= math.log(math.exp(own) / (math.exp(own) + sum(math.exp(x) for x in rest)))
        out.append(total - sft * (n - 1) ** 2 * items[0][1])
    return out


def test_pro_on_ragged_lists_with_ties_equals_the_papers_temperatures():
    v = lists(8, 5, seed=2)
    got = pro(v["logps"], v["scores"], tokens=v["tokens"], mask=v["mask"], sft_weight=0.1)
    assert got.numpy() == pytest.approx(pro_by_loops(v, 0.1))
    paper = pro(v["logps"], v["scores"], tokens=v["tokens"], sft_scale="paper", sft_weight=0.1)
    none = pro(v["logps"], v["scores"], tokens=v["tokens"], sft_weight=0.0)
    best = (v["logps"] / v["tokens"]).gather(1, v["scores"].argmax(1)[:, None])[:, 0]
    assert (paper - none).numpy() == pytest.approx((-0.1 * best).numpy())
    for option in ("temperature", "sft_scale"):
        with pytest.raises(ValueError, match=f"unknown {option}"):
            pro(v["logps"], v["scores"], tokens=v["tokens"], **{option: "x"})


# -- BRAIn


def test_brain_with_two_samples_and_argmax_is_dpo_at_beta_one():
    v = lists(6, 2)
    scores = row(1.0, 0.0).expand(6, 2)
    got = brain(v["logps"], v["ref_logps"], scores, posterior="argmax")
    ends = (v["logps"][:, 0], v["logps"][:, 1], v["ref_logps"][:, 0], v["ref_logps"][:, 1])
    assert got.numpy() == pytest.approx(dpo(*ends, beta=1.0).numpy())


def test_brain_is_the_divergence_of_self_normalised_weights_with_the_papers_gradient():
    from scipy.special import rel_entr, softmax

    v = lists(4, 4)
    logps = v["logps"].clone().requires_grad_(True)
    names = ("ref_logps", "scores", "sample_logps", "mask")
    ref, scores, drawn, mask = (v[k] for k in names)
    loss = brain(logps, ref, scores, sample_logps=drawn, mask=mask, gamma=0.5)
    loss.sum().backward()
    for b in range(4):
        n = int(mask[b].sum())
        a = softmax((ref + scores / 0.5 - drawn)[b, :n].numpy())
        q = softmax((logps.detach() - drawn)[b, :n].numpy())
        assert loss[b].item() == pytest.approx(rel_entr(a, q).sum())
        assert logps.grad[b, :n].numpy() == pytest.approx(-(a - q))


def test_brain_is_zero_at_the_posterior():
    v = lists(4, 4)
    tilted = v["ref_logps"] + v["scores"] / 0.7
    loss = brain(tilted, v["ref_logps"], v["scores"], sample_logps=v["sample_logps"], gamma=0.7)
    assert loss.numpy() == pytest.approx(0.0, abs=1e-12)


# -- policy gradients on lists


def test_grpo_is_the_clipped_surrogate_with_the_groups_advantages():
    v = lists()
    full = torch.ones_like(v["mask"])
    names = ("token_logps", "old_token_logps", "ref_token_logps")
    tokens = [v[k] for k in names]
    got = grpo(*tokens, v["scores"], mask=full, token_mask=v["token_mask"], clip_high=0.3)
    rows = []
    for b in range(len(got)):
        gain = advantages.grpo(v["scores"][b : b + 1].numpy())[0]
        pi, old, ref = (t[b] for t in tokens)
        rows.append(
            ppo(
                *(pi, old, torch.tensor(gain), v["token_mask"][b]),
                clip=0.2,
                clip_high=0.3,
                ref_logps=ref,
                kl_weight=0.04,
                how="sequence",
            )
        )
    assert got.numpy() == pytest.approx(torch.stack(rows).numpy())
    # Dr. GRPO: no deviation, and token sums over a constant length.
    plain = {"normalise": "none", "per": "length", "length": 5.0, "kl_weight": 0.0}
    got = grpo(*tokens, v["scores"], mask=full, token_mask=v["token_mask"], **plain)
    gain = v["scores"][0] - v["scores"][0].mean()
    want = ppo(*(t[0] for t in tokens[:2]), gain, v["token_mask"][0], how="constant", length=5)
    assert got[0].item() == pytest.approx(want.item())


def test_a_group_of_equal_scores_teaches_nothing_and_absent_answers_do_not_count():
    v = lists()
    tokens = [v[k] for k in ("token_logps", "old_token_logps", "ref_token_logps")]
    same = torch.full_like(v["scores"], 0.5)
    got = grpo(*tokens, same, mask=v["mask"], token_mask=v["token_mask"], kl_weight=0.0)
    assert got.abs().max().item() == pytest.approx(0.0)
    other = v["scores"] + 100.0 * ~v["mask"]
    for scores in (v["scores"], other):
        one = grpo(*tokens, scores, mask=v["mask"], token_mask=v["token_mask"])
        two = rloo(v["logps"], v["ref_logps"], scores, mask=v["mask"])
        if scores is v["scores"]:
            first = (one, two)
    assert torch.equal(one, first[0])
    assert torch.equal(two, first[1])


def test_rloo_has_the_gradient_of_the_leave_one_out_estimator():
    v = lists()
    logps = v["logps"].clone().requires_grad_(True)
    full = torch.ones_like(v["mask"])
    rloo(logps, v["ref_logps"], v["scores"], mask=full, kl_weight=0.1).sum().backward()
    rewards = v["scores"] - 0.1 * (v["logps"] - v["ref_logps"])
    want = -advantages.rloo(rewards.numpy()) / rewards.shape[1]
    assert logps.grad.numpy() == pytest.approx(want)
