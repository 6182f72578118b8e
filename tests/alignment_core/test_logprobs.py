"""Log-probabilities with the prompt read once, the KL of two policies, sampling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alignment.rollouts import k1
from alignment.trainer.generate import sample
from alignment.trainer.logprobs import LogProbs, build_trees, divergences, pack, tree_batches
from alignment.trainer.modeling import load_policy, weights_hash
from alignment.trainer.tokenise import ChatTokenizer

from . import tiny

PROMPT = (2, 40, 41, 42, 3)
ANSWERS = [(50, 51, 52, 0), (60, 0), (70, 71, 72, 73, 74, 75)]
OTHER = ((2, 90, 3), [(80, 81, 0), (82,)])


@pytest.fixture(scope="module")
def policy(policy_folder):
    return load_policy("model", policy_folder)


def separately(lm, prompt, answer) -> float:
    """The plain computation: one sequence, all logits."""
    ids = torch.tensor([[*prompt, *answer]])
    with torch.no_grad():
        logp = lm(input_ids=ids).logits[0].double().log_softmax(-1)
    return sum(float(logp[len(prompt) - 1 + i, t]) for i, t in enumerate(answer))


def sequences():
    return [(PROMPT, a) for a in ANSWERS] + [(OTHER[0], a) for a in OTHER[1]]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("budget", [16, 4096])
def test_a_shared_prompt_gives_the_log_probabilities_of_separate_sequences(policy, share, budget):
    engine = LogProbs(policy.lm)
    engine.probe(PROMPT, ANSWERS, share=share)
    assert engine.share is share
    assert engine.direct_head
    want = [separately(policy.lm, p, a) for p, a in sequences()]
    assert engine.score(sequences(), budget) == pytest.approx(want, abs=1e-4)


def test_the_gradient_through_a_shared_prompt_is_that_of_separate_sequences(policy):
    lm = policy.lm.requires_grad_(True)
    gradients = []
    for share in (True, False):
        engine = LogProbs(lm)
        engine.share, engine.direct_head = share, share
        trees, _ = build_trees(sequences(), share)
        lm.zero_grad()
        (engine.sums(pack(trees)) * torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0])).sum().backward()
        gradients.append({n: p.grad.clone() for n, p in lm.named_parameters()})
    lm.zero_grad()
    lm.requires_grad_(False)
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], atol=2e-4, rtol=1e-3), name


def test_the_head_in_chunks_equals_the_head_at_once(policy, monkeypatch):
    engine = LogProbs(policy.lm)
    engine.direct_head = engine.share = True
    packed = pack(build_trees(sequences() * 1, True)[0])
    whole, _ = engine.tokens(packed)
    monkeypatch.setattr("alignment.trainer.logprobs.CHUNK", 1)
    parts, _ = engine.tokens(packed)
    assert len(whole) == sum(len(a) for _, a in sequences())
    assert torch.allclose(whole, parts, atol=1e-6)


def test_a_model_that_ignores_the_mask_is_found_out_and_read_separately(policy):
    class Deaf(torch.nn.Module):
        """Drops mask and positions, as a recurrent model would."""

        def __init__(self, lm):
            super().__init__()
            self.inner, self.config = lm, lm.config
            self.base_model = self.forward_base
            self.get_output_embeddings = lm.get_output_embeddings

        def forward_base(self, input_ids, **_):
            return self.inner.base_model(input_ids=input_ids)

        def forward(self, input_ids, **_):
            return self.inner(input_ids=input_ids)

    engine = LogProbs(Deaf(policy.lm))
    engine.probe(PROMPT, ANSWERS, share=True)
    assert not engine.share
    assert "the prompt cannot be shared" in engine.notes[0]


def test_trees_read_the_prompt_once_and_equal_answers_once():
    trees, places = build_trees([(PROMPT, ANSWERS[0]), (PROMPT, ANSWERS[1])] * 2, True)
    assert len(trees) == 1
    assert trees[0].length == len(PROMPT) + 3 + 1
    assert places == [(0, 0), (0, 1)] * 2
    apart, _ = build_trees([(PROMPT, ANSWERS[0]), (PROMPT, ANSWERS[1])], False)
    assert len(apart) == 2


def test_batches_keep_the_token_budget():
    trees, _ = build_trees([((1,) * n, (2,) * 3) for n in (3, 50, 9, 4, 120, 7)], False)
    batches = tree_batches(trees, 60)
    assert sorted(i for b in batches for i in b) == list(range(6))
    for batch in batches:
        longest = max(trees[i].length for i in batch)
        assert len(batch) == 1 or longest * len(batch) <= 60


def test_the_kl_estimators_agree_and_the_exact_one_spreads_least(policy, tmp_path):
    other = load_policy("model", tiny.make_policy(tmp_path / "pi2", seed=5))
    with torch.no_grad():
        for mine, theirs in zip(other.lm.parameters(), policy.lm.parameters(), strict=True):
            mine.copy_(torch.lerp(theirs, mine, 0.15))
    answers = sample(other, [PROMPT], 400, max_new_tokens=4, batch=400, seed=3)[0]
    engines = []
    for model in (other, policy):
        engine = LogProbs(model.lm)
        engine.direct_head = True
        engines.append(engine)
    found = divergences(*engines, [(PROMPT, a.ids) for a in answers])
    exact = np.array([sum(d.kl) for d in found])
    rough = np.array([k1(np.array(d.logp) - np.array(d.ref_logp)).sum() for d in found])
    error = rough.std() / np.sqrt(len(rough))
    assert abs(exact.mean() - rough.mean()) < 4 * error
    assert exact.mean() > 0
    assert exact.min() >= 0
    assert exact.std() < 0.5 * rough.std()


def test_sampling_reports_the_log_probability_of_what_it_drew(policy):
    prompts = [list(PROMPT), [2, 90, 3], [2, *range(30, 60), 3]]
    answers = sample(policy, prompts, 3, temperature=0.7, max_new_tokens=10, batch=9, seed=1)
    engine = LogProbs(policy.lm)
    flat = [(p, a.ids) for p, own in zip(prompts, answers, strict=True) for a in own]
    scores = engine.score(flat)
    assert scores == pytest.approx([a.logprob for own in answers for a in own], abs=1e-3)
    for own in answers:
        for answer in own:
            assert answer.finished == (answer.ids[-1] in policy.eos_ids)
            assert len(answer.ids) <= 10


def test_low_temperature_takes_the_likeliest_token(policy):
    answers = sample(policy, [list(PROMPT)], 2, temperature=1e-4, max_new_tokens=5, seed=0)[0]
    ids = list(PROMPT)
    for token in answers[0].ids:
        with torch.no_grad():
            assert int(policy.lm(input_ids=torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(token)
    assert answers[0].ids == answers[1].ids


def test_long_texts_are_cut_and_special_tokens_in_an_answer_stay_text(policy):
    chat = ChatTokenizer(policy.tokenizer, 0, max_prompt=10, max_completion=6)
    prompt = chat.prompt([{"role": "user", "content": "x" * 1000}])
    assert len(prompt) == 10
    assert prompt[-1] == policy.tokenizer.convert_tokens_to_ids("<|assistant|>")
    assert len(chat.answer("y" * 1000)) == 6
    assert chat.answer("ab")[-1] == 0
    assert 0 not in ChatTokenizer(policy.tokenizer, 0, 10, 50).answer("<|end|>")[:-1]


def test_the_weights_hash_sees_every_change(policy_folder):
    policy = load_policy("model", policy_folder)
    before = weights_hash(policy.lm)
    assert before == weights_hash(load_policy("model", policy_folder).lm)
    with torch.no_grad():
        next(policy.lm.parameters())[0, 0] += 1e-6
    assert weights_hash(policy.lm) != before
