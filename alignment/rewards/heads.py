"""Reward heads on one trunk. The trunk runs once; M members of a head are one matrix product.

Features are `(B, d)`, or `(B, T, d)` for tokens. Every head answers `(M, B, ...)`: M members, which
differ in their initial weights and in the rows they see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .gating import Gate


class HeadBank(nn.Module):
    """M linear heads, or M two-layer heads with `hidden` units, of `outputs` values each.

    `(..., d)` to `(M, ..., outputs)`: scalar rewards with one output, attribute ratings with one
    for each, reactions with a bias; on token features the same bank is a token head.
    """

    def __init__(
        self, width: int, members: int = 1, outputs: int = 1, hidden: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        self.members, self.outputs, self.hidden = members, outputs, hidden
        inner = hidden or width
        self.first = nn.Parameter(_uniform(members, width, hidden, of=width)) if hidden else None
        self.first_bias = nn.Parameter(torch.zeros(members, hidden)) if hidden else None
        self.weight = nn.Parameter(_uniform(members, inner, outputs, of=inner))
        self.bias = nn.Parameter(torch.zeros(members, outputs)) if bias else None

    def forward(self, features: Tensor) -> Tensor:
        """`(M, ..., outputs)`."""
        shape = features.shape[:-1]
        flat = features.reshape(-1, features.shape[-1])
        if self.first is None:
            # One product with the members side by side: the features are read once.
            wide = self.weight.permute(1, 0, 2).reshape(flat.shape[1], -1)
            out = (flat @ wide).view(-1, self.members, self.outputs).transpose(0, 1)
        else:
            wide = self.first.permute(1, 0, 2).reshape(flat.shape[1], -1)
            inner = (flat @ wide).view(-1, self.members, self.hidden).transpose(0, 1)
            out = torch.bmm(torch.relu(inner + self.first_bias[:, None]), self.weight)
        if self.bias is not None:
            out = out + self.bias[:, None]
        return out.reshape(self.members, *shape, self.outputs)


class PrincipleHead(nn.Module):
    """Yes or no to a principle (R8): logit f.W.e + u.f + v.e + b of an answer's features and the
    principle's embedding, `(M, B)`.

    The embedding comes from the same trunk, so a principle never trained on has a value too.
    """

    def __init__(self, width: int, principle: int, members: int = 1, rank: int = 32) -> None:
        super().__init__()
        self.members, self.rank = members, rank
        self.answer = HeadBank(width, members, rank + 1)
        self.principle = HeadBank(principle, members, rank + 1, bias=False)

    def forward(self, features: Tensor, principle: Tensor) -> Tensor:
        """Features `(B, d)`, principles `(B, e)`."""
        a, p = self.answer(features), self.principle(principle)
        product = (a[..., : self.rank] * p[..., : self.rank]).sum(-1) / math.sqrt(self.rank)
        return product + a[..., self.rank] + p[..., self.rank]


class PreferenceHead(nn.Module):
    """Pairwise preference (R13): logit g(a) - g(b) + a.(U V' - V U').b, antisymmetric by make, `(M,
    B)`.

    The second term is what no scalar reward has: it can hold A over B over C over A.
    """

    def __init__(self, width: int, members: int = 1, rank: int = 16) -> None:
        super().__init__()
        self.rank = rank
        self.score = HeadBank(width, members, 1, bias=False)
        self.sides = HeadBank(width, members, 2 * rank, bias=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Features `(B, d)` of both answers; P(first preferred) = s(logit)."""
        gap = (self.score(first) - self.score(second))[..., 0]
        u_a, v_a = self.sides(first).split(self.rank, -1)
        u_b, v_b = self.sides(second).split(self.rank, -1)
        return gap + ((u_a * v_b) - (v_a * u_b)).sum(-1) / math.sqrt(self.rank)


class MixtureHead(nn.Module):
    """K rewards mixed for whom they are for (R14): by the context (MiCRo), or by the user (an
    embedding of logits, PAL's convex weights), `(B,)` scores and `(B, K)` log-weights.
    """

    def __init__(self, width: int, groups: int, users: int = 0, context: int = 0) -> None:
        super().__init__()
        if bool(users) == bool(context):
            raise ValueError("a mixture is conditioned on users or on the context, on one of them")
        self.rewards = HeadBank(width, groups, 1, bias=False)
        self.user = nn.Embedding(users, groups) if users else None
        self.router = nn.Linear(context, groups) if context else None
        if self.user is not None:
            nn.init.zeros_(self.user.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Rewards of every group, `(K, B)`."""
        return self.rewards(features)[..., 0]

    def log_weights(self, who: Tensor) -> Tensor:
        """Log-weights `(B, K)` of user numbers `(B,)` or context features `(B, c)`."""
        logits = self.user(who) if self.user is not None else self.router(who)
        return logits.log_softmax(-1)

    def score(self, features: Tensor, who: Tensor) -> Tensor:
        """The mixed reward `(B,)`."""
        return (self.log_weights(who).exp() * self.forward(features).T).sum(-1)


class RewardHeads(nn.Module):
    """One trunk and named heads on what it returns; the trunk runs once whatever is asked of it.

    `trunk(inputs)` gives features `(B, d)` or `(B, T, d)`; `take` picks a head's part of them (the
    last token, say).
    """

    def __init__(
        self,
        trunk: Callable[..., Tensor],
        heads: Mapping[str, nn.Module],
        take: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict(heads)
        self.take = dict(take or {})

    def forward(self, inputs: Any, only: tuple[str, ...] | None = None) -> dict[str, Tensor]:
        """Outputs of all heads, or of those named."""
        features = self.trunk(inputs)
        names = only if only is not None else tuple(self.heads)
        return {n: self.heads[n](self.take.get(n, _same)(features)) for n in names}


def last_kept(features: Tensor, mask: Tensor) -> Tensor:
    """Features of the last kept token, `(B, d)`, from `(B, T, d)` and `(B, T)`, True = keep."""
    at = mask.long().cumsum(1).argmax(1)
    return features[torch.arange(len(features), device=features.device), at]


def _same(features: Tensor) -> Tensor:
    return features


def _uniform(*shape: int, of: int) -> Tensor:
    return (torch.rand(*shape) * 2.0 - 1.0) / math.sqrt(of)


__all__ = [
    "Gate",
    "HeadBank",
    "MixtureHead",
    "PreferenceHead",
    "PrincipleHead",
    "RewardHeads",
    "last_kept",
]
