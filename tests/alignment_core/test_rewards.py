"""Reward losses, the encoder, the feature store, the fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from alignment.rewards import linear
from alignment.rewards.encoder import encoder_folder, load_encoder, load_tokenizer, signature
from alignment.rewards.features import SURFACE, Featurizer, prompt_text, surface, token_batches
from alignment.rewards.losses import bradley_terry, combine, ensemble_spread, reaction
from alignment.rewards.model import RewardModel
from alignment.rewards.store import KeyedRows, key_of

from . import tiny

LOG2 = math.log(2)


def test_bradley_terry_by_hand():
    w, ell = torch.tensor([2.0]), torch.tensor([1.0])
    plain = math.log1p(math.exp(-1))
    assert bradley_terry(w, ell).item() == pytest.approx(plain)
    assert bradley_terry(w, ell, margin=1.0).item() == pytest.approx(LOG2)
    assert bradley_terry(w, ell, strength=3.0).item() == pytest.approx(3 * plain)
    assert bradley_terry(w, ell, soft_label=0.75).item() == pytest.approx(plain + 0.25)
    assert bradley_terry(w, ell, label_smoothing=0.25).item() == pytest.approx(plain + 0.25)
    assert bradley_terry(w, ell, centre=0.01).item() == pytest.approx(plain + 0.09)


def test_a_tie_is_log_2_at_no_gap_and_least_there():
    zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    loss = bradley_terry(zero, torch.zeros(1), soft_label=0.5)
    loss.sum().backward()
    assert loss.item() == pytest.approx(LOG2)
    assert zero.grad.item() == 0.0


def test_the_reward_losses_pass_a_gradient_check():
    g = torch.Generator().manual_seed(0)
    ends = [torch.randn(5, generator=g, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    options = {"soft_label": torch.linspace(0.5, 1, 5), "centre": 0.1, "margin": 0.3}
    assert torch.autograd.gradcheck(lambda a, b: bradley_terry(a, b, **options), ends)
    label = torch.tensor([1.0, 0, 1, 0, 1])
    assert torch.autograd.gradcheck(lambda a: reaction(a, label, bias=0.2), ends[:1])


def test_one_head_is_itself_under_every_rule_of_the_ensemble():
    one = torch.tensor([[1.0, -2.0, 3.0]])
    for rule in ("mean", "worst", "uncertainty"):
        assert torch.equal(combine(one, rule), one[0]), rule
    assert ensemble_spread(one).tolist() == [0.0, 0.0, 0.0]
    two = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    assert combine(two).tolist() == [2.0, 0.0]
    assert combine(two, "worst").tolist() == [1.0, 0.0]
    assert combine(two, "uncertainty", 0.5).tolist() == [1.5, 0.0]
    with pytest.raises(ValueError, match="unknown rule"):
        combine(two, "best")


# -- the encoder


def test_the_encoder_written_out_equals_the_library():
    from transformers import BertModel

    folder = encoder_folder("minilm")
    theirs = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = load_tokenizer(folder)
    texts = [tokenizer.encode(t).ids for t in ("A warm hello!", "1. first\n2. second, perhaps?")]
    length = max(map(len, texts))
    ids = torch.zeros(2, length, dtype=torch.long)
    mask = torch.zeros(2, length, dtype=torch.bool)
    for i, t in enumerate(texts):
        ids[i, : len(t)], mask[i, : len(t)] = torch.tensor(t), True
    ours = load_encoder(folder).states(ids, mask)
    with torch.no_grad():
        want = theirs(ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
    assert len(ours) == len(want) == 7
    for layer, (a, b) in enumerate(zip(ours, want, strict=True)):
        assert torch.allclose(a[mask], b[mask], atol=1e-4), layer


def test_an_unknown_encoder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no encoder at"):
        encoder_folder(str(tmp_path))
    assert signature(encoder_folder("minilm")) == signature(encoder_folder("minilm"))


# -- features and their store


def test_features_do_not_depend_on_the_batch_or_the_cache(feature_cache):
    texts = [("What is tea?", "A drink."), ("Hi", "Hello " * 300), ("", ""), ("What is tea?", "A")]
    alone = np.concatenate([Featurizer()([t]) for t in texts[:1]])
    together = Featurizer(cache=feature_cache)
    rows = together(texts)
    assert rows.shape == (4, 6 * 384 + SURFACE)
    assert np.isfinite(rows).all()
    assert np.allclose(rows[:1], alone, atol=2e-3)
    again = Featurizer(cache=feature_cache)
    assert np.array_equal(again(texts), rows)
    assert (again.computed, again.cached) == (0, 4)


def test_the_surface_of_a_text_by_hand():
    counts = dict(enumerate(surface("- One!\n- Two?\nABC 12")))
    assert counts[0] == pytest.approx(math.log1p(20))
    assert counts[2] == pytest.approx(math.log1p(2))
    assert counts[3] == 1.0
    assert counts[4] == pytest.approx(math.log1p(2))
    assert counts[8] == pytest.approx(math.log1p(2))
    assert len(surface("")) == SURFACE == len(counts)


def test_a_lone_user_turn_is_its_text_and_a_dialogue_names_the_roles():
    assert prompt_text([{"role": "user", "content": "hi"}]) == "hi"
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert prompt_text(turns) == "user: a\nassistant: b"


def test_the_store_is_shared_and_survives_a_half_written_shard(tmp_path):
    first = KeyedRows(tmp_path, 2, "float64")
    keys = [key_of(b"a"), key_of(b"b")]
    first.add(keys, np.array([[1.0, 2.0], [3.0, 4.0]]))
    (tmp_path / "x.keys.npy").write_bytes(b"half")
    second = KeyedRows(tmp_path, 2, "float64")
    assert second.get(keys[::-1]).tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert key_of(b"ab", b"c") != key_of(b"a", b"bc")


def test_batches_of_texts_keep_the_budget():
    lengths = [1, 2, 3, 50, 60]
    batches = token_batches(range(5), lengths.__getitem__, 64)
    assert batches == [[0, 1, 2], [3], [4]]


# -- the fit


def problem(n: int = 120, d: int = 6, seed: int = 0, **options) -> linear.Problem:
    """Pairs labelled by a hidden direction with noise, and no reactions."""
    g = torch.Generator().manual_seed(seed)
    truth = torch.randn(d, generator=g)
    a, b = torch.randn(n, d, generator=g), torch.randn(n, d, generator=g)
    noise = torch.rand(n, generator=g).logit()
    swap = ((a - b) @ truth + noise) < 0
    chosen, rejected = torch.where(swap[:, None], b, a), torch.where(swap[:, None], a, b)
    none = torch.zeros(0)
    return linear.Problem(
        chosen,
        rejected,
        torch.ones(n),
        torch.ones(n),
        torch.ones(n),
        torch.zeros(0, d),
        none,
        none,
        torch.arange(n) // 2,
        torch.zeros(0, dtype=torch.long),
        **options,
    )


def test_the_fit_equals_logistic_regression_without_an_intercept():
    p = problem()
    weights, _ = linear.fit(p, 2.0, torch.ones(1, p.n_clusters))
    x = (p.chosen - p.rejected).numpy()
    both, y = np.concatenate([x, -x]), np.repeat([1, 0], len(x))
    # Each pair is read in both orders, so the data weigh twice what they do in our sum.
    reference = LogisticRegression(C=1 / 4.0, fit_intercept=False, tol=1e-8).fit(both, y)
    assert weights[0].numpy() == pytest.approx(reference.coef_[0], abs=2e-3)


def test_one_member_is_the_plain_fit_and_members_are_fitted_independently():
    p = problem()
    counts = linear.bootstrap_counts(3, p.n_clusters, 7)
    assert linear.bootstrap_counts(1, p.n_clusters, 7).eq(1).all()
    assert counts.sum(1).tolist() == [p.n_clusters] * 3
    together, _ = linear.fit(p, 1.0, counts)
    for m in range(3):
        alone, _ = linear.fit(p, 1.0, counts[m : m + 1])
        assert torch.allclose(together[m], alone[0], atol=5e-3), m


def test_ties_alone_teach_nothing():
    p = problem()
    p.soft_label = torch.full_like(p.soft_label, 0.5)
    weights, _ = linear.fit(p, 1.0, torch.ones(1, p.n_clusters))
    assert weights.abs().max() < 1e-3


def test_a_pair_of_weight_two_is_the_pair_twice():
    p = problem(40)
    weighted, doubled = problem(40), problem(40)
    weighted.pair_weight[:10] = 2.0
    for name in ("chosen", "rejected", "soft_label", "pair_weight", "strength", "pair_cluster"):
        values = getattr(p, name)
        setattr(doubled, name, torch.cat([values, values[:10]]))
    ones = torch.ones(1, p.n_clusters)
    a, b = linear.fit(weighted, 1.0, ones)[0], linear.fit(doubled, 1.0, ones)[0]
    assert torch.allclose(a, b, atol=1e-3)


def test_cross_validation_prefers_a_strong_ridge_for_noise_and_a_weak_one_for_signal():
    signal = problem(400)
    noise = problem(400)
    g = torch.Generator().manual_seed(3)
    swap = torch.rand(400, 1, generator=g) < 0.5
    noise.chosen, noise.rejected = (
        torch.where(swap, noise.rejected, noise.chosen),
        torch.where(swap, noise.chosen, noise.rejected),
    )
    strong, table = linear.cross_validate(noise, 5)
    weak, _ = linear.cross_validate(signal, 5)
    assert strong > weak
    assert {"l2", "log_loss", "standard_error"} == set(table[0])


def test_out_of_fold_margins_come_from_fits_that_never_saw_the_prompt():
    data = problem(40)
    margins = linear.out_of_fold(data, 1.0, folds=40, seed=1)
    # Leave one prompt out by hand: its count is zero, all others are one.
    counts = 1.0 - torch.eye(data.n_clusters)
    weights = linear.fit(data, 1.0, counts)[0]
    by_hand = (weights[data.pair_cluster] * (data.chosen - data.rejected)).sum(1)
    assert torch.allclose(margins, by_hand, atol=1e-4)
    assert linear.out_of_fold(problem(1), 1.0, folds=5).shape == (0,)


def test_a_saved_reward_model_scores_the_same(reward_folder, feature_cache, tmp_path):
    model = RewardModel.load(reward_folder / "artefact", feature_cache)
    texts = [("question 1", "yes 1!!"), ("question 1", "no 1 because of this and that")]
    scores = model.score(texts)
    assert scores.shape == (2, 5)
    assert (scores[0] > scores[1]).all()
    model.save(tmp_path)
    assert np.array_equal(RewardModel.load(tmp_path, feature_cache).score(texts), scores)
    (tmp_path / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ValueError, match="no readable reward model"):
        RewardModel.load(tmp_path)


def test_strength_and_reactions_change_the_fit_only_when_asked(run, feature_cache):
    rows = [r | {"strength": 1 + i % 3} for i, r in enumerate(tiny.pair_rows(16))]

    def weights(name, **params):
        values = {"task": "reward", "pairs": "data/p.parquet", "cache": str(feature_cache)}
        _, _, folder = run(values | {"params": {"l2": 1.0, "members": 1} | params}, name, p=rows)
        return RewardModel.load(folder / "artefact").weights

    assert torch.equal(weights("a"), weights("b"))
    assert not torch.allclose(weights("c", strength="scale"), weights("d"))
