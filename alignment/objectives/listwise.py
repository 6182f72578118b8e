"""Objectives on K answers of one prompt with graded labels: rankings, ratings, reward scores.

Tensors are `(B, K)`, B lists of K answers: `logps` and `ref_logps` summed over the answer's tokens,
`scores` the labels (higher is better, equal labels are ties), `mask` True = keep for lists of fewer
than K answers. With h = log pi - log ref the utility of an answer is u = beta h. Losses are `(B,)`.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

EXACT_TIES = 12


def lipo(
    logps: Tensor,
    ref_logps: Tensor,
    scores: Tensor,
    *,
    mask: Tensor | None = None,
    beta: float = 0.1,
    weighting: str = "lambda",
    pair_loss: str = "logistic",
    gain: str = "exp2",
    reduce: str = "sum",
) -> Tensor:
    """LiPO (arXiv 2402.01878 eq. 8 and 9): sum over pairs with score_i > score_j of
    w_ij log(1 + exp(-(u_i - u_j))), `(B,)`.

    `weighting="lambda"` is LiPO-lambda: w = |G_i - G_j| |1/D(tau_i) - 1/D(tau_j)| with gain
    G = 2^score - 1 (`gain="linear"`: the score itself), D(tau) = log(1 + tau) and tau the rank of
    the answer by its present utility, from 1, held constant. "gain" keeps the first factor, "none"
    gives every pair weight 1: with K = 2 that is DPO. `pair_loss="hinge"` is max(0, 1 - (u_i -
    u_j)), the paper's pairwise hinge. `reduce="mean"` divides by the number of ordered pairs. The
    paper labels answers in [0, 1]; scale larger labels down, or 2^score rules the sum.
    """
    keep = _mask(scores, mask)
    u = beta * (logps - ref_logps)
    better = (scores[:, :, None] > scores[:, None, :]) & keep[:, :, None] & keep[:, None, :]
    gap = u[:, :, None] - u[:, None, :]
    if pair_loss == "logistic":
        losses = softplus(-gap)
    elif pair_loss == "hinge":
        losses = torch.relu(1.0 - gap)
    else:
        raise ValueError(f"unknown pair_loss {pair_loss!r}; known: logistic, hinge")
    weights = _pair_weights(u.detach(), scores, keep, weighting, gain)
    total = torch.where(better, weights * losses, torch.zeros_like(losses)).sum((1, 2))
    if reduce == "sum":
        return total
    if reduce == "mean":
        return total / better.sum((1, 2)).clamp(min=1)
    raise ValueError(f"unknown reduce {reduce!r}; known: sum, mean")


def _pair_weights(u: Tensor, scores: Tensor, keep: Tensor, weighting: str, gain: str) -> Tensor:
    if weighting == "none":
        return torch.ones_like(u)[:, :, None].expand(-1, -1, u.shape[1])
    if gain == "exp2":
        gains = torch.exp2(scores.to(u.dtype)) - 1.0
    elif gain == "linear":
        gains = scores.to(u.dtype)
    else:
        raise ValueError(f"unknown gain {gain!r}; known: exp2, linear")
    gap = (gains[:, :, None] - gains[:, None, :]).abs()
    if weighting == "gain":
        return gap
    if weighting != "lambda":
        raise ValueError(f"unknown weighting {weighting!r}; known: lambda, gain, none")
    order = u.masked_fill(~keep, -math.inf).argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(1).to(u.dtype) + 1.0
    discount = 1.0 / torch.log1p(rank)
    return gap * (discount[:, :, None] - discount[:, None, :]).abs()


def list_mle(
    logps: Tensor,
    ref_logps: Tensor,
    scores: Tensor,
    *,
    mask: Tensor | None = None,
    beta: float = 0.1,
    ties: str = "average",
) -> Tensor:
    """Plackett-Luce DPO: -log probability of the ranking by utilities beta h (arXiv 2305.18290
    app. A.3; ListMLE in arXiv 2402.01878 table 1), `(B,)`. K = 2 is DPO.
    """
    return plackett_luce(beta * (logps - ref_logps), scores, mask=mask, ties=ties)


def list_softmax(
    logps: Tensor,
    ref_logps: Tensor,
    scores: Tensor,
    *,
    mask: Tensor | None = None,
    beta: float = 0.1,
    target: str = "share",
) -> Tensor:
    """Cross-entropy of softmax(u) with a distribution over the list, `(B,)`.

    `target="share"`: score_i / sum of scores, the softmax loss of arXiv 2402.01878 table 1 (scores
    not negative); "softmax": softmax of the scores, the top-one ListNet (Cao et al. 2007 eq. 6).
    """
    keep = _mask(scores, mask)
    u = (beta * (logps - ref_logps)).masked_fill(~keep, -math.inf)
    labels = scores.to(u.dtype)
    if target == "share":
        weights = labels.masked_fill(~keep, 0.0)
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-12)
    elif target == "softmax":
        weights = labels.masked_fill(~keep, -math.inf).softmax(1)
    else:
        raise ValueError(f"unknown target {target!r}; known: share, softmax")
    return -(weights * u.log_softmax(1).masked_fill(~keep, 0.0)).sum(1)


def plackett_luce(
    utilities: Tensor, scores: Tensor, *, mask: Tensor | None = None, ties: str = "average"
) -> Tensor:
    """-log P(ranking) = sum over ranks of logsumexp(u of what is left) - u (Plackett 1975), `(B,)`.

    The ranking is by `scores`, the best first. Ties: "average" is the mean of -log P over all
    orders of the tied answers, exactly (K <= 12), so two tied answers are a pair of soft label 1/2;
    "breslow" leaves every tied answer in the denominator of the others (any K), which for two is
    twice that. Without ties both are the same. One answer, or none, gives 0.
    """
    keep = _mask(scores, mask)
    if ties == "breslow":
        left = (scores[:, :, None] >= scores[:, None, :]) & keep[:, None, :] & keep[:, :, None]
        left = left | (
            (~keep)[:, :, None] & torch.eye(keep.shape[1], dtype=torch.bool, device=keep.device)
        )
        rest = utilities[:, None, :].expand_as(left).masked_fill(~left, -math.inf).logsumexp(2)
        return torch.where(keep, rest - utilities, torch.zeros_like(rest)).sum(1)
    if ties != "average":
        raise ValueError(f"unknown ties {ties!r}; known: average, breslow")
    k = utilities.shape[1]
    if k > EXACT_TIES:
        raise ValueError(f"ties='average' is for at most {EXACT_TIES} answers; use 'breslow'")
    subsets = _subsets(k).to(utilities.device)
    low = torch.finfo(torch.float64).min
    graded = scores.to(torch.float64)
    inside = subsets[None] & keep[:, None, :]
    top = graded[:, None, :].masked_fill(~inside, low).amax(2, keepdim=True)
    # What is left at some rank: everything below a level and some of the answers on that level.
    level = (graded[:, None, :] == top) & keep[:, None, :]
    below = (graded[:, None, :] < top) & keep[:, None, :]
    valid = (subsets[None] <= keep[:, None, :]).all(2) & (below <= subsets[None]).all(2)
    tied, taken = level.sum(2), (level & subsets[None]).sum(2)
    ways = torch.tensor(
        [[math.comb(n, m) for m in range(k + 1)] for n in range(k + 1)],
        dtype=utilities.dtype,
        device=utilities.device,
    )
    weight = torch.where(valid, 1.0 / ways[tied, taken].clamp(min=1.0), utilities.new_zeros(()))
    rest = utilities[:, None, :].masked_fill(~subsets[None], -math.inf).logsumexp(2)
    total = torch.where(valid, weight * rest, torch.zeros_like(rest)).sum(1)
    return total - torch.where(keep, utilities, torch.zeros_like(utilities)).sum(1)


def pro(
    logps: Tensor,
    scores: Tensor,
    *,
    tokens: Tensor,
    mask: Tensor | None = None,
    sft_weight: float = 0.05,
    sft_scale: str = "code",
    temperature: str = "gap",
) -> Tensor:
    """PRO (arXiv 2306.17492 eq. 7 to 10): softmax of each answer against those ranked below it,
    plus the best answer's NLL, `(B,)`.

    The utility is the mean log-probability a token, s = logps / tokens. With answers sorted by
    score, sum over k < K of logsumexp({s_k T_k} + {s_i T_ki, i > k}) - s_k T_k where T_ki = r_k -
    r_i and T_k = max_i T_ki. (The paper divides by temperatures 1/(r_k - r_i) and their minimum:
    the same numbers.) `temperature="none"` sets all to 1, the paper's form for labels without
    grades. `sft_scale="code"` multiplies the NLL by (n - 1)^2 as the published code does, "paper"
    does not. Answers of equal score have T = 0 and teach nothing about each other.
    """
    keep = _mask(scores, mask)
    s = logps / tokens
    order = (
        scores.to(torch.float64)
        .masked_fill(~keep, -math.inf)
        .argsort(dim=1, descending=True, stable=True)
    )
    s, keep = s.gather(1, order), keep.gather(1, order)
    r = scores.to(s.dtype).gather(1, order)
    k = s.shape[1]
    later = torch.ones(k, k, dtype=torch.bool, device=s.device).triu(1)
    rest = later[None] & keep[:, :, None] & keep[:, None, :]
    if temperature == "gap":
        t = (r[:, :, None] - r[:, None, :]).masked_fill(~rest, 0.0)
        own = t.amax(2)
    elif temperature == "none":
        t, own = torch.ones_like(rest, dtype=s.dtype), torch.ones_like(s)
    else:
        raise ValueError(f"unknown temperature {temperature!r}; known: gap, none")
    logits = (s[:, None, :] * t).masked_fill(~rest, -math.inf)
    numerator = s * own
    total = torch.cat([numerator[:, :, None], logits], 2).logsumexp(2) - numerator
    loss = torch.where(rest.any(2), total, torch.zeros_like(total)).sum(1)
    if sft_scale not in ("code", "paper"):
        raise ValueError(f"unknown sft_scale {sft_scale!r}; known: code, paper")
    n = keep.sum(1).to(s.dtype)
    scale = (n - 1.0) ** 2 if sft_scale == "code" else torch.ones_like(n)
    return loss - sft_weight * scale * s[:, 0]


def _mask(scores: Tensor, mask: Tensor | None) -> Tensor:
    return torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.bool()


def _subsets(k: int) -> Tensor:
    rows = [r for r in itertools.product((False, True), repeat=k) if any(r)]
    return torch.tensor(rows, dtype=torch.bool)
