"""The committed starter policy: it loads offline, chats, and shows its manners in equal shares."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from inference.starter import WEIGHTS
from inference.starter.manners import AXES, describe, held_out_prompts, on_topic

SAMPLES = 384
SHARE_LOW, SHARE_HIGH = 0.38, 0.62


@dataclass
class Sample:
    prompt: str
    answer: str
    ended: bool


@pytest.fixture(scope="module")
def policy():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        WEIGHTS, dtype=torch.float32, local_files_only=True
    )
    return tokenizer, model.eval()


def sample(policy, chats, seed):
    """One answer at temperature 1 to each chat, in batches."""
    tokenizer, model = policy
    torch.manual_seed(seed)
    samples = []
    for start in range(0, len(chats), 96):
        batch = tokenizer.apply_chat_template(
            chats[start : start + 96],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
            padding=True,
        )
        out = model.generate(**batch)[:, batch["input_ids"].shape[1] :]
        for chat, ids in zip(chats[start : start + 96], out, strict=True):
            text = tokenizer.decode(ids, skip_special_tokens=True)
            samples.append(Sample(chat[-1]["content"], text, tokenizer.eos_token_id in ids))
    return samples


@pytest.fixture(scope="module")
def sampled(policy):
    prompts = held_out_prompts()
    prompts = (prompts * (SAMPLES // len(prompts) + 1))[:SAMPLES]
    return sample(policy, [[{"role": "user", "content": p}] for p in prompts], seed=0)


def test_the_folder_is_small_enough_to_commit():
    assert sum(f.stat().st_size for f in WEIGHTS.rglob("*") if f.is_file()) <= 16 * 1024**2


def test_weights_are_safetensors_and_need_no_code():
    names = {f.name for f in WEIGHTS.iterdir()}
    assert {"model.safetensors", "tokenizer.json", "config.json", "README.md"} <= names
    assert not [n for n in names if n.endswith((".py", ".bin", ".pt", ".pkl"))]


def test_the_template_marks_every_turn(policy):
    tokenizer, _ = policy
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    ]
    assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nHello<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_any_text_survives_the_tokenizer(policy):
    tokenizer, _ = policy
    text = "Ünïcode 漢字 🤖\n\ttabs  and 123 <b>"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_answers_end_by_themselves(sampled):
    assert sum(s.ended for s in sampled) / len(sampled) >= 0.98
    assert all(s.answer.strip() for s in sampled)


def test_answers_to_unseen_phrasings_fit_the_question(sampled):
    assert sum(on_topic(s.prompt, s.answer) for s in sampled) / len(sampled) >= 0.85


@pytest.mark.parametrize("axis", AXES)
def test_each_manner_comes_in_about_half_of_the_answers(sampled, axis):
    seen = [getattr(describe(s.prompt, s.answer), axis) for s in sampled]
    seen = [value for value in seen if value is not None]
    # The standard error is below 0.032 for the 250 or more answers that count.
    assert len(seen) >= 250
    assert SHARE_LOW <= sum(seen) / len(seen) <= SHARE_HIGH


def test_the_same_prompt_gets_many_different_answers(policy):
    chat = [{"role": "user", "content": held_out_prompts()[0]}]
    answers = {s.answer for s in sample(policy, [chat] * 32, seed=1)}
    assert len(answers) >= 16


def test_it_says_so_when_it_does_not_know(policy):
    odd = [
        "Who invented the bicycle?",
        "¿Dónde está la playa?",
        "zzkl wub wub",
        "?!",
        "Explain DNA",
    ]
    samples = sample(policy, [[{"role": "user", "content": p}] for p in odd * 6], seed=2)
    assert sum("not know that yet" in s.answer for s in samples) / len(samples) >= 0.8


def test_a_second_turn_is_answered_too(policy):
    first = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "How do I make tea?"},
        {"role": "assistant", "content": "Boil fresh water, then warm the cup first."},
    ]
    chats = [[*first, {"role": "user", "content": p}] for p in held_out_prompts()[:64]]
    samples = sample(policy, chats, seed=3)
    assert sum(on_topic(s.prompt, s.answer) for s in samples) / len(samples) >= 0.75
