"""The small language: its exact numbers against every answer written out, and its proxies."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
import torch

from alignment.lab.proxy import (
    at_roots,
    best_of_n,
    centres,
    in_order,
    joined,
    judged,
    judged_right,
    problem,
    reward_tables,
)
from alignment.lab.tongue import Pairs, Shape, Tongue, Writer

SMALL = Shape(topics=2, words=3, length=3)


def everything(tongue, log_policy, topic):
    """All answers to a topic, and their probabilities under a policy, word by word."""
    answers = np.array(list(product(range(tongue.shape.words), repeat=tongue.shape.length)))
    logps = []
    for answer in answers:
        before, total = tongue.shape.words, 0.0
        for word in answer:
            total += log_policy[topic, before, word]
            before = word
        logps.append(total)
    return answers, np.exp(logps)


def another(tongue, seed=5):
    logits = tongue.ref + np.random.default_rng(seed).standard_normal(tongue.ref.shape)
    return logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)


def test_mean_gold_reward_and_kl_are_those_of_all_answers_written_out():
    tongue = Tongue(SMALL, 0)
    policy = another(tongue)
    gold, kl = [], []
    for topic in range(2):
        answers, p = everything(tongue, policy, topic)
        _, q = everything(tongue, tongue.ref, topic)
        assert p.sum() == pytest.approx(1.0)
        gold.append((p * tongue.gold_of(np.full(len(answers), topic), answers)).sum())
        kl.append((p * np.log(p / q)).sum())
    assert tongue.mean_gold(policy) == pytest.approx(np.mean(gold))
    assert tongue.kl(policy) == pytest.approx(np.mean(kl))
    assert tongue.kl(tongue.ref) == pytest.approx(0.0)


def test_the_frontier_is_the_tilted_policy_and_no_policy_lies_above_it():
    tongue = Tongue(SMALL, 0)
    kls, golds = [], []
    for topic in range(2):
        answers, q = everything(tongue, tongue.ref, topic)
        gold = tongue.gold_of(np.full(len(answers), topic), answers)
        p = q * np.exp(gold / 0.7)
        p /= p.sum()
        kls.append((p * np.log(p / q)).sum())
        golds.append((p * gold).sum())
    kl, gold = tongue.frontier(0.7)
    assert kl == pytest.approx(np.mean(kls))
    assert gold == pytest.approx(np.mean(golds))
    for seed in range(5):
        policy = another(tongue, seed)
        assert tongue.mean_gold(policy) - 0.7 * tongue.kl(policy) < gold - 0.7 * kl


def test_samples_have_the_probabilities_of_the_policy():
    tongue = Tongue(SMALL, 1)
    policy = another(tongue)
    _, p = everything(tongue, policy, 1)
    drawn = tongue.sample(policy, np.ones(40_000, dtype=int), np.random.default_rng(0))
    code = drawn @ [9, 3, 1]
    assert np.bincount(code, minlength=27) / 40_000 == pytest.approx(p, abs=0.012)


def test_features_can_hold_the_gold_reward_of_one_topic_and_any_table_they_make():
    tongue = Tongue(SMALL, 2)
    topics = np.array([0, 1, 1])
    answers = np.array([[0, 0, 2], [2, 1, 0], [1, 1, 1]])
    features = tongue.features(topics, answers).double().numpy()
    assert features.sum(1) == pytest.approx([6.0, 6.0, 6.0])
    weights = np.random.default_rng(0).standard_normal(features.shape[1])
    assert features @ weights == pytest.approx(tongue.value(tongue.table(weights), topics, answers))


def test_a_writer_starts_at_the_reference_and_its_log_probabilities_have_gradients():
    tongue = Tongue(SMALL, 3)
    writer = Writer(tongue)
    assert writer.now() == pytest.approx(tongue.ref)
    pairs = tongue.pairs(tongue.ref, 4, np.random.default_rng(0))
    first, second, ref_first, ref_second = writer.ends(pairs)
    assert torch.allclose(first, ref_first)
    assert torch.allclose(second, ref_second)
    assert first.detach().numpy() == pytest.approx(
        tongue.value(tongue.ref, pairs.topics, pairs.first)
    )
    (first - second).sum().backward()
    assert writer.shared.grad.abs().sum() > 0


def test_people_err_as_often_as_they_are_said_to_and_pairs_are_put_in_order():
    rng = np.random.default_rng(0)
    gap = np.repeat([2.0, -1.0], 20_000)
    right = judged_right(gap, rng, 0.25) == (gap > 0)
    assert right.mean() == pytest.approx(0.75, abs=0.01)
    assert judged(gap, rng)[:20_000].mean() == pytest.approx(1 / (1 + np.exp(-2.0)), abs=0.01)
    assert judged(gap, rng, flips=1.0)[:20_000].mean() == pytest.approx(0.119, abs=0.01)
    pairs = Pairs(np.zeros(2, int), np.array([[0], [1]]), np.array([[2], [3]]))
    ordered = in_order(pairs, np.array([1.0, 0.0]))
    assert ordered.first.ravel().tolist() == [0, 3]
    assert ordered.second.ravel().tolist() == [2, 1]


def test_best_of_n_is_the_mean_over_all_subsets():
    rng = np.random.default_rng(0)
    proxy, gold = rng.standard_normal(7), rng.standard_normal(7)
    found = best_of_n(proxy, gold, [1, 2, 3, 7])
    order = np.argsort(proxy)
    for n, value in zip([1, 2, 3, 7], found, strict=True):
        weights = [comb(i, n - 1) / comb(7, n) for i in range(7)]
        assert value == pytest.approx(float(np.dot(weights, gold[order])))
    assert found[0] == pytest.approx(gold.mean())
    assert found[-1] == gold[order[-1]]
    with pytest.raises(ValueError, match="from 1 to the number of samples, 7"):
        best_of_n(proxy, gold, [8])


def test_what_members_agree_on_for_a_whole_topic_is_no_disagreement():
    topics = np.array([0, 0, 1, 1])
    by_member = np.array([[0.0, 1.0, 5.0, 6.0], [10.0, 11.0, -3.0, -2.0]])
    centre = centres(by_member, topics, 2)
    for rule in ("worst", "uncertainty", "mean"):
        assert joined(by_member, topics, rule, 0.5, centre) == pytest.approx([-0.5, 0.5, -0.5, 0.5])
    by_member[1, 1] += 2.0
    apart = joined(by_member, topics, "worst", 0.5, centre)
    assert apart == pytest.approx([-0.5, 0.5, -0.5, 0.5])
    assert joined(by_member, topics, "uncertainty", 0.5, centre)[1] == pytest.approx(1.5 - 0.5)


def test_a_curve_is_read_off_where_the_root_of_the_kl_first_gets_there():
    kls, golds = [0.0, 1.0, 0.5, 4.0], [0.0, 2.0, 9.0, 4.0]
    assert at_roots(kls, golds, [0.0, 0.5, 1.0, 1.5, 2.0]) == pytest.approx([0, 1, 2, 3, 4])
    assert np.isnan(at_roots(kls, golds, [2.5])[0])


def test_a_reward_fitted_on_many_true_labels_orders_fresh_pairs():
    tongue = Tongue(SMALL, 4)
    rng = np.random.default_rng(0)
    pairs = tongue.pairs(tongue.ref, 600, rng)
    gap = tongue.gap(pairs)
    tables = reward_tables(tongue, problem(tongue, pairs, (gap > 0).astype(float)), members=3)
    assert tables.shape == (3, *tongue.ref.shape)
    test = tongue.pairs(tongue.ref, 500, rng)
    truth = tongue.gap(test)
    for table in tables:
        learned = tongue.value(table, test.topics, test.first)
        learned = learned - tongue.value(table, test.topics, test.second)
        assert ((learned > 0) == (truth > 0))[truth != 0].mean() > 0.85
