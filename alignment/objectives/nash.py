"""Objectives of general preferences (N1): answers are judged against the policy's own, no reward is
assumed.

`wins_*` is P(answer preferred over an answer of the opponent), an estimate over fresh answers of
the policy named; `(P,)` throughout. `last_*` are log-probabilities under the last iterate. The
exact updates these losses lead to are in `games`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .pairwise import soft_logistic


def nash_md(logps: Tensor, ref_logps: Tensor, wins: Tensor, *, beta: float = 0.1) -> Tensor:
    """Nash-MD as a policy gradient (arXiv 2312.00886 section 7), `(P,)`.

    -(P(y > y') - 1/2) log pi(y) + beta h^2/2 for y of the policy and y' of the geometric mixture
    pi^(1-m) ref^m (`geometric_mixture`). Its expected gradient is that of -P(pi > mixture) + beta
    KL(pi, ref); its value is a surrogate.
    """
    h = logps - ref_logps
    return -(wins - 0.5) * logps + beta * h**2 / 2.0


def geometric_mixture(logits: Tensor, ref_logits: Tensor, mix: float = 0.5) -> Tensor:
    """Token log-probabilities proportional to pi^(1 - mix) ref^mix, `(..., V)`."""
    mixed = (1.0 - mix) * logits.log_softmax(-1) + mix * ref_logits.log_softmax(-1)
    return mixed.log_softmax(-1)


def sppo(
    chosen: Tensor,
    rejected: Tensor,
    last_chosen: Tensor,
    last_rejected: Tensor,
    *,
    wins_chosen: Tensor | float = 1.0,
    wins_rejected: Tensor | float = 0.0,
    beta: float = 1e-3,
    scale: str = "half",
) -> Tensor:
    """SPPO (arXiv 2405.00675 eq. 4.7), `(P,)`: (h_w - (P_w - 1/2)/beta)^2 + (h_l - (P_l -
    1/2)/beta)^2, h against the last iterate, P the win rate over its answers, 1/beta the paper's
    eta.

    Win rates 1 and 0 are the hard form. `scale="half"` halves the sum, as the published code does,
    "sum" does not, as TRL does.
    """
    loss = (chosen - last_chosen - (wins_chosen - 0.5) / beta) ** 2
    loss = loss + (rejected - last_rejected - (wins_rejected - 0.5) / beta) ** 2
    if scale not in ("half", "sum"):
        raise ValueError(f"unknown scale {scale!r}; known: half, sum")
    return loss / 2.0 if scale == "half" else loss


def inpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    last_chosen: Tensor,
    last_rejected: Tensor,
    eta: float = 0.0075,
    tau: float = 0.0025,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """INPO (arXiv 2407.00617), (g - 1/(2 eta))^2 with g = log(pi_w/pi_l) - (tau/eta)
    log(ref_w/ref_l) - (1 - tau/eta) log(last_w/last_l), `(P,)`.

    Pairs are two answers of the last iterate. A soft label p has the target (2p - 1)/(2 eta), the
    mean of both orders' targets. tau = eta is IPO with that tau. The expected loss has its minimum
    at ref^(tau/eta) last^(1 - tau/eta) exp(P(y > last)/eta), normalised.
    """
    share = tau / eta
    g = chosen - rejected - share * (ref_chosen - ref_rejected)
    g = g - (1.0 - share) * (last_chosen - last_rejected)
    return (g - (2.0 * soft_label - 1.0) / (2.0 * eta)) ** 2


def dno(
    chosen: Tensor,
    rejected: Tensor,
    last_chosen: Tensor,
    last_rejected: Tensor,
    *,
    wins_chosen: Tensor,
    wins_rejected: Tensor,
    beta: float = 0.1,
    form: str = "soft",
    min_gap: float = 0.0,
) -> Tensor:
    """DNO (arXiv 2404.03715 alg. 1 and 2): DPO against the last iterate with the win-rate gap as
    label, `(P,)`.

    `form="soft"` is the exact algorithm's cross-entropy with s(P_w - P_l), whose minimum is last x
    exp(P/beta); "hard" the practical one, DPO on pairs whose gap is at least `min_gap`; the others
    give 0.
    """
    z = beta * ((chosen - last_chosen) - (rejected - last_rejected))
    gap = wins_chosen - wins_rejected
    if form == "soft":
        loss = soft_logistic(z, torch.sigmoid(gap))
    elif form == "hard":
        loss = soft_logistic(z, torch.ones_like(z))
    else:
        raise ValueError(f"unknown form {form!r}; known: soft, hard")
    return torch.where(gap >= min_gap, loss, torch.zeros_like(loss))


def egpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    wins_chosen: Tensor,
    wins_rejected: Tensor,
    beta: float = 0.1,
) -> Tensor:
    """Online IPO of EGPO (arXiv 2503.08942 section 4; extragradient_trainer.py of its code),
    `(P,)`: (D - (P(y > y'') - P(y' > y''))/beta)^2.

    y, y' are sampled from a fixed wide policy, y'' from the opponent: the present policy in the
    half step, the half-step policy in the full step, both taken from the same weights. At the
    optimum against itself the policy is the Nash policy of the game regularised by beta KL to the
    reference.
    """
    gap = (chosen - ref_chosen) - (rejected - ref_rejected)
    return (gap - (wins_chosen - wins_rejected) / beta) ** 2


def win_rates(preference: Tensor, opponents: Tensor | None = None) -> Tensor:
    """Mean win rate of each of K answers from P(i > j) `(B, K, K)`: the reward of SPO (arXiv
    2401.04056 alg. 1), `(B, K)`.

    Without `opponents` each answer meets the other K - 1; else `(B, K)` weights over all K.
    """
    k = preference.shape[-1]
    if opponents is None:
        off = 1.0 - torch.eye(k, dtype=preference.dtype, device=preference.device)
        return (preference * off).sum(-1) / (k - 1)
    return (preference * opponents[:, None, :]).sum(-1)
