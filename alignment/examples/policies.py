"""The bundled policy in a few lines, shared by the examples that train it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from alignment.trainer.logprobs import LogProbs
from alignment.trainer.modeling import Policy, load_policy
from alignment.trainer.tokenise import ChatTokenizer
from inference.starter import WEIGHTS


class Student:
    """A policy that is trained, with its tokenizer and its log-probabilities."""

    def __init__(
        self, folder: Path = WEIGHTS, max_prompt: int = 128, max_answer: int = 128, lr: float = 1e-4
    ) -> None:
        torch.set_num_threads(1)
        self.policy: Policy = load_policy("model", folder)
        self.chat = ChatTokenizer(
            self.policy.tokenizer,
            self.policy.eos_ids[0],
            max_prompt,
            max_answer,
            self.policy.max_positions,
        )
        self.engine = LogProbs(self.policy.lm)
        self.policy.lm.requires_grad_(True)
        self.optimiser = torch.optim.AdamW(self.policy.lm.parameters(), lr=lr)

    def encode(self, prompt: str, answers: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """(prompt, answer) token ids of one prompt's answers."""
        ids = self.chat.prompt([{"role": "user", "content": prompt}])
        return [(ids, self.chat.answer(a, len(ids))) for a in answers]

    def prepare(self, rows: Sequence[tuple[list[int], list[int]]]) -> None:
        """Find out which short cuts are exact for this model, on one example."""
        self.engine.probe(rows[0][0], [a for _, a in rows[:2]], share=True)

    def logps(self, rows: Sequence[tuple[list[int], list[int]]]) -> Tensor:
        """Summed log-probabilities `(N,)` with gradient; the prompt is read once."""
        trees, places = self.engine.trees(rows)
        sums = self.engine.sums(self.engine.pack(trees))
        starts = torch.tensor([0, *[len(t.answers) for t in trees]]).cumsum(0)
        return sums[torch.tensor([int(starts[t]) + k for t, k in places])]

    def step(self, loss: Tensor) -> float:
        """One optimiser step."""
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.lm.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())
