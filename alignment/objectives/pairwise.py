"""Objectives on a preferred and a dispreferred answer, relative to a reference policy.

Every function takes `(P,)` tensors of log-probabilities summed over the answer's tokens and returns
the `(P,)` losses, unweighted and unreduced. With h(y) = log pi(y|x) - log ref(y|x), D = h(chosen) -
h(rejected). `soft_label` is P(chosen preferred), a `(P,)` tensor or a number: 1 is a plain pair and
1/2 a tie.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus


def log_ratio_gap(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor
) -> Tensor:
    """D = h(chosen) - h(rejected), `(P,)`."""
    return (chosen - ref_chosen) - (rejected - ref_rejected)


def soft_logistic(z: Tensor, soft_label: Tensor | float = 1.0) -> Tensor:
    """-p log s(z) - (1 - p) log s(-z): cross-entropy of a soft pair, `(P,)`.

    For p = 1 it is the logistic loss; at z = 0 it is log 2 for every p.
    """
    return -(soft_label * logsigmoid(z) + (1.0 - soft_label) * logsigmoid(-z))


def smoothed(soft_label: Tensor | float, label_smoothing: float) -> Tensor | float:
    """The soft label if a share `label_smoothing` of all labels is flipped: p(1 - e) + (1 - p)e."""
    return soft_label * (1.0 - 2.0 * label_smoothing) + label_smoothing


def dpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """DPO, -log s(beta D) (arXiv 2305.18290 eq. 7), `(P,)`.

    `label_smoothing` gives conservative DPO (Mitchell 2023, "A note on DPO with noisy preferences",
    eq. 3); `soft_label` the cross-entropy with a given probability. At pi = ref the loss is log 2.
    """
    z = beta * log_ratio_gap(chosen, rejected, ref_chosen, ref_rejected)
    return soft_logistic(z, smoothed(soft_label, label_smoothing))


def robust_dpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.1,
) -> Tensor:
    """Robust DPO (arXiv 2403.00409 eq. 12): unbiased for the clean loss under flips at rate e <
    1/2.

    ((1 - e) l(z) - e l(-z)) / (1 - 2e) with l(z) = -log s(z); e = 0 is DPO. `(P,)`.
    """
    z = beta * log_ratio_gap(chosen, rejected, ref_chosen, ref_rejected)
    e = label_smoothing
    return (-(1.0 - e) * logsigmoid(z) + e * logsigmoid(-z)) / (1.0 - 2.0 * e)


def odpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    margin: Tensor,
    beta: float = 0.1,
    alpha: float = 1.0,
    scale: str = "log",
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """DPO with an offset, -log s(beta D - alpha g(margin)) (arXiv 2402.10571 eq. 7), `(P,)`.

    `margin` is the gap of the two answers' scores (> 0 for `scale="log"`, g = log; g = identity for
    "linear"). alpha = 0 is DPO.
    """
    if alpha == 0.0:
        offset: Tensor | float = 0.0
    else:
        offset = alpha * (torch.log(margin) if scale == "log" else margin)
    z = beta * log_ratio_gap(chosen, rejected, ref_chosen, ref_rejected) - offset
    return soft_logistic(z, soft_label)


def ipo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    tau: float = 0.1,
    per: str = "sum",
    chosen_tokens: Tensor | None = None,
    rejected_tokens: Tensor | None = None,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """IPO, (D - 1/(2 tau))^2 (arXiv 2310.12036 eq. 17), `(P,)`.

    `per="token"` divides each log-ratio by its number of tokens, as TRL does; tau is not portable
    between the two. For a soft label p the target is (2p - 1)/(2 tau), the mean of the targets of
    both orders, so a tie pulls D to 0.
    """
    h_chosen, h_rejected = chosen - ref_chosen, rejected - ref_rejected
    if per == "token":
        if chosen_tokens is None or rejected_tokens is None:
            raise ValueError("ipo with per='token' needs chosen_tokens and rejected_tokens")
        h_chosen, h_rejected = h_chosen / chosen_tokens, h_rejected / rejected_tokens
    return (h_chosen - h_rejected - (2.0 * soft_label - 1.0) / (2.0 * tau)) ** 2


def hinge(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """Hinge on the gap, max(0, 1 - beta D) (RSO, arXiv 2309.06657 eq. 10), `(P,)`; mixed over both
    orders by p.
    """
    z = beta * log_ratio_gap(chosen, rejected, ref_chosen, ref_rejected)
    return soft_label * torch.relu(1.0 - z) + (1.0 - soft_label) * torch.relu(1.0 + z)


def f_dpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    beta: float = 0.1,
    divergence: str = "reverse_kl",
    alpha: float = 0.5,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """f-DPO, -log s(beta (f'(u_w) - f'(u_l))), u = pi/ref (arXiv 2309.16240 eq. 6 and table 1),
    `(P,)`.

    f' up to a constant that cancels, with h = log u: reverse_kl h (this is DPO); forward_kl -1/u;
    js log(2u/(1+u)); alpha (1 - u^-alpha)/alpha; chi2 u + log u (chi-squared mixed with KL, arXiv
    2407.13399 eq. 8).
    """
    gap = f_derivative(chosen - ref_chosen, divergence, alpha) - f_derivative(
        rejected - ref_rejected, divergence, alpha
    )
    return soft_logistic(beta * gap, soft_label)


def f_derivative(h: Tensor, divergence: str, alpha: float = 0.5) -> Tensor:
    """f'(e^h) up to a constant, for the divergences of `f_dpo`; the exponent is clamped at 20
    against overflow.
    """
    if divergence == "reverse_kl":
        return h
    if divergence == "forward_kl":
        return -torch.exp((-h).clamp(max=20.0))
    if divergence == "js":
        return math.log(2.0) - softplus(-h)
    if divergence == "alpha":
        return -torch.expm1((-alpha * h).clamp(max=20.0)) / alpha
    if divergence == "chi2":
        return torch.exp(h.clamp(max=20.0)) + h
    raise ValueError(f"unknown divergence {divergence!r}")
