"""Log-probabilities of answers under a causal language model, the prompt read once.

Answers of one prompt form a tree: the prompt, then each answer after it, answers unseen by one
another and each at the positions it would have alone. One forward pass reads trees packed into one
row without padding (`attention.py`); a model whose attention cannot be told so reads `(B, L)`
padded trees under a 4-D mask. The output head is applied to the positions that predict an answer's
token and to no others, in chunks (`head.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .attention import Layout, install, layout_of, narrow, window
from .head import CHUNK, head_logprobs, pick

TREE_LIMIT = 2048


@dataclass
class Tree:
    """A prompt and the answers after it, as token ids."""

    prompt: tuple[int, ...]
    answers: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Positions read: the last token of an answer is predicted, never read."""
        return len(self.prompt) + sum(len(a) - 1 for a in self.answers)


def build_trees(
    sequences: Sequence[tuple[Sequence[int], Sequence[int]]], share: bool
) -> tuple[list[Tree], list[tuple[int, int]]]:
    """Trees of (prompt, answer) sequences, and for each sequence its (tree, answer) place.

    Without `share` every sequence is a tree of its own. Equal sequences are read once.
    """
    trees: list[Tree] = []
    current: dict[tuple[int, ...], int] = {}
    places: dict[tuple, tuple[int, int]] = {}
    out = []
    for prompt, answer in sequences:
        prompt, answer = tuple(prompt), tuple(answer)
        key = (prompt, answer)
        if key not in places:
            at = current.get(prompt) if share else None
            if at is None or trees[at].length + len(answer) > TREE_LIMIT:
                trees.append(Tree(prompt))
                at = current[prompt] = len(trees) - 1
            trees[at].answers.append(answer)
            places[key] = (at, len(trees[at].answers) - 1)
        out.append(places[key])
    return trees, out


_LOST = {
    "direct_head": "full logits are used",
    "packs": "batches are padded",
    "narrows": "the last layer is computed at every position",
    "share": "the prompt cannot be shared",
}


@dataclass
class Packed:
    """A batch of trees: ids, positions, mask (True = attend), and what to predict where."""

    ids: Tensor
    positions: Tensor
    mask: Tensor | None
    rows: Tensor
    targets: Tensor
    segment: Tensor
    n_answers: int
    tokens: int
    layout: Layout | None = None
    #: Where every sequence is read by itself: those, in order; ids and positions are the first's.
    singles: list[Packed] = field(default_factory=list)


def pack(trees: Sequence[Tree], device: str = "cpu") -> Packed:
    """Tensors `(1, L)` of trees in a row; `rows` are the positions predicting `targets`."""
    ids: list[int] = []
    positions: list[Tensor] = []
    rows: list[Tensor] = []
    targets: list[int] = []
    sizes: list[int] = []
    for tree in trees:
        p, start = len(tree.prompt), len(ids)
        ids += tree.prompt
        positions.append(torch.arange(p))
        for answer in tree.answers:
            at, n = len(ids), len(answer) - 1
            ids += answer[:-1]
            positions.append(torch.arange(p, p + n))
            rows += (torch.tensor([start + p - 1]), torch.arange(at, at + n))
            targets += answer
            sizes.append(len(answer))
    layout = layout_of([(len(t.prompt), [len(a) - 1 for a in t.answers]) for t in trees])
    return Packed(
        torch.tensor(ids)[None].to(device),
        torch.cat(positions)[None].to(device),
        # A mask of four dimensions is passed on as it is, so that the model makes none of its own.
        torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device),
        torch.cat(rows).to(device),
        torch.tensor(targets).to(device),
        torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(device),
        len(sizes),
        len(ids),
        layout,
    )


def pad(trees: Sequence[Tree], device: str = "cpu") -> Packed:
    """Tensors of padded trees; `rows` index the flat `(B*L)` positions predicting `targets`."""
    batch, length = len(trees), max(t.length for t in trees)
    ids = torch.zeros(batch, length, dtype=torch.long)
    positions = torch.zeros(batch, length, dtype=torch.long)
    # Branch of each position: 0 prompt, k answer k, -1 padding.
    branch = torch.full((batch, length), -1, dtype=torch.long)
    rows: list[Tensor] = []
    targets: list[int] = []
    sizes: list[int] = []
    for b, tree in enumerate(trees):
        p = len(tree.prompt)
        ids[b, :p] = torch.tensor(tree.prompt)
        positions[b, :p] = torch.arange(p)
        branch[b, :p] = 0
        at = p
        for k, answer in enumerate(tree.answers, 1):
            n = len(answer) - 1
            if n:
                ids[b, at : at + n] = torch.tensor(answer[:-1])
                positions[b, at : at + n] = torch.arange(p, p + n)
                branch[b, at : at + n] = k
            rows.append(torch.tensor([b * length + p - 1]))
            rows.append(torch.arange(b * length + at, b * length + at + n))
            targets.extend(answer)
            sizes.append(len(answer))
            at += n
    one_answer = all(len(t.answers) == 1 for t in trees)
    mask = None
    if not (one_answer and all(t.length == length for t in trees)):
        earlier = torch.ones(length, length, dtype=torch.bool).tril()
        same = branch[:, :, None] == branch[:, None, :]
        mask = earlier & (same | (branch[:, None, :] == 0))
        mask = mask[:, None]
    return Packed(
        ids.to(device),
        positions.to(device),
        None if mask is None else mask.to(device),
        torch.cat(rows).to(device),
        torch.tensor(targets).to(device),
        torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(device),
        len(sizes),
        sum(t.length for t in trees),
    )


@dataclass
class Reading:
    """What a batch was read as: log-probability of each answer token `(N,)` or, under several
    heads, `(H, N)`; the state that predicts it `(N, D)`, where the head is applied to states.
    """

    logps: Tensor
    states: Tensor | None = None


def one_by_one(trees: Sequence[Tree], device: str = "cpu") -> Packed:
    """Trees of one answer each, every one read by itself under the mask the model makes of its
    own.
    """
    parts = [pad([tree], device) for tree in trees]
    sizes = torch.tensor([len(p.targets) for p in parts], device=device)
    return Packed(
        parts[0].ids,
        parts[0].positions,
        None,
        torch.arange(int(sizes.sum()), device=device),
        torch.cat([p.targets for p in parts]),
        torch.repeat_interleave(torch.arange(len(parts), device=device), sizes),
        len(parts),
        sum(p.tokens for p in parts),
        singles=parts,
    )


class LogProbs:
    """Computes answers' log-probabilities; which short cuts are exact for this model is probed, not
    assumed. Sequences longer than a model's attention window are read one by one, since a mask for
    several of them would take the place of the window's own.
    """

    def __init__(self, lm: nn.Module, device: str = "cpu", dtype: str = "float32") -> None:
        self.lm, self.device = lm, device
        self.autocast = dtype == "bfloat16"
        self.window = window(lm.config)
        self.share = False
        self.packs = False
        self.narrows = False
        self.direct_head = False
        self.notes: list[str] = []

    def like(self, other: LogProbs) -> LogProbs:
        """Take over the short cuts another engine found exact for the same architecture."""
        self.direct_head, self.share = other.direct_head, other.share
        if other.packs:
            install(self.lm)
            self.packs = True
        self.narrows = other.narrows and narrow(self.lm)
        return self

    def trees(
        self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> tuple[list[Tree], list[tuple[int, int]]]:
        """Trees of sequences as this model may read them, and the place of each sequence."""
        return build_trees(sequences, self.share and not self._beyond(sequences))

    def pack(self, trees: Sequence[Tree]) -> Packed:
        """Trees as this model reads them."""
        if self._beyond([(t.prompt, a) for t in trees for a in t.answers]):
            return one_by_one(trees, self.device)
        return (pack if self.packs else pad)(trees, self.device)

    def _beyond(self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> bool:
        """Whether the model's attention window hides the start of any of these from its end."""
        if self.window is None or max(len(p) + len(a) for p, a in sequences) <= self.window:
            return False
        note = f"this model sees {self.window} tokens back: longer sequences are read one by one"
        if note not in self.notes:
            self.notes.append(note)
        return True

    def batches(self, trees: Sequence[Tree], budget: int) -> list[list[int]]:
        """Indices of trees in batches of at most `budget` positions as this model reads them."""
        return tree_batches(trees, budget, padded=not self.packs)

    def probe(self, prompt: Sequence[int], answers: Sequence[Sequence[int]], share: bool) -> None:
        """Compare the short cuts with the plain computation on one example; keep those that agree
        to 1e-3 a token.
        """
        prompt = tuple(prompt)
        answers = [tuple(a) for a in answers]
        plain = []
        with torch.no_grad():
            for answer in answers:
                ids = torch.tensor([[*prompt, *answer]], device=self.device)
                logits = self.lm(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
                logp = logits.float().log_softmax(-1)
                plain.append(
                    logp.gather(1, torch.tensor(answer, device=self.device)[:, None])[:, 0]
                )
        want = torch.cat(plain)
        autocast, self.autocast = self.autocast, False
        before = getattr(self.lm.config, "_attn_implementation", None)
        for name in ("direct_head", "packs", "narrows", *["share"] * share):
            setattr(self, name, True)
            trees, _ = self.trees([(prompt, a) for a in answers])
            if name == "narrows" and not (self.packs and self.direct_head and narrow(self.lm)):
                self.narrows = False
                continue
            try:
                if name == "packs":
                    install(self.lm)
                with torch.no_grad():
                    got, _ = self.tokens(self.pack(trees))
                exact = bool((got - want).abs().max() < 1e-3)
            except (
                RuntimeError,
                NotImplementedError,
                TypeError,
                ValueError,
                AttributeError,
                IndexError,
            ):
                exact = False
            if not exact:
                setattr(self, name, False)
                if name == "packs" and self.lm.config._attn_implementation != before:
                    self.lm.set_attn_implementation(before)
                self.notes.append(f"{_LOST[name]}: this model's own computation gives other values")
        self.autocast = autocast

    def tokens(self, packed: Packed) -> tuple[Tensor, Tensor]:
        """Log-probability of every answer token `(N,)`, answer after answer, and `segment` `(N,)`,
        the answer each belongs to.
        """
        return self.read(packed).logps, packed.segment

    def read(self, packed: Packed, heads: Sequence[nn.Module] = ()) -> Reading:
        """Log-probabilities and states of every answer token; under each of `heads` `(H, N)`."""
        with self._autocast():
            rows = self._rows(packed)
            if not self.direct_head:
                return Reading(pick(rows, packed.targets))
            if heads:
                found = torch.stack([head_logprobs(h, rows, packed.targets) for h in heads])
                return Reading(found, rows)
            head = self.lm.get_output_embeddings()
            return Reading(head_logprobs(head, rows, packed.targets), rows)

    def _autocast(self):
        kind = self.device.split(":")[0]
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=self.autocast)

    def _rows(self, packed: Packed, only: Tensor | None = None) -> Tensor:
        """What predicts each answer token, or some of them: hidden states `(N, H)`, or logits `(N,
        V)` without the direct head.
        """
        if packed.singles:
            found = torch.cat([self._rows(part) for part in packed.singles])
            return found if only is None else found[only]
        rows = packed.rows if only is None else packed.rows[only]
        inputs = {
            "input_ids": packed.ids,
            "attention_mask": packed.mask,
            "position_ids": packed.positions,
            "use_cache": False,
        }
        if packed.layout is not None:
            inputs["tree"] = packed.layout
            if self.narrows:
                packed.layout.rows, rows = torch.unique(rows, return_inverse=True)
        if self.direct_head:
            states = self.lm.base_model(**inputs).last_hidden_state
        else:
            states = self.lm(**inputs).logits
        return states.reshape(-1, states.shape[-1])[rows]

    def _log_softmax(self, rows: Tensor) -> Tensor:
        logits = self.lm.get_output_embeddings()(rows) if self.direct_head else rows
        return logits.float().log_softmax(-1)

    def sums(self, packed: Packed) -> Tensor:
        """Log-probability of each answer, summed over its tokens, `(A,)` float32, with gradient."""
        logp, segment = self.tokens(packed)
        return torch.zeros(packed.n_answers, device=logp.device).index_add(0, segment, logp)

    @torch.no_grad()
    def score(
        self,
        sequences: Sequence[tuple[Sequence[int], Sequence[int]]],
        budget: int = 4096,
        tick: Callable[[int, int], None] | None = None,
        per_token: bool = False,
    ) -> list:
        """Log-probability of each (prompt, answer), without gradient: a number, or with `per_token`
        a float32 array of one value a token.
        """
        trees, places = self.trees(sequences)
        values: dict[tuple[int, int], Any] = {}
        done = 0
        for group in self.batches(trees, budget):
            packed = self.pack([trees[t] for t in group])
            logp, segment = self.tokens(packed)
            keys = [(t, k) for t in group for k in range(len(trees[t].answers))]
            if per_token:
                sizes = torch.bincount(segment, minlength=packed.n_answers).tolist()
                found = [part.numpy() for part in logp.float().cpu().split(sizes)]
            else:
                sums = torch.zeros(packed.n_answers, device=logp.device, dtype=torch.float64)
                found = sums.index_add(0, segment, logp.double()).tolist()
            values.update(zip(keys, found, strict=True))
            done += len(group)
            if tick is not None:
                tick(done, len(trees))
        return [values[p] for p in places]


@dataclass
class Divergence:
    """Of one answer: token log-probabilities under both models, the KL at each of its tokens and
    the entropy of the first model there.

    `kl` is the whole sum over the vocabulary at the prefixes of the answer. Its sum over tokens is
    the Rao-Blackwellised estimate of the KL of sequences (arXiv 2504.10637 eq. 8): unbiased as k1
    and k3 are, never negative, and with less spread than either.
    """

    logp: list[float]
    ref_logp: list[float]
    kl: list[float]
    entropy: list[float] = field(default_factory=list)


@torch.no_grad()
def divergences(
    ours: LogProbs,
    theirs: LogProbs,
    sequences: Sequence[tuple[Sequence[int], Sequence[int]]],
    budget: int = 4096,
    reference: Callable[[], AbstractContextManager] = nullcontext,
    tick: Callable[[int, int], None] | None = None,
) -> list[Divergence]:
    """Both models on the same answers; `reference` is entered around the second (adapters off)."""
    narrow = ours._beyond(sequences) or theirs._beyond(sequences)
    trees, places = build_trees(sequences, ours.share and theirs.share and not narrow)
    values: dict[tuple[int, int], Divergence] = {}
    done = 0
    for group in tree_batches(trees, budget):
        packed = (one_by_one if narrow else pad)([trees[t] for t in group], ours.device)
        rows = ours._rows(packed)
        with reference():
            ref_rows = theirs._rows(packed)
        logp, ref_logp, kl, entropy = [], [], [], []
        step = max(CHUNK // 8 // ours.lm.config.vocab_size, 16)
        for at in range(0, len(rows), step):
            part, target = slice(at, at + step), packed.targets[at : at + step, None]
            p, q = ours._log_softmax(rows[part]), theirs._log_softmax(ref_rows[part])
            logp.append(p.gather(1, target)[:, 0])
            ref_logp.append(q.gather(1, target)[:, 0])
            likely = p.exp()
            kl.append((likely * (p - q)).sum(-1))
            entropy.append(-(likely * p).sum(-1))
        sizes = torch.bincount(packed.segment, minlength=packed.n_answers).tolist()
        columns = [torch.cat(c).double().cpu().split(sizes) for c in (logp, ref_logp, kl, entropy)]
        keys = [(t, k) for t in group for k in range(len(trees[t].answers))]
        for key, *parts in zip(keys, *columns, strict=True):
            values[key] = Divergence(*(x.tolist() for x in parts))
        done += len(group)
        if tick is not None:
            tick(done, len(trees))
    return [values[p] for p in places]


def tree_batches(trees: Sequence[Tree], budget: int, padded: bool = True) -> list[list[int]]:
    """Indices of trees in batches of similar length and at most `budget` positions, padding
    counted where they are `padded` (at least one tree a batch).
    """
    order = sorted(range(len(trees)), key=lambda i: trees[i].length)
    batches: list[list[int]] = []
    current: list[int] = []
    read = 0
    for i in order:
        length = trees[i].length
        read = length * (len(current) + 1) if padded else read + length
        if current and read > budget:
            batches.append(current)
            current, read = [], length
        current.append(i)
    if current:
        batches.append(current)
    return batches
