"""A random Llama and pairs or rankings of random words, with lengths like those of real chats.

Every word is one token, so the lengths are exact and the text reads the same for every trainer.
Prompt and answer lengths are log-normal (medians 180 and 220 tokens, sigma 0.6, at most 512), the
answers of one prompt correlated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SEED = 7
PROMPT, ANSWER, SIGMA, SHARED, SHORTEST, LONGEST = 180, 220, 0.6, 0.5, 8, 512
SPECIAL = ("<pad>", "<s>", "</s>")
EOS = SPECIAL.index("</s>")


@dataclass(frozen=True)
class Size:
    """A model: the fields of its LlamaConfig."""

    vocab: int
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int


SIZES = {
    "S": Size(4096, 256, 1024, 4, 4, 2),
    "M": Size(32000, 768, 3328, 12, 12, 4),
}


def make(folder: Path, size: str) -> Path:
    """Write the model with its tokenizer, once; returns the folder."""
    done = folder / size
    if (done / "tokenizer_config.json").is_file():
        return done
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    shape = SIZES[size]
    words = [*SPECIAL, *(f"w{n}" for n in range(shape.vocab - len(SPECIAL)))]
    vocabulary = {word: n for n, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(done)
    torch.manual_seed(SEED)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocab,
            hidden_size=shape.hidden,
            intermediate_size=shape.inner,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=64,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=EOS,
            pad_token_id=0,
        )
    ).save_pretrained(done)
    return done


@dataclass(frozen=True)
class Row:
    """A prompt and its answers, best first, as token ids; answers without the closing token."""

    prompt: list[int]
    answers: list[list[int]]

    @property
    def tokens(self) -> int:
        """Real tokens as pairwise trainers count them: the prompt once for each answer."""
        return sum(len(self.prompt) + len(a) + 1 for a in self.answers)


def rows(size: str, count: int, k: int = 2) -> list[Row]:
    """`count` prompts with `k` answers each; the same for every trainer."""
    rng = np.random.default_rng(SEED)
    vocab = SIZES[size].vocab

    def words(median: int, z: float) -> list[int]:
        n = int(np.clip(round(median * np.exp(SIGMA * z)), SHORTEST, LONGEST))
        return rng.integers(len(SPECIAL), vocab, n).tolist()

    made = []
    for z, shared in zip(_strata(rng, count), _strata(rng, count), strict=True):
        own = [SHARED**0.5 * shared + (1 - SHARED) ** 0.5 * rng.normal() for _ in range(k)]
        made.append(Row(words(PROMPT, z), [words(ANSWER, v) for v in own]))
    return made


def in_order(made: list[Row], batch: int) -> list[Row]:
    """Rows in batches of similar length, in shuffled order: the peer's best, as it pads."""
    order = sorted(range(len(made)), key=lambda i: (made[i].tokens, i))
    blocks = [order[at : at + batch] for at in range(0, len(order), batch)]
    shuffled = np.random.default_rng(SEED).permutation(len(blocks))
    return [made[i] for b in shuffled for i in blocks[b]]


def text(ids: list[int]) -> str:
    """The words of token ids."""
    return " ".join(f"w{n - len(SPECIAL)}" for n in ids)


def parameters(folder: Path) -> int:
    """Parameters that take part in products; the tied head counts once."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as file:
        return sum(int(np.prod(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118


def _strata(rng: np.random.Generator, n: int) -> np.ndarray:
    """Normal quantiles in random order, so that small sets keep the shape."""
    from scipy.stats import norm

    return rng.permutation(norm.ppf((np.arange(n) + 0.5) / n))


def first_head(folder: Path, member: int = 0):
    """The head `(1, hidden)` that a reward model begins with, the same for every trainer."""
    import torch

    hidden = json.loads((folder / "config.json").read_text())["hidden_size"]
    generator = torch.Generator().manual_seed(SEED + member)
    return 0.02 * torch.randn(1, hidden, generator=generator)
