"""What a training step costs: tokens a second, share of the machine's matrix rate, memory, what is
overhead; and the trackers its numbers go to.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .context import Context
from .logprobs import LogProbs
from .probe import matrix_rate


class Meter:
    """Counts tokens and operations over the seconds spent in steps.

    `mfu` is model operations a second over the measured rate of matrix products in the run's number
    format: 2 a parameter and token forwards, 4 backwards (2 where the parameter is frozen), the
    head counted on answer tokens only, attention not counted, so it is a lower bound.
    """

    def __init__(
        self, lm: nn.Module, trainable: Sequence[nn.Parameter], engine: LogProbs, world: int = 1
    ) -> None:
        head = lm.get_output_embeddings()
        self.head = head.weight.numel() if head is not None else 0
        whole = sum(p.numel() for p in lm.parameters())
        embedding = lm.get_input_embeddings().weight.numel()
        tied = head is not None and head.weight is lm.get_input_embeddings().weight
        self.trunk = whole - embedding - (0 if tied else self.head)
        learned = {id(p) for p in trainable}
        full = all(id(p) in learned for p in lm.parameters())
        self.each = 6.0 if full else 4.0
        self.device = engine.device
        self.peak = world * matrix_rate(self.device, engine.autocast)
        self.tokens = self.operations = self.seconds = self.within = 0.0
        self.since = 0.0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a whole step."""
        begun = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - begun

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Around the forward, the backward and the optimiser's part of a step."""
        begun = time.perf_counter()
        yield
        self.within += time.perf_counter() - begun

    def add(self, tokens: float, answers: int) -> None:
        """A step has read so many tokens, and predicted so many."""
        self.tokens += tokens
        self.since += tokens
        self.operations += self.each * (self.trunk * tokens + self.head * answers)

    @property
    def overhead(self) -> float:
        """Share of step time outside forward, backward and optimiser."""
        return max(0.0, 1.0 - self.within / self.seconds) if self.seconds else 0.0

    def numbers(self) -> dict[str, float]:
        """tokens_per_s, mfu and memory_mib since the start of this process."""
        seconds = max(self.seconds, 1e-9)
        return {
            "tokens_per_s": self.since / seconds,
            "mfu": self.operations / seconds / self.peak,
            "memory_mib": _memory(self.device),
        }


def _memory(device: str) -> float:
    """Most memory held so far, in MiB."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Tracker:
    """Numbers of steps to accelerate's trackers; files under the run's folder."""

    def __init__(self, names: Sequence[str], context: Context) -> None:
        self._trackers = []
        if names and context.main:
            from accelerate.tracking import TensorBoardTracker

            folder = context.folder / "trackers"
            folder.mkdir(exist_ok=True)
            self._trackers = [TensorBoardTracker("train", str(folder))]
            for tracker in self._trackers:
                tracker.start()

    def log(self, step: int, numbers: dict[str, Any]) -> None:
        """Numbers of a step."""
        values = {k: float(v) for k, v in numbers.items() if isinstance(v, int | float)}
        for tracker in self._trackers:
            tracker.log(values, step=step)

    def close(self) -> None:
        """Write what is left."""
        for tracker in self._trackers:
            tracker.finish()
