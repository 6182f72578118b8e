"""Processes that do not outlive their owner, and those an owner that was killed left behind."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

#: Set for every process of an instance to its `Locations.instance`.
INSTANCE_VARIABLE = "PREFERENDUM_INSTANCE"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def dies_with_parent(signum: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` by which the kernel sends `signum` to the child when its parent ends.

    It holds even when the parent is killed with SIGKILL. Linux only; elsewhere the child is
    found by `leftovers` at the next start.
    """
    parent = os.getpid()

    def arrange() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
            if os.getppid() != parent:  # the parent ended before the arrangement was made
                os.kill(os.getpid(), signum)

    return arrange


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose own parent ends (Linux only)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def leftovers(instance: str) -> list[psutil.Process]:
    """Living processes of `instance`, except this one and those it descends from."""
    own = {os.getpid()}
    with contextlib.suppress(psutil.Error):
        own.update(parent.pid for parent in psutil.Process().parents())
    found = []
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(INSTANCE_VARIABLE) == instance:
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], *, grace: float) -> int:
    """Ask `processes` to end, kill those still there after `grace` seconds; returns how many."""
    processes = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=grace)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=5)
    return len(processes)


def read_pid(path: Path) -> int | None:
    """The number on the first line of a pid file; None when there is none to read."""
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
