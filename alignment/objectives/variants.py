"""Further losses on pairs relative to a reference, and weights for them.

Same tensors as `pairwise`: `(P,)` summed log-probabilities, `(P,)` losses, h = log pi - log ref,
D = h(chosen) - h(rejected).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .pairwise import log_ratio_gap, soft_logistic


def exo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.01,
) -> Tensor:
    """EXO for pairs: KL(q || p), q = (s(z), s(-z)), z = beta D, p = (1 - e, e) (arXiv 2402.00856
    eq. 16), `(P,)`. Zero where s(z) = 1 - e.
    """
    z = beta * log_ratio_gap(chosen, rejected, ref_chosen, ref_rejected)
    e = label_smoothing
    return z.sigmoid() * (logsigmoid(z) - math.log1p(-e)) + (-z).sigmoid() * (
        logsigmoid(-z) - math.log(e)
    )


def nca(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
) -> Tensor:
    """Noise-contrastive alignment for pairs (arXiv 2402.05369 with K = 2 and one-hot
    rewards), `(P,)`: -log s(r_w) - (log s(-r_w) + log s(-r_l))/2, r = beta h.
    """
    r_w, r_l = beta * (chosen - ref_chosen), beta * (rejected - ref_rejected)
    return -logsigmoid(r_w) - 0.5 * (logsigmoid(-r_w) + logsigmoid(-r_l))


def bco(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
    shift: Tensor | float = 0.0,
) -> Tensor:
    """Binary classifier optimisation, -log s(r_w - d) - log s(-(r_l - d)) (arXiv 2404.04656),
    `(P,)`; d = `shift` is the paper's running mean of the rewards, 0 in TRL's `bco_pair`.
    """
    r_w, r_l = beta * (chosen - ref_chosen), beta * (rejected - ref_rejected)
    return -logsigmoid(r_w - shift) - logsigmoid(-(r_l - shift))


def apo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
    anchor: str = "zero",
) -> Tensor:
    """Anchored preference optimisation (arXiv 2408.06266 eq. 7 and 8), `(P,)`.

    `anchor="zero"`: 1 - s(r_w) + s(r_l), raises the chosen and lowers the rejected answer; "down":
    s(r_w) + 1 - s(r_w - r_l), for chosen answers worse than the model's own: lowers both.
    """
    r_w, r_l = beta * (chosen - ref_chosen), beta * (rejected - ref_rejected)
    if anchor == "zero":
        return 1.0 - r_w.sigmoid() + r_l.sigmoid()
    if anchor == "down":
        return r_w.sigmoid() + 1.0 - (r_w - r_l).sigmoid()
    raise ValueError(f"unknown anchor {anchor!r}; known: zero, down")


def aot(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
    paired: str = "yes",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Alignment by optimal transport: DPO on the sorted batch (arXiv 2406.05882 alg. 1), `(P,)`.

    `paired="yes"` sorts the policy's and the reference's log-ratios of the pairs, "no" the
    chosen and the rejected h. The losses belong to ranks, not to rows, so a row's weight means
    nothing here. One pair is DPO.
    """
    if paired == "yes":
        gap = (chosen - rejected).sort().values - (ref_chosen - ref_rejected).sort().values
    elif paired == "no":
        gap = (chosen - ref_chosen).sort().values - (rejected - ref_rejected).sort().values
    else:
        raise ValueError(f"unknown paired {paired!r}; known: yes, no")
    return soft_logistic(beta * gap, 1.0 - label_smoothing)


def discopop(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
    tau: float = 0.05,
) -> Tensor:
    """DiscoPOP, a logistic loss blended into an exponential one by s(z / tau), z = beta D (arXiv
    2406.08414 eq. 5), `(P,)`.
    """
    z = beta * log_ratio_gap(chosen, rejected, ref_chosen, ref_rejected)
    share = (z / tau).sigmoid()
    # The product of a vanishing share and an overflowing exponential is taken in logarithms.
    return (1.0 - share) * -logsigmoid(z) + torch.exp(logsigmoid(z / tau) - z)


def wpo_weights(chosen_token_logps: Tensor, rejected_token_logps: Tensor, masks: Tensor) -> Tensor:
    """WPO's weight of a pair, exp of the mean log-probability a token of both answers, at most 1
    (arXiv 2406.11827, without its alignment term), `(P,)`, no gradient.

    Token log-probabilities `(P, T)`, `masks` `(2, P, T)`, True = keep, chosen first.
    """
    logps = torch.stack([chosen_token_logps, rejected_token_logps]).detach()
    keep = masks.to(logps.dtype)
    means = (logps * keep).sum(2) / keep.sum(2).clamp(min=1.0)
    return means.sum(0).exp().clamp(max=1.0)


def length_desensitised(token_logps: Tensor, mask: Tensor, shorter: Tensor, alpha: float) -> Tensor:
    """Log-probability with the excess of the longer answer scaled by alpha (LD-DPO, arXiv
    2409.06411), `(P,)`.

    `(P, T)` token values and mask (True = keep); `shorter` `(P,)`, the number of tokens of the
    pair's shorter answer. alpha = 1 is the plain sum, 0 cuts both to one length.
    """
    position = mask.long().cumsum(1)
    weight = torch.where(position <= shorter[:, None], 1.0, alpha) * mask
    return (token_logps * weight).sum(1)


def soft_label_from_gap(gap: Tensor, temperature: float = 1.0) -> Tensor:
    """P(chosen preferred) = s(gap / temperature) from a gap of scores or a graded strength: the
    soft target of `dpo` when a reward model or several people judged the pair.
    """
    return torch.sigmoid(gap / temperature)
