"""Preference as advantage or as posterior: CPL, A-LoL, BRAIn."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus


def cpl(
    chosen_token_logps: Tensor,
    rejected_token_logps: Tensor,
    chosen_mask: Tensor,
    rejected_mask: Tensor,
    *,
    alpha: float = 0.1,
    gamma: float = 1.0,
    bias: float = 0.5,
    soft_label: Tensor | float = 1.0,
) -> Tensor:
    """Contrastive preference learning on regret (arXiv 2310.13639 eq. 5, with the conservative bias
    of eq. 6), `(P,)`.

    A = sum_t gamma^t alpha log pi(a_t | s_t) over a segment's steps, loss -log e^A+ / (e^A+ +
    e^(bias A-)). Steps `(P, T)`, masks True = keep, t counts kept steps from 0; steps may be
    tokens, turns or actions. bias = 1 and gamma = 1 is the logistic loss on summed
    log-probabilities.
    """
    up = _discounted(chosen_token_logps, chosen_mask, gamma)
    down = _discounted(rejected_token_logps, rejected_mask, gamma)
    up, down = alpha * up, alpha * down
    return soft_label * softplus(bias * down - up) + (1.0 - soft_label) * softplus(bias * up - down)


def _discounted(values: Tensor, mask: Tensor, gamma: float) -> Tensor:
    keep = mask.to(values.dtype)
    step = (keep.cumsum(1) - 1.0).clamp(min=0.0)
    return (values * keep * torch.pow(torch.as_tensor(gamma, dtype=values.dtype), step)).sum(1)


def a_lol(
    logps: Tensor,
    ref_logps: Tensor,
    advantages: Tensor,
    *,
    clip: float = 0.9,
    form: str = "ratio",
    kl_weight: float = 0.2,
) -> Tensor:
    """A-LoL (arXiv 2305.14718 eq. 4 and section 2.3), `(P,)`: -A w log pi over logged answers.

    A = reward - V_ref(prompt); rows with A <= 0 give 0, as the paper filters them. w = clip(pi/ref,
    1 - clip, 1 + clip) held constant (`form="ratio"`), 1 ("ref_free"), or 1 with kl_weight
    log(pi/ref) added ("kl"). The gradient is the policy gradient weighted by w; the value is a
    surrogate.
    """
    keep = advantages > 0
    if form == "ratio":
        # The exponent is bounded where the clip is reached anyway.
        weight = (logps - ref_logps).detach().clamp(max=20.0).exp().clamp(1.0 - clip, 1.0 + clip)
        loss = -advantages * weight * logps
    elif form == "ref_free":
        loss = -advantages * logps
    elif form == "kl":
        loss = -advantages * logps + kl_weight * (logps - ref_logps)
    else:
        raise ValueError(f"unknown form {form!r}; known: ratio, ref_free, kl")
    return torch.where(keep, loss, torch.zeros_like(loss))


def brain(
    logps: Tensor,
    ref_logps: Tensor,
    scores: Tensor,
    *,
    sample_logps: Tensor | None = None,
    mask: Tensor | None = None,
    gamma: float = 1.0,
    posterior: str = "softmax",
) -> Tensor:
    """BRAIn, KL from the self-normalised reward posterior to the self-normalised policy over K
    samples (arXiv 2402.02479 section 4), `(B,)`.

    `(B, K)`: samples drawn from a policy with log-probabilities `sample_logps` (the reference where
    absent). a = softmax(log ref + score/gamma - log sample) is the posterior, b = softmax(log pi -
    log sample) the baseline; the gradient of sum a log(a/b) is -sum (a - b) grad log pi.
    `posterior="argmax"` puts all of a on the best score: with K = 2 samples of the reference that
    is DPO at beta = 1.
    """
    keep = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.bool()
    drawn = (ref_logps if sample_logps is None else sample_logps).detach()
    log_b = (logps - drawn).masked_fill(~keep, -torch.inf).log_softmax(1)
    if posterior == "softmax":
        log_a = (ref_logps + scores / gamma - drawn).masked_fill(~keep, -torch.inf).log_softmax(1)
        a = log_a.exp()
        entropy = torch.where(keep, a * log_a.masked_fill(~keep, 0.0), torch.zeros_like(a)).sum(1)
    elif posterior == "argmax":
        best = scores.masked_fill(~keep, -torch.inf).argmax(1)
        a = torch.nn.functional.one_hot(best, scores.shape[1]).to(logps.dtype)
        entropy = torch.zeros_like(log_b[:, 0])
    else:
        raise ValueError(f"unknown posterior {posterior!r}; known: softmax, argmax")
    return entropy - (a * log_b.masked_fill(~keep, 0.0)).sum(1)
