"""Which samples are kept, text that carries feedback, and where rollouts come from."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from alignment.rollouts import InProcess, OpenAIEngine, Rollout, Sampling
from alignment.rollouts.conditioning import (
    BAD,
    GOOD,
    conditional,
    hindsight,
    refinement,
    token_mask,
)
from alignment.rollouts.selection import (
    acceptance_rate,
    best_of,
    best_of_n_kl,
    choose_filter,
    filter_ranked,
    r_squared,
    rejection_sample,
    rso_pairs,
    top_share,
)

# -- RAFT and SuperHF


def test_the_best_sample_of_each_prompt_and_of_a_super_batch_is_kept():
    rewards = np.array([[0.0, 3.0, 1.0], [5.0, -1.0, 2.0]])
    assert best_of(rewards).tolist() == [1, 0]
    mask = np.array([[True, False, True], [False, False, False]])
    assert best_of(rewards, mask).tolist() == [2, -1]
    assert top_share(rewards.ravel(), 1 / 3).tolist() == [3, 1]
    assert top_share(rewards.ravel(), 0.01).tolist() == [3]
    with pytest.raises(ValueError, match="share"):
        top_share(rewards.ravel(), 0.0)


def test_the_kl_of_best_of_n_is_that_of_continuous_rewards():
    # The best of n uniform draws has density n u^(n-1); its KL to the uniform is exact.
    for n in (1, 2, 8):
        u = (np.arange(200000) + 0.5) / 200000
        density = n * u ** (n - 1)
        want = float((density * np.log(density)).mean()) if n > 1 else 0.0
        assert best_of_n_kl(n) == pytest.approx(want, abs=1e-3)


# -- rejection sampling


def test_the_acceptance_rate_is_that_of_theory_on_a_discrete_policy():
    p, r, beta = np.array([0.5, 0.3, 0.2]), np.array([1.0, 2.0, 4.0]), 1.5
    rng = np.random.default_rng(0)
    draws = rng.choice(3, size=20000, p=p)
    z = float((p * np.exp(r / beta)).sum())
    want = z / math.exp(r.max() / beta)
    assert acceptance_rate(r[draws], beta) == pytest.approx(want, rel=0.02)
    kept = draws[rejection_sample(r[draws], 2000, beta, rng)]
    tilted = p * np.exp(r / beta) / z
    share = np.bincount(kept, minlength=3) / len(kept)
    assert share == pytest.approx(tilted, abs=0.03)


def test_rejection_sampling_ends_at_the_best_and_at_any():
    r = np.array([0.0, 3.0, 1.0, 2.0])
    rng = np.random.default_rng(1)
    assert rejection_sample(r, 2, 1e-3, rng).tolist() == [1, 3]
    assert sorted(rejection_sample(r, 9, 1e9, rng).tolist()) == [0, 1, 2, 3]
    firsts = [rejection_sample(r, 1, 1e9, np.random.default_rng(s))[0] for s in range(4)]
    assert firsts == [0, 0, 0, 0]


def test_rso_pairs_put_the_higher_reward_first_and_leave_ties_out():
    r = np.array([0.0, 3.0, 1.0, 1.0, 2.0, 2.0])
    pairs = [p for s in range(20) for p in rso_pairs(r, 6, 5.0, np.random.default_rng(s))]
    assert pairs
    assert all(r[a] > r[b] for a, b in pairs)
    assert all(len(set(p)) == 2 for p in pairs)


# -- policy filtration


def test_the_unreliable_middle_is_dropped():
    r = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    assert filter_ranked(r, 3, "best_worst").tolist() == [0, 2, 1]
    assert filter_ranked(r, 2, "best").tolist() == [0, 2]
    assert filter_ranked(r, 9, "all").tolist() == [0, 2, 4, 3, 1]
    mixed = filter_ranked(r, 4, "best_random", np.random.default_rng(0))
    assert mixed[:2].tolist() == [0, 2]
    assert len(set(mixed.tolist())) == 4
    with pytest.raises(ValueError, match="unknown strategy"):
        filter_ranked(r, 2, "middle")
    with pytest.raises(ValueError, match="from 1 to"):
        filter_ranked(r, 6, "best")


def test_r_squared_equals_the_fit_of_a_line():
    rng = np.random.default_rng(0)
    r = rng.normal(size=30)
    y = 2 * r + rng.normal(size=30)
    slope, intercept = np.polyfit(r, y, 1)
    residual = ((y - slope * r - intercept) ** 2).sum()
    assert r_squared(r, y) == pytest.approx(1 - residual / ((y - y.mean()) ** 2).sum())
    assert math.isnan(r_squared(np.ones(3), np.arange(3.0)))


def test_the_filter_is_chosen_where_rewards_explain_outcomes_best():
    # Rewards are right at both ends and noise in the middle.
    rng = np.random.default_rng(2)
    rewards, outcomes = [], []
    for _ in range(60):
        r = np.sort(rng.normal(size=10))[::-1]
        y = np.where(np.abs(r) > 1.0, r, 3.0 * rng.normal(size=10))
        rewards.append(r)
        outcomes.append(y)
    name, table = choose_filter(rewards, outcomes, 4)
    assert name == "best_worst"
    assert table["best_worst"] > table["all"]
    with pytest.raises(ValueError, match="no strategy"):
        choose_filter([np.ones(4)], [np.ones(4)], 2)


# -- conditioned text


def test_control_tokens_hindsight_and_refinement_learn_only_the_answers():
    good = conditional("Q? ", "Yes.", 0.9, 0.5)
    assert good == [("Q? ", False), (GOOD, False), ("Yes.", True)]
    assert conditional("Q? ", "Yes.", 0.1, 0.5)[1] == (BAD, False)
    chain = hindsight("Q? ", ["best", "middle", "worst"])
    assert [t for t, learn in chain if learn] == ["worst", "middle", "best"]
    assert [t for t, learn in chain if not learn] == [
        *("Q? ", "A bad answer: ", "A better answer: ", "A good answer: ")
    ]
    assert [t for t, learn in hindsight("Q? ", ["a", "b"], ["B: ", "G: "]) if learn] == ["b", "a"]
    assert hindsight("Q? ", ["only"])[1:] == [("A good answer: ", False), ("only", True)]
    with pytest.raises(ValueError, match="one phrase"):
        hindsight("Q? ", ["a", "b"], ["x"])
    pieces = refinement("Q? ", "draft", "too short", "longer")
    assert [t for t, learn in pieces if learn] == ["longer"]
    assert refinement("Q", "d", "c", "r", learn_critique=True)[2] == ("c", True)
    assert token_mask(good, [2, 1, 3]) == [False] * 3 + [True] * 3


# -- where rollouts come from


def test_a_function_in_this_process_is_a_sampler_with_a_seed_for_each_prompt():
    seen = []

    def answer(prompt, sampling, seed):
        seen.append(seed)
        return [Rollout(prompt, f"{prompt[0]['content']}-{i}") for i in range(sampling.n)]

    chats = [[{"role": "user", "content": c}] for c in "ab"]
    rows = InProcess(answer)(chats, Sampling(n=2, seed=7))
    assert [[r.text for r in row] for row in rows] == [["a-0", "a-1"], ["b-0", "b-1"]]
    assert seen == [7, 8]
    short = InProcess(lambda *_: [])
    with pytest.raises(ValueError, match="asked for 2 answers, got 0"):
        short(chats, Sampling(n=2))


def engine_answer(**changes):
    choice = {
        "index": 1,
        "message": {"content": "yes"},
        "finish_reason": "stop",
        "token_ids": [5, 9],
        "logprobs": {"content": [{"logprob": -0.5}, {"logprob": -0.25}]},
    }
    return choice | changes


def test_an_engine_is_a_sampler_that_keeps_its_log_probabilities():
    sent = []

    def post(body):
        sent.append(body)
        cut = engine_answer(index=0, message={"content": "no"}, finish_reason="length")
        return {"choices": [engine_answer(), cut]}

    chat = [{"role": "user", "content": "hi"}]
    rows = OpenAIEngine(post, "policy-v3")([chat], Sampling(n=2, seed=4, max_new_tokens=8))
    assert [r.text for r in rows[0]] == ["no", "yes"]
    assert rows[0][1].token_ids == (5, 9)
    assert rows[0][1].logps == (-0.5, -0.25)
    assert [r.finished for r in rows[0]] == [False, True]
    assert rows[0][0].version == "policy-v3"
    assert sent[0]["model"] == "policy-v3"
    assert (sent[0]["n"], sent[0]["seed"], sent[0]["max_tokens"]) == (2, 4, 8)
    assert sent[0]["logprobs"] is True


@pytest.mark.parametrize(
    ("changes", "ids", "logps"),
    [
        ({"logprobs": None}, (5, 9), ()),
        ({"token_ids": None}, (), (-0.5, -0.25)),
        ({"token_ids": [5, 9, 2]}, (5, 9, 2), ()),
        ({"message": {"content": None}}, (5, 9), (-0.5, -0.25)),
    ],
)
def test_what_an_engine_does_not_tell_stays_empty(changes, ids, logps):
    engine = OpenAIEngine(lambda body: {"choices": [engine_answer(**changes)]}, "v")
    row = engine([[{"role": "user", "content": "hi"}]], Sampling())[0][0]
    assert (row.token_ids, row.logps) == (ids, logps)
    assert isinstance(row.text, str)


@pytest.mark.parametrize("answer", [{}, {"choices": None}, {"choices": []}])
def test_an_engine_that_answers_too_little_is_refused(answer):
    engine = OpenAIEngine(lambda body: answer, "v")
    with pytest.raises(ValueError, match="asked the engine for 1 answers, got 0"):
        engine([[{"role": "user", "content": "hi"}]], Sampling())


def test_both_sources_fit_one_protocol():
    chats = [[{"role": "user", "content": "hi"}]]
    engine = OpenAIEngine(lambda body: {"choices": [engine_answer()]}, "v")
    local = InProcess(lambda prompt, sampling, seed: [Rollout(prompt, "yes")])
    texts = [[r.text for r in itertools.chain(*s(chats, Sampling()))] for s in (engine, local)]
    assert texts == [["yes"], ["yes"]]
