"""DPO with a further term on other answers: optimism (XPO, SELM, VPO) and on-policy KL (HyPO).

`(P,)` tensors of summed log-probabilities; `probe` and `ref_probe` are those of one further answer
a row, whose source each docstring names. Losses `(P,)`.
"""

from __future__ import annotations

from torch import Tensor

from .pairwise import dpo


def xpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    probe: Tensor,
    beta: float = 0.1,
    alpha: float = 1e-5,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """XPO, DPO + alpha log pi(y~), y~ drawn from the reference (arXiv 2405.21046 alg. 1), `(P,)`.

    Minimised, so mass leaves answers like the reference's. alpha = 0 is DPO.
    """
    ends = (chosen, rejected, ref_chosen, ref_rejected)
    return dpo(*ends, beta=beta, soft_label=soft_label) + alpha * probe


def selm(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    probe: Tensor,
    ref_probe: Tensor,
    beta: float = 0.01,
    alpha: float = 1e-3,
    sign: str = "code",
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """SELM, DPO + alpha beta log(pi/ref)(y~) (arXiv 2405.19332; selm_trainer.py of its code),
    `(P,)`.

    y~ is another answer to the prompt from the data. `sign="code"` minimises the term, as the
    published trainer does, "raise" subtracts it. alpha = 0 is DPO.
    """
    ends = (chosen, rejected, ref_chosen, ref_rejected)
    term = alpha * beta * (probe - ref_probe)
    if sign not in ("code", "raise"):
        raise ValueError(f"unknown sign {sign!r}; known: code, raise")
    loss = dpo(*ends, beta=beta, soft_label=soft_label)
    return loss + term if sign == "code" else loss - term


def vpo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    probe: Tensor,
    ref_probe: Tensor,
    beta: float = 0.1,
    alpha: float = 1.0,
    mode: str = "online",
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """VPO, DPO + sign alpha beta log(pi/ref)(y~), y~ from the calibration policy (arXiv 2405.19320
    alg. 1 and 2), `(P,)`.

    The maximised reward's value is, up to a constant, -beta E log(pi/ref) over the calibration
    policy: `mode="online"` (optimism, sign +) lets mass leave it, "offline" (pessimism, sign -)
    keeps it there, which is a supervised term. alpha = 0 is DPO.
    """
    ends = (chosen, rejected, ref_chosen, ref_rejected)
    if mode not in ("online", "offline"):
        raise ValueError(f"unknown mode {mode!r}; known: online, offline")
    term = alpha * beta * (probe - ref_probe)
    loss = dpo(*ends, beta=beta, soft_label=soft_label)
    return loss + term if mode == "online" else loss - term


def hypo(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    *,
    probe: Tensor,
    ref_probe: Tensor,
    beta: float = 0.1,
    lam: float = 0.1,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """HyPO, DPO + lambda KL(pi, ref) on fresh samples (arXiv 2406.01462 alg. 1), `(P,)`.

    `probe` are answers sampled from the present policy. The term is lambda h^2 / 2 of each: its
    expected gradient is that of the KL (k2 of `alignment.rollouts.kl`), its value is not the KL.
    lambda = 0 is DPO.
    """
    ends = (chosen, rejected, ref_chosen, ref_rejected)
    return dpo(*ends, beta=beta, soft_label=soft_label) + lam * (probe - ref_probe) ** 2 / 2.0
