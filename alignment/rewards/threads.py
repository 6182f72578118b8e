"""How many threads a piece of work is worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL = 1e9


@contextmanager
def few_threads(work: float, device: str = "cpu") -> Iterator[None]:
    """One thread for what runs inside, if its repeated step is under a GFLOP on a processor.

    Threads that wait for one another at every small product lose far more than they gain as soon
    as anything else runs on the machine: a web server and an engine do. `work` is the number of
    floating-point operations of one step.
    """
    threads = torch.get_num_threads()
    if device == "cpu" and work < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
