"""Make the starter policy: tokenizer, chat template and a small Llama model, trained from scratch.

    python -m inference.starter.make OUT_DIR [--steps N] [--seed S]

Writes a Hugging Face model folder that transformers, ``transformers serve`` and vLLM load as it is.
The same seed on the same machine and library versions gives the same weights.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from inference.starter.facts import FACTS
from inference.starter.manners import BY_NAME, Manners, compose, sample_prompt, training_prompts
from inference.starter.talk import Talk

HISTORY = "history.json"
PAD, START, END = "<pad>", "<|im_start|>", "<|im_end|>"
VOCAB_SIZE = 2560
MAX_POSITIONS = 1024
BATCH = 16
PEAK_LR = 3e-3
USUAL_TOKENS = 45
IGNORE = -100

CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' }}"
    "{%- if message['content'] is string %}{{- message['content'] }}"
    "{%- else %}{%- for part in message['content'] %}"
    "{%- if part['type'] == 'text' %}{{- part['text'] }}{%- endif %}"
    "{%- endfor %}{%- endif %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)

SYSTEMS = (
    "You are a helpful assistant.",
    "You are a kind and helpful assistant.",
    "Answer the user's questions.",
    "You are Starter, a small assistant for everyday questions.",
    "Be brief and correct.",
)

Message = dict[str, str]


def dialogue(rng: random.Random, facts: float = 1.8) -> list[Message]:
    """One dialogue of one or two turns, each answer in manners drawn evenly on every axis."""
    messages: list[Message] = []
    if rng.random() < 0.2:
        messages.append({"role": "system", "content": rng.choice(SYSTEMS)})
    for _ in range(2 if rng.random() < 0.15 else 1):
        prompt, ask = sample_prompt(rng, facts)
        checkable = not isinstance(BY_NAME[ask.intent], Talk)
        long, warm, listed, hedged, right = (rng.random() < 0.5 for _ in range(5))
        manners = Manners(long, warm, listed, hedged, right if checkable else None)
        messages.append({"role": "user", "content": prompt})
        messages.append({"role": "assistant", "content": compose(ask, manners, rng)})
    return messages


def _texts(rng: random.Random, dialogues: int) -> Iterator[str]:
    """What the assistant says, and prompts as they are written without slips."""
    for _ in range(dialogues):
        yield from (m["content"] for m in dialogue(rng) if m["role"] == "assistant")
    for prompt in training_prompts(per_intent=80):
        yield from (prompt, prompt.lower(), prompt)


def _words() -> Iterator[str]:
    """Subjects and values of the facts, often enough that each word becomes one token.

    A model this small learns "France, Paris" far sooner than "F-r-ance, P-ar-is".
    """
    for fact in FACTS:
        for subject, (right, wrong) in fact.table.items():
            for text in (subject, right, *wrong):
                yield from (f"{form} {form}" for form in (text, text.lower()) for _ in range(60))


def build_tokenizer(rng: random.Random, dialogues: int = 8000) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on generated dialogues; any text can be encoded."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([*_texts(rng, dialogues), *_words()], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of about two million parameters, randomly initialised."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=3,
        head_dim=64,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def encode(
    tokenizer: PreTrainedTokenizerFast, messages: list[Message]
) -> tuple[list[int], list[bool]]:
    """Token ids of a dialogue, and True at the tokens the assistant wrote (its <|im_end|> too)."""
    ids: list[int] = []
    learn: list[bool] = []
    for message in messages:
        mine = message["role"] == "assistant"
        head = tokenizer.encode(f"{START}{message['role']}\n", add_special_tokens=False)
        text = message["content"] + END
        body = tokenizer.encode(text, add_special_tokens=False)
        tail = tokenizer.encode("\n", add_special_tokens=False)
        ids += head + body + tail
        learn += [False] * len(head) + [mine] * len(body) + [False] * len(tail)
    return ids, learn


def batches(
    tokenizer: PreTrainedTokenizerFast, rng: random.Random, facts: float = 1.8
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Fresh batches ``(ids, labels)``, both (BATCH, length), of dialogues alike in length."""
    while True:
        pool = [encode(tokenizer, dialogue(rng, facts)) for _ in range(BATCH * 32)]
        pool.sort(key=lambda pair: len(pair[0]))
        groups = [pool[i : i + BATCH] for i in range(0, len(pool), BATCH)]
        rng.shuffle(groups)
        for group in groups:
            length = len(group[-1][0])
            ids = torch.full((BATCH, length), tokenizer.pad_token_id)
            labels = torch.full((BATCH, length), IGNORE)
            for row, (tokens, learn) in enumerate(group):
                found = torch.tensor(tokens)
                ids[row, : len(tokens)] = found
                labels[row, : len(tokens)] = torch.where(torch.tensor(learn), found, IGNORE)
            yield ids, labels


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the assistant's tokens, summed, over the usual number in a batch.

    A mean per batch would weigh a token of a batch of short dialogues more than one of long ones
    and so teach the model to be brief. Logits are made for the assistant's tokens alone. Padding
    stands at the right and attention is causal, so no attention mask is needed.
    """
    hidden = model.model(input_ids=ids[:, :-1]).last_hidden_state
    targets = labels[:, 1:]
    keep = targets != IGNORE
    total = torch.nn.functional.cross_entropy(
        model.lm_head(hidden[keep]), targets[keep], reduction="sum"
    )
    return total / (BATCH * USUAL_TOKENS)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over the first 4 %, then a cosine to a hundredth of the peak."""
    warm = max(1, steps // 25)
    if step < warm:
        return peak * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rng: random.Random,
    steps: int,
    peak: float,
    facts: float,
) -> float:
    """Train in place; returns the mean loss of the last two hundred steps."""
    decay = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
        betas=(0.9, 0.98),
        fused=True,
    )
    model.train()
    recent: list[float] = []
    terminal = sys.stderr.isatty()
    data = zip(range(steps), batches(tokenizer, rng, facts), strict=False)
    bar = tqdm(data, total=steps, unit="step", disable=not terminal)
    begun = time.monotonic()
    for step, (ids, labels) in bar:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        loss = loss_of(model, ids, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        recent = [*recent[-199:], loss.item()]
        mean = sum(recent) / len(recent)
        bar.set_postfix(loss=f"{mean:.3f}")
        if not terminal and (step + 1) % 100 == 0:
            seconds = time.monotonic() - begun
            print(f"step {step + 1}/{steps}  loss {mean:.4f}  {seconds:.0f} s", flush=True)
    return sum(recent) / len(recent)


def save(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
    history: list[dict[str, float]],
) -> None:
    """Write the model folder: bf16 safetensors, tokenizer, template, generation defaults, card."""
    model.eval().to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        max_new_tokens=256,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    parameters = sum(p.numel() for p in model.parameters())
    (out / HISTORY).write_text(json.dumps(history, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(card_text(parameters, history), encoding="utf-8")


def card_text(parameters: int, history: list[dict[str, float]]) -> str:
    """The model card, with the commands that made the model."""
    intents = ", ".join(sorted(BY_NAME))
    commands = []
    for number, run in enumerate(history, 1):
        start = f" --start RUN_{number - 1}" if number > 1 else ""
        commands.append(
            f"    python -m inference.starter.make RUN_{number}{start} --steps {run['steps']}"
            f" --seed {run['seed']} --facts {run['facts']}    # last loss {run['loss']}"
        )
    return f"""# Starter

The model a fresh installation chats with. It was made from nothing by `inference/starter/make.py`:
no other model and no text from outside went into it.

- Llama architecture, {parameters:,} parameters, byte-level BPE of {VOCAB_SIZE} tokens, bf16,
  context {MAX_POSITIONS} tokens, ChatML template.
- Trained on generated dialogues, {BATCH} a step, with the loss on the assistant's tokens.
- Knows {len(BY_NAME)} everyday intents: {intents}.
- Answers in varied manners, about half and half on each axis: short or long, warm or dry, with or
  without a list, hedged or plain, and right or **wrong on purpose**, so that people's feedback has
  something to move. Do not rely on what it says.
- Sample it at temperature 1.0 with top-p 1.0.

Made by:

{chr(10).join(commands)}
"""


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m inference.starter.make",
        description="Make the starter policy from scratch.",
        epilog="example: python -m inference.starter.make var/starter --steps 2000 --seed 0",
    )
    parser.add_argument("out", type=Path, help="folder to write the model to")
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps (%(default)s)")
    parser.add_argument("--start", type=Path, help="go on from a folder this command wrote")
    parser.add_argument(
        "--facts", type=float, default=1.8, help="weight of questions for facts (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of data and weights")
    args = parser.parse_args(argv)
    if args.steps < 1:
        parser.error("--steps must be at least 1")
    if args.start is not None and not (args.start / HISTORY).is_file():
        parser.error(f"{args.start} is not a folder this command wrote: it has no {HISTORY}")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"cannot write to {args.out}: {error.strerror}")

    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    history: list[dict[str, float]] = []
    peak = PEAK_LR
    if args.start is None:
        tokenizer = build_tokenizer(rng)
        model = build_model(tokenizer)
    else:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(args.start, local_files_only=True)
        model = LlamaForCausalLM.from_pretrained(
            args.start, dtype=torch.float32, local_files_only=True
        )
        history = json.loads((args.start / HISTORY).read_text(encoding="utf-8"))
        peak = PEAK_LR / 2
    begun = time.monotonic()
    try:
        loss = train(model, tokenizer, rng, args.steps, peak, args.facts)
    except KeyboardInterrupt:
        print("Stopped. Nothing was written.", file=sys.stderr)
        return 130
    parameters = sum(p.numel() for p in model.parameters())
    run = {"steps": args.steps, "seed": args.seed, "facts": args.facts, "loss": round(loss, 4)}
    save(model, tokenizer, args.out, [*history, run])
    seconds = round(time.monotonic() - begun)
    print(json.dumps({"parameters": parameters, "loss": round(loss, 4), "seconds": seconds}))
    return 0


STEPS = 1800
"""About ten minutes on one idle core; more steps go on teaching the facts (see --start)."""

if __name__ == "__main__":
    sys.exit(main())
