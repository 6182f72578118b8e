"""Pairwise objectives that need no reference policy: SimPO, ORPO, CPO, SLiC.

`(P,)` tensors of log-probabilities summed over the answer's tokens, and `(P,)` numbers of tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .pairwise import soft_logistic


def simpo(
    chosen: Tensor,
    rejected: Tensor,
    *,
    chosen_tokens: Tensor,
    rejected_tokens: Tensor,
    beta: float = 2.0,
    gamma_ratio: float = 0.5,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """SimPO, -log s(beta (m_w - m_l) - gamma), m the mean log-probability a token (arXiv 2405.14734
    eq. 6).

    gamma = gamma_ratio * beta, as the paper's code sets it. `(P,)`.
    """
    gap = chosen / chosen_tokens - rejected / rejected_tokens
    return soft_logistic(beta * (gap - gamma_ratio), soft_label)


def orpo(
    chosen: Tensor,
    rejected: Tensor,
    *,
    chosen_tokens: Tensor,
    rejected_tokens: Tensor,
    lam: float = 0.1,
) -> Tensor:
    """ORPO, NLL of the chosen answer a token - lam log s(log odds ratio) (arXiv 2403.07691 eq. 6,
    7), `(P,)`.

    odds = p/(1 - p) with p = exp(mean log-probability a token).
    """
    w, ell = chosen / chosen_tokens, rejected / rejected_tokens
    log_odds = (w - ell) - (_log1mexp(w) - _log1mexp(ell))
    return -w - lam * logsigmoid(log_odds)


def cpo(
    chosen: Tensor,
    rejected: Tensor,
    *,
    chosen_tokens: Tensor,
    beta: float = 0.1,
    nll_weight: float = 1.0,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """CPO, -log s(beta (log pi_w - log pi_l)) + NLL of the chosen answer a token (arXiv 2401.08417
    eq. 5), `(P,)`.
    """
    return soft_logistic(beta * (chosen - rejected), soft_label) - nll_weight * (
        chosen / chosen_tokens
    )


def slic(
    chosen: Tensor,
    rejected: Tensor,
    *,
    target: Tensor,
    target_tokens: Tensor,
    delta: float = 1.0,
    nll_weight: float = 1.0,
) -> Tensor:
    """SLiC-HF, max(0, delta - log pi_w + log pi_l) + nll_weight NLL a token of a target (arXiv
    2305.10425 eq. 1), `(P,)`.

    `target` is the summed log-probability of the supervised answer, the chosen one where there is
    no other.
    """
    calibration = torch.relu(delta - (chosen - rejected))
    return calibration - nll_weight * target / target_tokens


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 - e^x) for x < 0, without cancellation near 0 (Maechler 2012)."""
    x = x.clamp(max=-1e-7)
    return torch.where(x > -0.6931, torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))
