"""Log-probabilities with the prompt read once, the KL of two policies, sampling."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from alignment.rollouts import k1
from alignment.trainer.generate import sample
from alignment.trainer.head import head_logprobs
from alignment.trainer.logprobs import (
    LogProbs,
    build_trees,
    divergences,
    pack,
    pad,
    tree_batches,
)
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


@pytest.mark.parametrize("packs", [True, False])
def test_the_gradient_through_a_shared_prompt_is_that_of_separate_sequences(policy_folder, packs):
    lm = load_policy("model", policy_folder).lm.requires_grad_(True)
    gradients = []
    for share in (True, False):
        engine = LogProbs(lm)
        engine.probe(PROMPT, ANSWERS, share=share)
        engine.direct_head, engine.packs = share, share and packs
        trees, _ = build_trees(sequences(), share)
        lm.zero_grad()
        (
            engine.sums(engine.pack(trees)) * torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0])
        ).sum().backward()
        gradients.append({n: p.grad.clone() for n, p in lm.named_parameters()})
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], atol=2e-4, rtol=1e-3), name


def test_the_last_layer_is_left_out_where_no_state_is_wanted(policy_folder):
    lm = load_policy("model", policy_folder).lm.requires_grad_(True)
    engine = LogProbs(lm)
    engine.probe(PROMPT, ANSWERS, share=True)
    assert engine.narrows
    seen: list[int] = []
    lm.model.layers[-1].mlp.register_forward_hook(lambda m, i, out: seen.append(out.shape[1]))
    packed = engine.pack(engine.trees(sequences())[0])
    gradients = []
    for engine.narrows in (True, False):
        packed.layout.rows = None
        lm.zero_grad()
        engine.sums(packed).sum().backward()
        gradients.append({n: p.grad.clone() for n, p in lm.named_parameters()})
    # One state a predicted token; the three answers begin at one and the same.
    assert seen == [len(packed.targets) - 3, packed.tokens]
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], atol=1e-4), name
    # A copy computes with its own weights.
    other = copy.deepcopy(lm)
    with torch.no_grad():
        other.model.layers[-1].mlp.down_proj.weight.zero_()
    engine = LogProbs(other).like(engine)
    assert engine.score(sequences()) != pytest.approx(LogProbs(lm).score(sequences()), abs=1e-3)


def test_packed_trees_hold_no_padding_and_padded_ones_do():
    trees, _ = build_trees(sequences(), True)
    packed, padded = pack(trees), pad(trees)
    assert packed.ids.numel() == packed.tokens == sum(t.length for t in trees)
    assert padded.ids.numel() > padded.tokens == packed.tokens
    assert packed.targets.tolist() == padded.targets.tolist()


def test_a_packed_model_still_generates_and_reads_plain_batches_as_before(policy_folder, policy):
    other = load_policy("model", policy_folder)
    engine = LogProbs(other.lm)
    engine.probe(PROMPT, ANSWERS, share=True)
    assert engine.packs
    want = [separately(policy.lm, p, a) for p, a in sequences()]
    assert [separately(other.lm, p, a) for p, a in sequences()] == pytest.approx(want, abs=1e-5)
    drawn = [sample(m, [PROMPT], 2, max_new_tokens=6, seed=1)[0] for m in (policy, other)]
    assert [a.ids for a in drawn[0]] == [a.ids for a in drawn[1]]


def windowed(seed: int = 0):
    """A tiny Mistral that sees eight tokens back."""
    torch.manual_seed(seed)
    config = MistralConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        initializer_range=0.2,
    )
    return MistralForCausalLM._from_config(config, attn_implementation="sdpa").eval()


@pytest.mark.parametrize("share", [True, False])
def test_a_model_with_a_short_window_is_read_as_it_reads_alone(share):
    models = windowed(0), windowed(1)
    long = [(PROMPT + PROMPT, a) for a in ANSWERS] + [(OTHER[0], a) for a in OTHER[1]]
    want = [[separately(m, p, a) for p, a in long] for m in models]
    # The window matters here: without it the values are others.
    models[0].config.sliding_window = None
    assert [separately(models[0], p, a) for p, a in long] != pytest.approx(want[0], abs=1e-3)
    models[0].config.sliding_window = 8
    engines = [LogProbs(m) for m in models]
    for engine in engines:
        engine.probe(PROMPT, ANSWERS[1:2], share=share)
    assert engines[0].score(long) == pytest.approx(want[0], abs=1e-4)
    assert "sees 8 tokens back" in engines[0].notes[-1]
    found = divergences(*engines, long)
    assert [sum(d.logp) for d in found] == pytest.approx(want[0], abs=1e-4)
    assert [sum(d.ref_logp) for d in found] == pytest.approx(want[1], abs=1e-4)
    # As in training: several rows in one batch, with gradient.
    models[0].requires_grad_(True)
    trees = engines[0].trees(long)[0]
    sums = engines[0].sums(engines[0].pack(trees))
    assert sums.tolist() == pytest.approx(want[0], abs=1e-4)
    sums.sum().backward()
    assert models[0].model.embed_tokens.weight.grad.abs().sum() > 0
    # Within the window everything is shared and packed as ever.
    short = [((2, 40, 3), a) for a in ANSWERS[:2]]
    assert engines[0].pack(engines[0].trees(short)[0]).singles == []
    want = [separately(models[0], p, a) for p, a in short]
    assert engines[0].score(short) == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize("biased", [True, False])
def test_the_head_in_chunks_has_the_values_and_gradients_of_autograd(monkeypatch, biased):
    generator = torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(5, 11, bias=biased).double()
    hidden = torch.randn(7, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 11, (7,), generator=generator)
    upstream = torch.randn(7, generator=generator, dtype=torch.float64)
    want = linear(hidden).log_softmax(-1).gather(1, targets[:, None])[:, 0]
    inputs = [hidden, *linear.parameters()]
    gradients = torch.autograd.grad((want * upstream).sum(), inputs)
    monkeypatch.setattr("alignment.trainer.head.CHUNK", 33)
    monkeypatch.setattr("alignment.trainer.head.BLOCK", 22)
    got = head_logprobs(linear, hidden, targets)
    assert torch.allclose(got, want, atol=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad((got * upstream).sum(), inputs), gradients, strict=True
    ):
        assert torch.allclose(mine, theirs, atol=1e-12)


def test_rounding_in_a_narrow_dtype_never_makes_a_log_probability_positive():
    generator = torch.Generator().manual_seed(1)
    linear = torch.nn.Linear(64, 50, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(50, 64, generator=generator))
    targets = torch.randint(0, 50, (200,), generator=generator)
    hidden = (linear.weight[targets] * 0.7).detach()  # every token is all but certain
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = head_logprobs(linear, hidden, targets)
    assert narrow.max() <= 0
    assert torch.allclose(narrow, head_logprobs(linear, hidden, targets), atol=0.05)


def test_a_head_that_is_not_plain_is_computed_by_its_own_code():
    class Capped(torch.nn.Linear):
        def forward(self, x):
            return torch.tanh(super().forward(x))

    head = Capped(4, 6)
    hidden, targets = torch.randn(3, 4, requires_grad=True), torch.tensor([0, 5, 2])
    got = head_logprobs(head, hidden, targets)
    want = head(hidden).log_softmax(-1)[torch.arange(3), targets]
    assert torch.allclose(got, want, atol=1e-6)


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
    assert not engine.packs
    assert any("the prompt cannot be shared" in note for note in engine.notes)


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
