"""A reward model trained trunk and all: members of an ensemble as columns of one head on the state
after an answer's last token.

The loop is the policy's: trees read the prompt once, packed without padding; no output head is ever
computed. An answer given to it ends in its closing token and one more that is never read.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from alignment.objectives.declare import Objective
from alignment.rewards.heads import HeadBank
from alignment.rewards.losses import bradley_terry

from .logprobs import LogProbs, Packed, Reading


def members_bradley_terry(
    chosen: Tensor, rejected: Tensor, *, soft_label: Tensor | float = 1.0
) -> Tensor:
    """Bradley-Terry by each member `(M, P)`, their mean, `(P,)`."""
    return bradley_terry(chosen, rejected, soft_label=soft_label).mean(0)


class Scored(Objective):
    """Bradley-Terry as the loop takes an objective."""

    @property
    def function(self):
        """The loss."""
        return members_bradley_terry


BRADLEY_TERRY = Scored(
    *("bradley_terry", "Bradley-Terry", "", "pairs", ("chosen", "rejected", "soft_label")),
    method="R1",
    source="Bradley and Terry 1952",
)


class RewardReader(LogProbs):
    """Reads answers as scores of M members: what the loop sums over an answer's tokens is 0 but for
    the last.
    """

    def __init__(self, lm: nn.Module, bank: HeadBank, device: str = "cpu", dtype: str = "float32"):
        super().__init__(lm, device, dtype)
        self.bank = bank

    def read(self, packed: Packed, heads: Sequence[nn.Module] = ()) -> Reading:
        """Scores `(M, N)`, of an answer at its last token."""
        with self._autocast():
            ends = torch.bincount(packed.segment, minlength=packed.n_answers).cumsum(0) - 1
            states = self._rows(packed, ends)
        scores = self.bank(states.float())[..., 0]
        out = scores.new_zeros(len(scores), len(packed.segment))
        return Reading(out.index_copy(1, ends, scores))
