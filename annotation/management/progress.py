"""Progress of a long command: a bar on a terminal, a log line every few seconds elsewhere."""

import sys
import time
from typing import TextIO

EVERY = 5.0


class Progress:
    """`with Progress("Importing", total_bytes) as p: p.at(records, done)`."""

    def __init__(self, verb: str, total: int = 0, unit: str = "records", out: TextIO | None = None):
        self._verb, self._total, self._unit = verb, total, unit
        self._out = out or sys.stderr
        self._bar = self._out.isatty()
        self._started = self._said = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_exc) -> None:
        if self._bar:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def at(self, records: int, done: int = 0) -> None:
        """Say how far it is; cheap enough to call for every record."""
        now = time.monotonic()
        if now - self._said < (0.1 if self._bar else EVERY):
            return
        self._said = now
        share = min(1.0, done / self._total) if self._total else 0.0
        if self._bar:
            filled = round(share * 30)
            bar = f"[{'#' * filled}{'.' * (30 - filled)}] {share:4.0%} " if self._total else ""
            self._out.write(f"\r\x1b[K{self._verb} {bar}{records} {self._unit}")
        else:
            seconds = now - self._started
            part = f" ({share:.0%})" if self._total else ""
            self._out.write(f"{self._verb}: {records} {self._unit}{part} in {seconds:.0f} s\n")
        self._out.flush()
