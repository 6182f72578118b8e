"""Sampling answers from a policy in process: prompts sorted by length, read once, finished rows
dropped as they end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alignment.rewards.threads import few_threads

from .modeling import Policy


@dataclass
class Answer:
    """One sampled answer: ids with the end token if it ended, log-probability at temperature 1,
    whether it ended.
    """

    ids: list[int]
    logprob: float
    finished: bool


def truncate_top_p(logits: Tensor, top_p: float) -> Tensor:
    """Logits with everything outside the smallest set of probability `top_p` at minus infinity,
    `(B, V)`.
    """
    if top_p >= 1.0:
        return logits
    ordered, index = logits.sort(-1, descending=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
    drop = torch.zeros_like(before, dtype=torch.bool).scatter(-1, index, before >= top_p)
    return logits.masked_fill(drop, float("-inf"))


def draw(weights: Tensor, generator: torch.Generator) -> Tensor:
    """One index a row of `(B, V)` probabilities, `(B, 1)`, by inverting the cumulative sum.

    `torch.multinomial` draws V numbers a row; this draws one. A weight of zero is never chosen.
    """
    total = weights.double().cumsum(-1)
    u = torch.rand(len(weights), 1, generator=generator, dtype=torch.float64, device=weights.device)
    index = torch.searchsorted(total, u * total[:, -1:], right=True)
    last = (weights > 0).long().cumsum(-1).argmax(-1, keepdim=True)
    return torch.minimum(index, last)


def stable_seed(*parts: object) -> int:
    """A 63-bit seed of any printable parts, the same in every process."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@torch.inference_mode()
def sample(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    n: int,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_new_tokens: int = 128,
    batch: int = 64,
    seed: int = 0,
    device: str = "cpu",
    tick: Callable[[int, int], None] | None = None,
) -> list[list[Answer]]:
    """n answers for each prompt of token ids. The same arguments give the same answers on the same
    machine.
    """
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    per_call = max(1, batch // n)
    size = sum(p.numel() for p in policy.lm.parameters())
    out: list[list[Answer]] = [[] for _ in prompts]
    generator = torch.Generator(device=device).manual_seed(stable_seed("sample", seed))
    done = 0
    for start in range(0, len(order), per_call):
        chosen = order[start : start + per_call]
        with few_threads(2.0 * per_call * n * size, device):
            answers = _group(
                policy,
                [prompts[i] for i in chosen],
                n,
                temperature,
                top_p,
                max_new_tokens,
                generator,
                device,
            )
        for i, row in zip(chosen, answers, strict=True):
            out[i] = row
        done += len(chosen)
        if tick is not None:
            tick(done, len(prompts))
    return out


def _group(
    policy: Policy,
    prompts: list[Sequence[int]],
    n: int,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    generator: torch.Generator,
    device: str,
) -> list[list[Answer]]:
    from transformers import DynamicCache

    lm = policy.lm
    longest = max(len(p) for p in prompts)
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros(len(prompts), longest, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, longest - len(prompt) :] = 1
    ids, mask = ids.to(device), mask.to(device)
    cache = DynamicCache(config=lm.config)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits = lm(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
    if n > 1:
        cache.batch_repeat_interleave(n)
        logits, mask = logits.repeat_interleave(n, 0), mask.repeat_interleave(n, 0)
        positions = positions.repeat_interleave(n, 0)
    position = positions[:, -1:]
    rows = len(prompts) * n
    tokens: list[list[int]] = [[] for _ in range(rows)]
    total = torch.zeros(rows, dtype=torch.float64)
    finished = torch.zeros(rows, dtype=torch.bool)
    alive = torch.arange(rows)
    eos = torch.tensor(policy.eos_ids, device=device)
    room = max(policy.max_positions - longest, 1)
    for step in range(min(max_new_tokens, room)):
        logits = logits.float()
        weights = truncate_top_p(logits / temperature, top_p).softmax(-1)
        token = draw(weights, generator)
        logp = logits.log_softmax(-1).gather(1, token)[:, 0]
        ended = torch.isin(token[:, 0], eos).cpu()
        total[alive] += logp.double().cpu()
        for row, value in zip(alive.tolist(), token[:, 0].tolist(), strict=True):
            tokens[row].append(value)
        finished[alive[ended]] = True
        keep = ~ended
        if not keep.any() or step + 1 == min(max_new_tokens, room):
            break
        if not keep.all():
            index = keep.nonzero()[:, 0].to(device)
            cache.batch_select_indices(index)
            token, mask, position = token[index], mask[index], position[index]
            alive = alive[keep]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
        position = position + 1
        logits = lm(
            input_ids=token,
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
    answers = [
        Answer(t, float(s), bool(f))
        for t, s, f in zip(tokens, total.tolist(), finished.tolist(), strict=True)
    ]
    return [answers[i * n : (i + 1) * n] for i in range(len(prompts))]


def answer_text(policy: Policy, answer: Answer) -> str:
    """The text of an answer, without its end token."""
    ids = answer.ids[:-1] if answer.finished else answer.ids
    return policy.tokenizer.decode(ids, skip_special_tokens=True).strip()
