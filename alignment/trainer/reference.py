"""Reference log-probabilities: computed once for a sequence of token ids and a hash of weights,
kept on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from alignment.rewards.store import KeyedRows, key_of

from .batches import Item
from .context import Context
from .logprobs import LogProbs
from .supply import Scores

Sequences = Sequence[tuple[Sequence[int], Sequence[int]]]


def reference_logprobs(
    engine: LogProbs,
    weights: str,
    sequences: Sequences,
    cache: Path | None,
    budget: int,
    tick: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, int]:
    """Summed log-probability of every sequence `(n,)` float64, and how many were computed rather
    than found.

    `weights` is the hash of the reference's weights; the cache is not consulted where `cache` is
    None.
    """
    keys = [
        key_of(np.asarray(p, np.int32).tobytes(), np.asarray(a, np.int32).tobytes())
        for p, a in sequences
    ]
    store = None
    if cache is not None:
        kind = "bf16" if engine.autocast else "fp32"
        store = KeyedRows(cache / "reference" / f"{weights}-{kind}", 1, "float64")
    known = store.index if store is not None else {}
    wanted = {k: s for k, s in zip(keys, sequences, strict=True) if k not in known}
    values: dict[bytes, float] = {}
    if wanted:
        scores = engine.score(list(wanted.values()), budget, tick)
        values = dict(zip(wanted, scores, strict=True))
        if store is not None:
            store.add(list(wanted), np.array(scores)[:, None])
    if store is not None:
        return store.get(keys)[:, 0], len(wanted)
    return np.array([values[k] for k in keys]), len(wanted)


def scores_of(
    engine: LogProbs, weights: str, items: Sequence[Item], context: Context, by_token: bool = False
) -> tuple[Scores, int]:
    """Scores of all rows' sequences under one model, and how many sequences were computed rather
    than found. Values by token are computed each time: the cache keeps one number a sequence.
    """
    sequences = [s for i in items for s in i.sequences()]
    tick, budget = context.ticker("reference"), context.params["tokens"]
    found = Scores()
    ends = np.cumsum([0] + [len(i.sequences()) for i in items])
    if by_token:
        values = engine.score(sequences, budget, tick, per_token=True)
        sums, computed = np.array([v.sum(dtype=np.float64) for v in values]), len(sequences)
        found.tokens = {id(i): values[a:b] for i, a, b in zip(items, ends, ends[1:], strict=False)}
    else:
        cache = context.run["cache"] if context.main else None
        sums, computed = reference_logprobs(engine, weights, sequences, cache, budget, tick)
    found.sums = {id(i): sums[a:b] for i, a, b in zip(items, ends, ends[1:], strict=False)}
    return found, computed
