"""What every task is given: the checked run, its folders, the progress stream, the stop flag."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .files import Progress


class Stopped(Exception):
    """Raised where it is safe to end after SIGTERM or SIGINT."""


class RunFailed(Exception):
    """The run cannot go on; the text is the reason a person reads."""


@dataclass
class Context:
    """One run. `rank` and `world` are of data-parallel processes; only rank 0 writes files."""

    folder: Path
    run: dict[str, Any]
    progress: Progress
    rank: int = 0
    world: int = 1
    warnings: list[str] = field(default_factory=list)
    stop_signal: int | None = None
    started: float = field(default_factory=time.monotonic)
    device: str = "cpu"
    resumed_from: int | None = None

    @property
    def params(self) -> dict[str, Any]:
        """The task's parameters."""
        return self.run["params"]

    @property
    def seed(self) -> int:
        """Seed of everything random."""
        return self.run["seed"]

    @property
    def artefact(self) -> Path:
        """Folder of the result."""
        return self.folder / "artefact"

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def listen(self) -> None:
        """From now on SIGTERM and SIGINT ask for a stop; a second one ends at once."""

        def ask(number: int, _frame: Any) -> None:
            if self.stop_signal is not None:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            self.stop_signal = number

        signal.signal(signal.SIGTERM, ask)
        signal.signal(signal.SIGINT, ask)

    def check_stop(self) -> None:
        """Raise `Stopped` if a stop was asked for."""
        if self.stop_signal is not None:
            raise Stopped(signal.Signals(self.stop_signal).name)

    def ticker(self, phase: str, **numbers: Any):
        """A function (done, total): progress at most four times a second, and at the end."""
        last = 0.0

        def tick(done: int, total: int) -> None:
            nonlocal last
            self.check_stop()
            now = time.monotonic()
            if now - last >= 0.25 or done >= total:
                last = now
                self.progress.write(phase, done, total, **numbers)

        return tick
