"""Frozen features of (prompt, answer), computed once a text and kept on disk.

One encoder pass reads `[CLS] prompt [SEP] answer [SEP]` as one segment of at most `max_tokens`
tokens (the end of the prompt, at most 3/8 of the room while the answer needs the rest; the start of
the answer). Blocks, each as wide as the encoder but for the last:

    words    mean over the answer of the embedding layer: which words are used
    middle   mean over the answer of the middle layer: phrases and their order
    top      mean over the answer of the last layer: what it says, in the light of the prompt
    peak     maximum over the answer of the last layer: single striking parts
    whole    mean over all tokens of the last layer, unit length: the ordinary sentence embedding
    fit      product of the unit means over prompt and answer: how the answer fits the prompt
    surface  counts of the text itself: length, list markers, line breaks, punctuation, digits
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from .encoder import encoder_folder, load_encoder, load_tokenizer, signature
from .store import KeyedRows, key_of

VERSION = 1
BLOCKS = ("words", "middle", "top", "peak", "whole", "fit")
SURFACE = 12


def prompt_text(messages: Sequence[dict]) -> str:
    """A chat list as plain text for the encoder: a lone user turn as it is, else each turn after
    its role.
    """
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n".join(f"{m['role']}: {m['content']}" for m in messages)


def surface(text: str) -> list[float]:
    """`SURFACE` counts of a text, on log scales where they are unbounded."""
    words = text.split()
    lines = text.split("\n")
    items = sum(bool(re.match(r"\s*([-*•]|\d+[.)])\s", line)) for line in lines)
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        math.log1p(items),
        float(items > 0),
        math.log1p(len(lines) - 1),
        math.log1p(text.count("?")),
        math.log1p(text.count("!")),
        math.log1p(text.count(",")),
        math.log1p(sum(c.isdigit() for c in text)),
        math.log1p(text.count("`") + text.count("**")),
        sum(map(len, words)) / len(words) / 8 if words else 0.0,
        sum(c.isupper() for c in text) / len(text) if text else 0.0,
    ]


class Featurizer:
    """Features of (messages, answer) pairs by a frozen encoder, through a store on disk."""

    def __init__(
        self,
        encoder: str = "minilm",
        max_tokens: int = 256,
        cache: Path | None = None,
        device: str = "cpu",
    ) -> None:
        self.folder = encoder_folder(encoder)
        self.max_tokens, self.device = max_tokens, device
        self.signature = f"v{VERSION}-{signature(self.folder)}-{max_tokens}"
        self._encoder = None
        self._tokenizer = None
        self.hidden = self._hidden_size()
        self.width = len(BLOCKS) * self.hidden + SURFACE
        self.computed = self.cached = 0
        self.store = None
        if cache is not None:
            self.store = KeyedRows(cache / "features" / self.signature, self.width)

    def _hidden_size(self) -> int:
        import json

        return int(json.loads((self.folder / "config.json").read_text())["hidden_size"])

    def blocks(self) -> dict[str, slice]:
        """Column range of each block."""
        spans = {b: slice(i * self.hidden, (i + 1) * self.hidden) for i, b in enumerate(BLOCKS)}
        start = len(BLOCKS) * self.hidden
        return spans | {"surface": slice(start, start + SURFACE)}

    def __call__(
        self,
        texts: Sequence[tuple[str, str]],
        progress: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Features `(n, width)` float32 of (prompt text, answer) tuples; equal texts are computed
        once.
        """
        keys = [self._key(*t) for t in texts]
        known = self.store.index if self.store is not None else {}
        wanted = {k: t for k, t in zip(keys, texts, strict=True) if k not in known}
        self.computed += len(wanted)
        self.cached += len(set(keys)) - len(wanted)
        store = self.store
        fresh: dict[bytes, np.ndarray] = {}
        if wanted:
            new_keys = list(wanted)
            rows = self._compute([wanted[k] for k in new_keys], progress)
            if store is not None:
                store.add(new_keys, rows)
            else:
                fresh = dict(zip(new_keys, rows, strict=True))
        if store is not None:
            return store.get(keys)
        if not keys:
            return np.zeros((0, self.width), dtype=np.float32)
        return np.stack([fresh[k] for k in keys]).astype(np.float32)

    def _key(self, prompt: str, answer: str) -> bytes:
        return key_of(prompt.encode("utf-8", "replace"), answer.encode("utf-8", "replace"))

    def ids(self, prompt: str, answer: str) -> list[int]:
        """Token ids of what the encoder reads of a prompt and an answer."""
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self.folder)
        return self._tokens(prompt, answer)[0]

    def _compute(
        self, texts: list[tuple[str, str]], progress: Callable[[int, int], None] | None
    ) -> np.ndarray:
        if self._encoder is None:
            self._encoder = load_encoder(self.folder, self.device)
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self.folder)
        encoded = [self._tokens(*t) for t in texts]
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i][0]))
        out = np.empty((len(texts), self.width), dtype=np.float16)
        done = 0
        for batch in token_batches(order, lambda i: len(encoded[i][0]), 4096):
            out[batch] = self._batch([encoded[i] for i in batch], [texts[i][1] for i in batch])
            done += len(batch)
            if progress is not None:
                progress(done, len(texts))
        return out

    def _tokens(self, prompt: str, answer: str) -> tuple[list[int], int, int]:
        """Token ids and the span [start, stop) of the answer in them."""
        # A megabyte of text need not be tokenised for 256 tokens: no token is longer than some 16
        # characters.
        room = min(self.max_tokens, 512) - 3
        tokenizer = self._tokenizer
        cut = 16 * self.max_tokens
        a = tokenizer.encode(prompt[-cut:], add_special_tokens=False).ids
        b = tokenizer.encode(answer[:cut], add_special_tokens=False).ids
        head = min(len(a), max(room * 3 // 8, room - len(b)))
        a = a[len(a) - head :]
        b = b[: room - len(a)]
        cls, sep = self._special()
        return (
            [*cls, *a, *sep, *b, *sep],
            len(cls) + len(a) + len(sep),
            len(cls) + len(a) + len(sep) + len(b),
        )

    def _special(self) -> tuple[list[int], list[int]]:
        tokenizer = self._tokenizer
        return tuple(
            [i] if (i := tokenizer.token_to_id(t)) is not None else [] for t in ("[CLS]", "[SEP]")
        )

    def _batch(self, encoded: list[tuple[list[int], int, int]], answers: list[str]) -> np.ndarray:
        length = max(max(len(e[0]) for e in encoded), 1)
        ids = torch.zeros(len(encoded), length, dtype=torch.long)
        mask = torch.zeros(len(encoded), length, dtype=torch.bool)
        answer = torch.zeros(len(encoded), length, dtype=torch.bool)
        for row, (tokens, start, stop) in enumerate(encoded):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = True
            answer[row, start:stop] = True
        ids, mask, answer = (t.to(self.device) for t in (ids, mask, answer))
        states = self._encoder.states(ids, mask)
        last = states[-1]
        top = mean_over(last, answer)
        prompt = mean_over(last, mask & ~answer)
        peak = last.masked_fill(~answer[:, :, None], float("-inf")).amax(1)
        parts = [
            mean_over(states[0], answer),
            mean_over(states[len(states) // 2], answer),
            top,
            torch.where(answer.any(1)[:, None], peak, torch.zeros_like(peak)),
            unit(mean_over(last, mask)),
            unit(prompt) * unit(top),
        ]
        counts = torch.tensor([surface(a) for a in answers], dtype=torch.float32)
        return torch.cat([*[p.float().cpu() for p in parts], counts], 1).numpy().astype(np.float16)


def mean_over(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of `(B, T, H)` states over the True positions of `(B, T)`; zeros where there is none."""
    weight = mask.to(states.dtype)
    return torch.einsum("bth,bt->bh", states, weight) / weight.sum(1, keepdim=True).clamp(min=1.0)


def unit(x: torch.Tensor) -> torch.Tensor:
    """Rows scaled to length 1."""
    return x / x.norm(dim=-1, keepdim=True).clamp(min=1e-9)


def token_batches(
    order: Sequence[int], length: Callable[[int], int], budget: int
) -> list[list[int]]:
    """Split an order (sorted by length) into batches of at most `budget` padded tokens, at least
    one each.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    longest = 0
    for i in order:
        longest_with = max(longest, length(i))
        if current and longest_with * (len(current) + 1) > budget:
            batches.append(current)
            current, longest_with = [], length(i)
        current.append(i)
        longest = longest_with
    if current:
        batches.append(current)
    return batches
