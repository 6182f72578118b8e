"""How the starter policy is made: data, labels, loss and schedule."""

from __future__ import annotations

import random

import pytest
import torch
from transformers import AutoTokenizer

from inference.starter import WEIGHTS, make
from inference.starter.manners import describe


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(WEIGHTS, local_files_only=True)


def test_the_same_seed_gives_the_same_dialogues():
    def draw(seed):
        rng = random.Random(seed)
        return [make.dialogue(rng) for _ in range(20)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_manners_are_drawn_evenly():
    rng = random.Random(0)
    answers = [m["content"] for _ in range(600) for m in make.dialogue(rng)[-1:]]
    for axis in ("long", "warm", "listed", "hedged"):
        share = sum(getattr(describe("", a), axis) for a in answers) / len(answers)
        assert 0.42 < share < 0.58


def test_encoding_agrees_with_the_chat_template_and_learns_the_assistant_only(tokenizer):
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello. What do you need?"},
        {"role": "user", "content": "Thanks"},
        {"role": "assistant", "content": "Noted."},
    ]
    ids, learn = make.encode(tokenizer, messages)
    assert tokenizer.decode(ids) == tokenizer.apply_chat_template(messages, tokenize=False)
    learned = tokenizer.decode([i for i, mine in zip(ids, learn, strict=True) if mine])
    assert learned == "Hello. What do you need?<|im_end|>Noted.<|im_end|>"


def test_a_prompt_is_tokenised_as_in_training(tokenizer):
    """What the server feeds the model must be the very tokens it was trained on."""
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    served = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    answered = [*messages, {"role": "assistant", "content": "Paris."}]
    ids, learn = make.encode(tokenizer, answered)
    assert served == ids[: learn.index(True)]


def test_batches_label_the_assistant_and_nothing_else(tokenizer):
    ids, labels = next(make.batches(tokenizer, random.Random(0)))
    assert ids.shape == labels.shape
    assert ids.shape[0] == make.BATCH
    kept = labels != make.IGNORE
    assert torch.equal(labels[kept], ids[kept])
    assert not (kept & (ids == tokenizer.pad_token_id)).any()
    assert kept.any(dim=1).all()
    assert (ids[kept] == tokenizer.eos_token_id).sum() >= make.BATCH


def test_the_loss_of_an_untrained_model_is_that_of_a_uniform_guess(tokenizer):
    torch.manual_seed(0)
    model = make.build_model(tokenizer)
    ids = torch.randint(3, len(tokenizer), (2, 10))
    labels = ids.clone()
    labels[:, :4] = make.IGNORE
    loss = make.loss_of(model, ids, labels).item() * make.BATCH * make.USUAL_TOKENS
    uniform = torch.log(torch.tensor(float(len(tokenizer)))).item()
    assert loss / 12 == pytest.approx(uniform, rel=0.05)


def test_the_learning_rate_rises_then_falls():
    rates = [make.learning_rate(step, 100, 1.0) for step in range(100)]
    assert rates[0] == pytest.approx(0.25)
    assert max(rates) == pytest.approx(1.0) == rates[4]
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] < 0.02


def test_zero_steps_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        make.main([str(tmp_path), "--steps", "0"])
    assert stopped.value.code == 2
    assert "at least 1" in capsys.readouterr().err


def test_going_on_from_a_foreign_folder_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        make.main([str(tmp_path / "out"), "--start", str(tmp_path)])
    assert stopped.value.code == 2
    assert "not a folder this command wrote" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
