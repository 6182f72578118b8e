"""Fine-grained rewards (R7): a value for each category at the end of each segment.

Segments are half-open token ranges of an answer; spans are those of annotators, with a category and
a severity. Fine-Grained RLHF, arXiv 2306.01693; process rewards put segments at steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


def segment_ends(lengths: Sequence[Sequence[int]], width: int) -> Tensor:
    """True at the last token of each segment, `(B, width)`, from each row's segment lengths."""
    out = torch.zeros(len(lengths), width, dtype=torch.bool)
    for row, parts in enumerate(lengths):
        at = 0
        for part in parts:
            if part < 1:
                raise ValueError("a segment has at least one token")
            at += part
            if at > width:
                raise ValueError(f"the segments of row {row} are longer than {width} tokens")
            out[row, at - 1] = True
    return out


def segment_index(ends: Tensor) -> Tensor:
    """Segment number of each token, from 0, `(B, T)`; tokens after the last end count on."""
    return torch.cumsum(ends.long(), 1) - ends.long()


def span_labels(
    spans: Sequence[Sequence[tuple[int, int, int, float]]], ends: Tensor, categories: int
) -> Tensor:
    """Label of each segment end and category, `(B, T, C)`, zero elsewhere.

    A span (start, stop, category, severity) in tokens is shared among the segments it touches in
    proportion to the tokens it has in each, so the sum over segments reproduces its severity.
    Overlapping spans add up; a span past the last end counts to the last segment it touches.
    """
    batch, width = ends.shape
    out = torch.zeros(batch, width, categories)
    numbers = segment_index(ends)
    for row, items in enumerate(spans):
        positions = ends[row].nonzero()[:, 0]
        if not len(positions):
            continue
        for start, stop, category, severity in items:
            inside = numbers[row, start : min(stop, width)].clamp(max=len(positions) - 1)
            if not len(inside):
                continue
            share = torch.bincount(inside, minlength=len(positions)).float() / len(inside)
            out[row, positions, category] += severity * share
    return out


def segment_loss(logits: Tensor, labels: Tensor, ends: Tensor, *, kind: str = "binary") -> Tensor:
    """Mean loss over the segment ends of each answer, `(B,)`.

    "binary": cross-entropy a category, logits and labels `(B, T, C)` in [0, 1]; "class": logits
    `(B, T, C)`, labels `(B, T)` class numbers, as for the good, neutral and bad steps of a trace;
    "value": squared error. An answer without segments gives 0.
    """
    if kind == "binary":
        losses = binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(2)
    elif kind == "class":
        losses = cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    elif kind == "value":
        losses = ((logits - labels) ** 2).mean(2)
    else:
        raise ValueError(f"unknown kind {kind!r}; known: binary, class, value")
    keep = ends.to(losses.dtype)
    return (losses * keep).sum(1) / keep.sum(1).clamp(min=1.0)


def segment_rewards(values: Tensor, ends: Tensor, weights: Tensor) -> Tensor:
    """Token rewards `(B, T)`, non-zero at segment ends: sum over categories of weight x value
    (arXiv 2306.01693 eq. 1). `values` `(B, T, C)` are probabilities, scores or labels, `weights`
    `(C,)` signed, such as -0.3 for an irrelevant span.
    """
    return torch.where(ends, values @ weights.to(values.dtype), values.new_zeros(()))
