"""A tiny random Llama with a byte-level tokenizer and a chat template, made in a moment; rows to
train it on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_policy(folder: Path, seed: int = 0, layers: int = 2, width: int = 32) -> Path:
    """Write a random policy to `folder`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    vocabulary = {t: i for i, t in enumerate([*special, *alphabet])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|end|>",
        pad_token="<|end|>",
        additional_special_tokens=special[1:],
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        eos_token_id=0,
        bos_token_id=None,
        pad_token_id=0,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def user(text: str) -> str:
    """A prompt cell of one user turn."""
    return json.dumps([{"role": "user", "content": text}])


def pair_rows(n: int = 24, **more) -> list[dict]:
    """Pairs that prefer exclamation marks; three prompts in four are to train on."""
    return [
        {
            "prompt": user(f"question {i}"),
            "chosen": f"yes {i}!!",
            "rejected": f"no {i} because of this and that",
            "split": "eval" if i % 4 == 0 else "train",
            **more,
        }
        for i in range(n)
    ]


def prompt_rows(n: int = 6) -> list[dict]:
    """Prompts in two groups."""
    return [
        {"prompt_id": f"p{i}", "prompt": user(f"question {i}"), "group": "ab"[i % 2]}
        for i in range(n)
    ]


def write_run(folder: Path, run: dict, **tables: list[dict]) -> Path:
    """Write run.json and data/NAME.parquet files."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{name}.parquet")
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def report(folder: Path) -> dict:
    """The report of a run."""
    return json.loads((folder / "report.json").read_text())


def progress(folder: Path, phase: str = "train") -> list[dict]:
    """Lines of one phase of the progress stream."""
    lines = (folder / "progress.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["phase"] == phase]


def start(folder: Path, **options) -> subprocess.Popen:
    """The trainer as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "alignment.trainer", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
