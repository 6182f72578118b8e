"""Heads on one trunk, gates, mixtures and noise: shapes, identities, what each can fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch.nn.functional import cross_entropy

from alignment.rewards import gating, linear, losses, pluralistic, robust
from alignment.rewards.heads import (
    HeadBank,
    MixtureHead,
    PreferenceHead,
    PrincipleHead,
    RewardHeads,
    last_kept,
)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


# -- the bank


@pytest.mark.parametrize("hidden", [0, 6])
def test_a_bank_of_members_equals_its_members_one_by_one(hidden):
    bank = HeadBank(5, members=4, outputs=3, hidden=hidden)
    torch.nn.init.normal_(bank.bias)
    x = draw(7, 5)
    out = bank(x)
    assert out.shape == (4, 7, 3)
    for m in range(4):
        inner = x
        if hidden:
            inner = torch.relu(x @ bank.first[m] + bank.first_bias[m])
        want = inner @ bank.weight[m] + bank.bias[m]
        assert torch.allclose(out[m], want, atol=1e-6)
    assert not torch.allclose(out[0], out[1])


def test_the_same_bank_is_a_token_head():
    bank = HeadBank(5, members=2, outputs=3)
    states = draw(4, 6, 5)
    out = bank(states)
    assert out.shape == (2, 4, 6, 3)
    assert torch.allclose(out[:, 1, 2], bank(states[1, 2][None])[:, 0], atol=1e-6)


def test_the_trunk_runs_once_for_every_head_and_member():
    calls = []

    def trunk(x):
        calls.append(len(x))
        return x * 2.0

    heads = RewardHeads(
        trunk,
        {"reward": HeadBank(5, 5), "ratings": HeadBank(5, 1, 4), "liked": HeadBank(5, 5)},
        take={"liked": lambda f: f.abs()},
    )
    x = draw(3, 5)
    out = heads(x)
    assert calls == [3]
    assert out["reward"].shape == (5, 3, 1)
    assert out["ratings"].shape == (1, 3, 4)
    assert torch.equal(out["liked"], heads.heads["liked"]((x * 2.0).abs()))
    assert set(heads(x, only=("reward",))) == {"reward"}


def test_the_last_kept_token_is_taken_whichever_side_is_padded():
    features = torch.arange(8.0).view(2, 4, 1)
    mask = torch.tensor([[True, True, False, False], [False, False, True, True]])
    assert last_kept(features, mask)[:, 0].tolist() == [1.0, 7.0]


def test_one_member_is_the_plain_head():
    bank = HeadBank(5, members=1)
    score = bank(draw(6, 5))[..., 0]
    for rule in ("mean", "worst", "uncertainty"):
        assert torch.allclose(losses.combine(score, rule), score[0])


# -- principles


def test_a_principle_head_generalises_to_a_principle_it_never_saw():
    # Principles are directions; the answer satisfies one if it points along it.
    g = torch.Generator().manual_seed(1)
    principles = torch.randn(24, 3, generator=g)
    principles = principles / principles.norm(dim=1, keepdim=True)
    x = torch.randn(600, 3, generator=g)
    which = torch.randint(0, 20, (600,), generator=g)
    label = ((x * principles[which]).sum(1) > 0).float()
    head = PrincipleHead(3, 3, members=2, rank=4)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        logit = head(x, principles[which])
        assert logit.shape == (2, 600)
        losses.reaction(logit, label).mean().backward()
        optimiser.step()
    fresh = principles[20:].repeat_interleave(150, 0)
    with torch.no_grad():
        verdict = head(x, fresh).mean(0) > 0
    truth = (x * fresh).sum(1) > 0
    assert (verdict == truth).float().mean() > 0.9


# -- pairwise preference


def test_a_preference_and_its_converse_sum_to_one():
    head = PreferenceHead(4, members=3, rank=2)
    a, b = draw(6, 4), draw(6, 4, seed=1)
    p = head(a, b).sigmoid() + head(b, a).sigmoid()
    assert p.detach().numpy() == pytest.approx(1.0, abs=1e-6)
    assert head(a, a).abs().max() < 1e-6


def test_a_preference_head_fits_a_cycle_that_no_reward_can():
    x = torch.eye(3)
    first, second = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 0])

    def fit(model):
        optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(200):
            optimiser.zero_grad()
            if isinstance(model, PreferenceHead):
                loss = losses.preference(model(x[first], x[second])).mean()
            else:
                r = model(x)[0, :, 0]
                loss = losses.bradley_terry(r[first], r[second]).mean()
            loss.backward()
            optimiser.step()
        return loss.item()

    assert fit(PreferenceHead(3, rank=2)) < 0.05
    assert fit(HeadBank(3)) == pytest.approx(math.log(2), abs=1e-3)


# -- gates


def test_a_gate_sums_to_one_and_weighs_by_the_prompt():
    gate = gating.Gate(4, 3, hidden=8, layers=2)
    w = gate(draw(5, 4))
    assert w.shape == (5, 3)
    assert w.sum(1).detach().numpy() == pytest.approx(1.0)
    assert gating.gate_weights(torch.tensor([10.0, 0.0]), 10.0).tolist() == pytest.approx(
        [math.e / (1 + math.e), 1 / (1 + math.e)]
    )
    score = gating.gated_score(torch.tensor([[1.0, 5.0]]), torch.tensor([[0.25, 0.75]]))
    assert score.tolist() == [4.0]


def test_verbosity_is_taken_out_of_every_attribute():
    r = draw(50, 3).double()
    r[:, 0] += 0.8 * r[:, 2]
    left = gating.decorrelate(r, gating.decorrelation(r, 2), 2)
    for k in (0, 1):
        assert np.corrcoef(left[:, k], r[:, 2])[0, 1] == pytest.approx(0.0, abs=1e-9)
    assert torch.equal(left[:, 2], r[:, 2])


def test_attribute_heads_equal_sklearns_ridge_on_the_rows_rated():
    x, y = draw(30, 4).double(), draw(30, 2, seed=1).double()
    mask = draw(30, 2, seed=2) > -0.7
    heads = gating.fit_ridge(x, y, mask, l2=0.5)
    for k in range(2):
        theirs = Ridge(alpha=0.5, fit_intercept=False).fit(x[mask[:, k]], y[mask[:, k], k])
        assert heads[k].numpy() == pytest.approx(theirs.coef_)


# -- mixtures


def problem(users: int = 12, each: int = 25, seed: int = 0, minority: int = 4):
    """Users of two opposed tastes: linear problem, each user's group, the tastes."""
    g = torch.Generator().manual_seed(seed)
    tastes = torch.tensor([[2.0, 1.0, 0.0], [-2.0, 1.0, 0.0]])
    user = torch.arange(users).repeat_interleave(each)
    group = (user < minority).long()
    a, b = (torch.randn(users * each, 3, generator=g) for _ in range(2))
    gap = ((a - b) * tastes[group]).sum(1) + torch.rand(len(a), generator=g).logit()
    swap = gap < 0
    chosen, rejected = torch.where(swap[:, None], b, a), torch.where(swap[:, None], a, b)
    one, none = torch.ones(len(a)), torch.zeros(0)
    whole = linear.Problem(
        *(chosen, rejected, one, one, one, torch.zeros(0, 3), none, none),
        *(user, torch.zeros(0, dtype=torch.long)),
    )
    return whole, (torch.arange(users) < minority).long()


def test_em_finds_who_belongs_together_and_serves_the_minority():
    data, group = problem()
    weights, r, history = pluralistic.fit_mixture(data, 2, l2=0.5)
    found = r.argmax(1)
    assert (found == group).all() or (found == 1 - group).all()
    assert (np.diff(history) > -1e-3).all()
    gaps = weights @ (data.chosen - data.rejected).T
    own = gaps.gather(0, found[data.pair_cluster][None])[0]
    alone, _ = linear.fit(data, 0.5, torch.ones(1, data.n_clusters))
    plain = (alone @ (data.chosen - data.rejected).T)[0]
    few = group[data.pair_cluster] == 1
    right = [(g[few] > 0).float().mean().item() for g in (own, plain)]
    assert right[0] > right[1] + 0.2
    assert (own[~few] > 0).float().mean() >= (plain[~few] > 0).float().mean() - 0.02


def test_one_group_is_the_plain_fit():
    data, _ = problem()
    weights, r, _ = pluralistic.fit_mixture(data, 1, l2=0.5)
    alone, _ = linear.fit(data, 0.5, torch.ones(1, data.n_clusters))
    assert torch.allclose(weights, alone, atol=1e-3)
    assert (r == 1).all()
    gaps = draw(1, 6).double()
    got = pluralistic.mixture_nll(gaps, torch.zeros(1))
    assert got.numpy() == pytest.approx(losses.bradley_terry(gaps[0], gaps[0] * 0).numpy())


def test_a_mixture_by_hand_and_its_gradient():
    gaps = torch.tensor([[0.0], [math.log(3.0)]], dtype=torch.float64)
    log_weights = torch.log(torch.tensor([0.4, 0.6], dtype=torch.float64))
    got = pluralistic.mixture_nll(gaps, log_weights)
    assert got.item() == pytest.approx(-math.log(0.4 * 0.5 + 0.6 * 0.75))
    flipped = pluralistic.mixture_nll(gaps, log_weights, 0.0)
    assert flipped.item() == pytest.approx(-math.log(0.4 * 0.5 + 0.6 * 0.25))
    ends = [draw(2, 3).double().requires_grad_(True), draw(3, 2).double().requires_grad_(True)]
    assert torch.autograd.gradcheck(
        lambda g, w: pluralistic.mixture_nll(g, w.log_softmax(1), 0.7), ends
    )
    r = pluralistic.responsibilities(gaps, torch.tensor([1]), 2, log_weights)
    assert r[0].tolist() == pytest.approx([0.4, 0.6])
    assert r[1].tolist() == pytest.approx([0.2 / 0.65, 0.45 / 0.65])


def test_a_mixture_is_conditioned_on_users_or_on_the_context():
    x = draw(4, 5)
    for head, who in (
        (MixtureHead(5, 3, users=6), torch.tensor([0, 1, 5, 5])),
        (MixtureHead(5, 3, context=2), draw(4, 2, seed=1)),
    ):
        weights = head.log_weights(who).exp()
        assert weights.sum(1).detach().numpy() == pytest.approx(1.0)
        want = (weights * head(x).T).sum(1)
        assert torch.allclose(head.score(x, who), want)
    with pytest.raises(ValueError, match="on one of them"):
        MixtureHead(5, 3)


def test_the_worst_group_alone_is_served_and_its_weight_grows():
    rewards = torch.tensor([[1.0, 3.0], [0.0, 1.0]], requires_grad=True)
    value = pluralistic.worst_group(rewards)
    assert value.item() == 0.5
    value.backward()
    assert rewards.grad.tolist() == [[0.0, 0.0], [0.5, 0.5]]
    w = pluralistic.group_weights(torch.tensor([0.5, 0.5]), torch.tensor([2.0, 0.5]), 1.0)
    assert w.tolist() == pytest.approx([1 / (1 + math.exp(1.5)), 1 / (1 + math.exp(-1.5))])
    same = pluralistic.group_weights(torch.tensor([0.3, 0.7]), torch.tensor([2.0, 2.0]), 5.0)
    assert same.tolist() == pytest.approx([0.3, 0.7])


def test_an_ideal_point_prefers_the_nearer_answer():
    prototypes = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    near = pluralistic.ideal_point_reward(torch.tensor([[1.0, 0.0]] * 2), prototypes, weights)
    assert near.tolist() == [-1.0, -1.0]
    far = pluralistic.ideal_point_reward(torch.tensor([[3.0, 0.0]] * 2), prototypes, weights)
    assert far.tolist() == [-9.0, -1.0]


def test_the_user_latent_costs_its_divergence_and_is_differentiable():
    from torch.distributions import Normal, kl_divergence

    gap, mean, log_var = draw(3).double(), draw(3, 2).double(), draw(3, 2, seed=1).double()
    kl = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0)).sum(1)
    want = losses.bradley_terry(gap, gap * 0) + 0.01 * kl
    got = pluralistic.user_latent_loss(gap, mean, log_var)
    assert got.numpy() == pytest.approx(want.numpy())
    noise = draw(3, 2, seed=2).double()
    ends = [t.requires_grad_(True) for t in (mean, log_var)]
    assert torch.autograd.gradcheck(
        lambda m, v: pluralistic.user_latent_loss(
            pluralistic.sample_latent(m, v, noise).sum(1), m, v
        ),
        ends,
    )


def test_one_users_pairs_stand_alone():
    data, _ = problem(users=3, each=5)
    own = pluralistic.of_user(data, 1)
    assert len(own.chosen) == 5
    assert torch.equal(own.chosen, data.chosen[5:10])


# -- noise


def test_without_noise_every_target_stays_one():
    target = robust.soft_targets(torch.linspace(1.5, 4.0, 20))
    assert (target == 1).all()


def test_the_weakest_pairs_are_flipped_and_the_next_softened():
    gaps = torch.tensor([3.0, -2.0, 0.5, -0.1, 2.0, 4.0, 1.5, 2.5, 3.5, 5.0])
    target = robust.soft_targets(gaps, flip_share=0.2, soften_share=0.1)
    assert target[1] == 0.0
    assert target[3] == 0.0
    assert target[2].item() == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert target.sum().item() == pytest.approx(7 + target[2].item())
    mean, spread = robust.strength(torch.stack([gaps, gaps + 2.0]))
    assert torch.allclose(mean, gaps + 1.0)
    assert torch.allclose(spread, torch.ones(10))
    assert robust.adaptive_margin(torch.tensor([-1.0, 2.0]), 0.5).tolist() == [0.0, 1.0]


def test_measured_strength_mends_most_of_the_flipped_labels():
    g = torch.Generator().manual_seed(0)
    truth, n = torch.randn(8, generator=g), 400
    difference = torch.randn(n, 8, generator=g)
    difference = difference * (difference @ truth).sign()[:, None]
    flipped = torch.rand(n, generator=g) < 0.25
    seen = torch.where(flipped[:, None], -difference, difference)
    one, none = torch.ones(n), torch.zeros(0)

    def fitted(label: torch.Tensor, rows: torch.Tensor, members: int = 1):
        part = linear.Problem(
            *(seen[rows], torch.zeros(len(rows), 8), label[rows], one[rows], one[rows]),
            *(torch.zeros(0, 8), none, none, torch.arange(len(rows))),
            torch.zeros(0, dtype=torch.long),
        )
        return linear.fit(part, 1.0, linear.bootstrap_counts(members, len(rows), 1))[0]

    halves = torch.arange(n) % 2
    gaps = torch.zeros(5, n)
    for half in (0, 1):
        heads = fitted(one, (halves != half).nonzero()[:, 0], 5)
        gaps[:, halves == half] = heads @ seen[halves == half].T
    target = robust.soft_targets(robust.strength(gaps)[0], flip_share=0.25, soften_share=0.1)
    right = torch.where(flipped, 1 - target, target).mean().item()
    assert right > (~flipped).float().mean().item() + 0.1


def test_the_contrastive_term_equals_cross_entropy_of_cosines():
    a, b = draw(5, 4).double(), draw(5, 4, seed=1).double()
    cosine = torch.nn.functional.cosine_similarity(a[:, None], b[None], dim=2)
    want = cross_entropy(cosine / 0.2, torch.arange(5), reduction="none")
    assert robust.contrastive(a, b, temperature=0.2).numpy() == pytest.approx(want.numpy())
    ends = [a.requires_grad_(True), b.requires_grad_(True)]
    assert torch.autograd.gradcheck(lambda x, y: robust.contrastive(x, y, temperature=0.5), ends)
