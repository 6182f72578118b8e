"""Wall-clock and CPU seconds, other processes' share of the machine, and the peak of memory."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from pathlib import Path


class Meter:
    """Start it, `lap` after each step, `stop` for the figures."""

    def start(self) -> None:
        """Count from now, the peak of memory as well."""
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self.begun, self.own, self.all, self.laps = time.perf_counter(), _own(), _busy(), []

    def lap(self) -> None:
        """A step has ended."""
        self.laps.append(round(time.perf_counter() - self.begun, 3))

    def stop(self) -> dict:
        """wall_s, cpu_s, others (the share of the machine they took), peak_mib, laps."""
        wall, own = time.perf_counter() - self.begun, _own() - self.own
        others = max(0.0, _busy() - self.all - own) / (wall * os.cpu_count())
        status = Path("/proc/self/status").read_text()
        peak = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM"))
        return {
            "wall_s": round(wall, 3),
            "cpu_s": round(own, 2),
            "others": round(others, 3),
            "peak_mib": peak // 1024,
            "laps": self.laps,
        }


def _own() -> float:
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def _busy() -> float:
    """CPU seconds the whole machine has spent not idle."""
    first = Path("/proc/stat").read_text().splitlines()[0]
    fields = [int(x) for x in first.split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
