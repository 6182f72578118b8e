"""Supervised learning from feedback (P13): likelihood of selected, conditioned or masked text.

Token log-probabilities `(P, T)`, `mask` True = keep; losses `(P,)`. What is selected and how text
is conditioned is in `alignment.rollouts.selection` and `conditioning`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def nll(token_logps: Tensor, mask: Tensor, *, per: str = "token") -> Tensor:
    """Negative log-likelihood of each text, by token mean or sum, `(P,)`. On the best of K samples
    this is RAFT (arXiv 2304.06767) and best-of-n fine-tuning; on text after a control token,
    conditional training (arXiv 2302.08582). No kept token gives 0.
    """
    keep = mask.to(token_logps.dtype)
    total = -(token_logps * keep).sum(1)
    if per == "sum":
        return total
    if per == "token":
        return total / keep.sum(1).clamp(min=1.0)
    raise ValueError(f"unknown per {per!r}; known: token, sum")


def superhf(
    token_logps: Tensor, ref_token_logps: Tensor, mask: Tensor, *, kl_weight: float = 0.35
) -> Tensor:
    """SuperHF (arXiv 2310.16763): NLL a token of the best of a super-batch + kl_weight KL to the
    prior, `(P,)`.

    The KL is estimated by k3 on the selected tokens, which is never negative; exact token
    distributions give it through `superhf_exact`. kl_weight = 0 is RAFT.
    """
    keep = mask.to(token_logps.dtype)
    h = token_logps - ref_token_logps
    # Past e^20 the estimate of one token would drown the batch; its gradient ends there.
    kl = torch.expm1((-h).clamp(max=20.0)) + h
    return nll(token_logps, mask) + kl_weight * (kl * keep).sum(1) / keep.sum(1).clamp(min=1.0)


def superhf_exact(
    logits: Tensor, ref_logits: Tensor, tokens: Tensor, mask: Tensor, *, kl_weight: float = 0.35
) -> Tensor:
    """SuperHF with the KL summed over the vocabulary, as its code does, `(P,)`; logits `(P, T, V)`
    of the positions that predict `tokens` `(P, T)`.
    """
    logp, ref = logits.log_softmax(2), ref_logits.log_softmax(2)
    kl = (logp.exp() * (logp - ref)).sum(2)
    own = logp.gather(2, tokens[:, :, None]).squeeze(2)
    keep = mask.to(logp.dtype)
    return nll(own, mask) + kl_weight * (kl * keep).sum(1) / keep.sum(1).clamp(min=1.0)


def chain_of_hindsight(
    token_logps: Tensor, mask: Tensor, feedback_mask: Tensor, *, per: str = "token"
) -> Tensor:
    """Chain of Hindsight (arXiv 2302.02676): NLL over a chain of answers and feedback, the
    feedback's own words left out, `(P,)`.

    `feedback_mask` is True on words such as "Bad:" and "Good:" and on the prompt. The paper also
    hides 15 % of past tokens from attention at random, which is the caller's mask, not a loss.
    """
    return nll(token_logps, mask & ~feedback_mask, per=per)


def pit_gap_loss(
    better: Tensor, worse: Tensor, gap_better: Tensor, gap_worse: Tensor, *, beta: float = 1.0
) -> Tensor:
    """PIT's reward of improvement (after arXiv 2310.00898): a model r_gap(x, y, y_ref) of how much
    y improves on y_ref, trained by ranking, `(P,)`.

    `better` = r_gap(y_w, y_l) must be positive, `worse` = r_gap(y_l, y_w) negative, and
    `gap_better` = r_gap(y_w, y_w), `gap_worse` = r_gap(y_l, y_l) lie between: the sum of -log s
    over the four ordered differences. At equal values it is 4 log 2.
    """
    pairs = ((better, gap_better), (better, gap_worse), (gap_better, worse), (gap_worse, worse))
    return sum(torch.nn.functional.softplus(-beta * (a - b)) for a, b in pairs)


def pit_reward(reward: Tensor, reference_reward: Tensor) -> Tensor:
    """Improvement over a reference answer of the same prompt, r(y) - r(y_ref): what PIT maximises
    where a plain reward model is at hand.
    """
    return reward - reference_reward
