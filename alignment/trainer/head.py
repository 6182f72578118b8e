"""Log-probabilities of chosen tokens under an output head, in chunks: full logits never exist."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

#: Most logits held at once, most of them treated by one elementwise pass (cache-sized), and most
#: kept from the forward to the backward.
CHUNK = 1 << 25
BLOCK = 1 << 18
KEEP = 1 << 24


def head_logprobs(head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    """Log-probabilities `(N,)`, float32 or better, of `targets` `(N,)` after states `(N, H)`.

    A plain linear head is computed in chunks forwards and again backwards; any other (an adapter
    on the head, say) by its own code under checkpoints.
    """
    if type(head) is nn.Linear:
        kind = hidden.device.type
        dtype = head.weight.dtype
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
        return _Selected.apply(hidden, head.weight, head.bias, targets, dtype)
    pieces = []
    for part in _parts(len(hidden), CHUNK // 8 // head.weight.shape[0]):
        h, t = hidden[part], targets[part]
        if torch.is_grad_enabled() and hidden.requires_grad:
            pieces.append(checkpoint(_by_module, head, h, t, use_reentrant=False))
        else:
            pieces.append(_by_module(head, h, t))
    return torch.cat(pieces) if pieces else hidden.new_zeros(0, dtype=torch.float32)


def pick(logits: Tensor, targets: Tensor) -> Tensor:
    """Log-probabilities `(N,)` of targets from logits `(N, V)`."""
    return -nn.functional.cross_entropy(logits.float(), targets, reduction="none")


def _by_module(head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    return pick(head(hidden), targets)


class _Selected(torch.autograd.Function):
    """log softmax(W h + b)[target], its backward written out.

    d/dlogits = g (onehot - softmax). Up to KEEP logits their softmax is kept for the backward; more
    are computed once forwards, for the normaliser, and once backwards. The target's own logit is
    read from the same products as the normaliser, so that their rounding in a narrow dtype cancels
    and no log-probability exceeds 0.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, dtype):
        w, h = weight.to(dtype), hidden.to(dtype)
        exact = torch.promote_types(dtype, torch.float32)
        normaliser = torch.empty(len(h), dtype=exact, device=h.device)
        own = torch.empty_like(normaliser)
        kept = []
        keep = any(ctx.needs_input_grad[:3]) and len(h) * w.shape[0] <= KEEP
        for part in _parts(len(h), CHUNK // w.shape[0]):
            logits = _linear(h[part], w, bias)
            own[part] = logits.gather(1, targets[part, None])[:, 0].to(exact)
            for rows in _parts(len(logits), BLOCK // w.shape[0]):
                x = logits[rows].to(exact)
                top = x.amax(1, keepdim=True)
                total = x.sub_(top).exp_().sum(1)
                normaliser[part][rows] = total.log() + top[:, 0]
                if keep:
                    logits[rows] = x.div_(total[:, None])
            if keep:
                kept.append(logits)
        ctx.save_for_backward(hidden, weight, bias, targets, normaliser, *kept)
        ctx.dtype = dtype
        return own - normaliser

    @staticmethod
    def backward(ctx, grad):
        hidden, weight, bias, targets, normaliser, *kept = ctx.saved_tensors
        wants_h, wants_w, wants_b = ctx.needs_input_grad[:3]
        w, h = weight.to(ctx.dtype), hidden.to(ctx.dtype)
        exact = normaliser.dtype
        grad_h = torch.empty_like(h) if wants_h else None
        grad_w = grad_b = None
        if wants_b and bias is not None:
            grad_b = torch.zeros_like(bias, dtype=exact)
        for n, part in enumerate(_parts(len(h), CHUNK // w.shape[0])):
            d = kept[n] if kept else _linear(h[part], w, bias)
            g, t, z = grad[part], targets[part], normaliser[part]
            for rows in _parts(len(d), BLOCK // w.shape[0]):
                if kept:
                    p = d[rows].mul_(-g[rows, None])
                    p.scatter_add_(1, t[rows, None], g[rows, None].to(p.dtype))
                    continue
                p = d[rows].to(exact).sub_(z[rows, None]).exp_().mul_(-g[rows, None])
                p.scatter_add_(1, t[rows, None], g[rows, None])
                d[rows] = p
            if wants_h:
                torch.mm(d, w, out=grad_h[part])
            if wants_w:
                piece = d.T @ h[part]
                grad_w = piece.to(exact) if grad_w is None else grad_w.add_(piece)
            if grad_b is not None:
                grad_b += d.to(exact).sum(0)
        if grad_w is not None:
            grad_w = grad_w.to(weight.dtype)
        return (
            None if grad_h is None else grad_h.to(hidden.dtype),
            grad_w,
            None if grad_b is None else grad_b.to(bias.dtype),
            None,
            None,
        )


def _linear(h: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
    return nn.functional.linear(h, w, None if bias is None else bias.to(w.dtype))


def _parts(n: int, size: int) -> Iterator[slice]:
    size = max(1, size)
    return (slice(at, min(at + size, n)) for at in range(0, n, size))
