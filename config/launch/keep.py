"""Keep one process alive: `python -m config.launch.keep NAME [options] -- COMMAND...`.

The command is started again when it ends, sooner the first time and later each next time. It
never outlives its keeper: it gets SIGTERM when the keeper is asked to stop, when the launcher
named by --owner ends for whatever reason, or, from the kernel, when the keeper is killed.
Whatever the command leaves behind when it ends is killed before it is started again.

Example: python -m config.launch.keep web -- uvicorn config.asgi:application
"""

import argparse
import contextlib
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from config.embedded.processes import adopt_orphans, dies_with_parent

#: Seconds before the first restart in a row, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 20.0
#: A process that has lived this many seconds starts a new row.
LONG_ENOUGH = 30.0


def pause_before(restart: int) -> float:
    """Seconds to wait before the restart of this number in a row (1, 2, ...)."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (restart - 1))


class Keeper:
    """One supervised command; `run` returns when it was asked to stop and has."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.stop_signal = signal.Signals[f"SIG{options.stop_signal}"]
        self.stopping = False
        self.child: subprocess.Popen | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._owner = _watch(options.owner) if options.owner else None

    def run(self) -> int:
        """Start the command and start it again until asked to stop; returns the exit status."""
        adopt_orphans()
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, self._asked_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        in_a_row = 0
        while not self.stopping and self._gates_open():
            started = time.monotonic()
            if not self._start():
                return 127
            status = self._wait_for_child()
            self._clear_up()
            if self.stopping:
                break
            in_a_row = 1 if time.monotonic() - started > LONG_ENOUGH else in_a_row + 1
            pause = pause_before(in_a_row)
            self._say(f"ended ({_in_words(status)}); starting it again in {pause:g} s")
            self._sleep(pause)
        self._pid_file.unlink(missing_ok=True)
        return 0

    @property
    def _pid_file(self) -> Path:
        return Path(self.options.run_dir) / f"{self.options.name}.pid"

    def _start(self) -> bool:
        who = {}
        if self.options.user:
            entry = pwd.getpwnam(self.options.user)
            who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        try:
            self.child = subprocess.Popen(
                self.options.command,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=dies_with_parent(self.stop_signal),
                **who,
            )
        except OSError as exc:
            self._say(f"cannot be started: {exc}")
            return False
        with contextlib.suppress(OSError):
            self._pid_file.write_text(f"{self.child.pid}\n")
        return True

    def _wait_for_child(self) -> int:
        """Wait for the child to end; once stopping, ask it to and kill it when it lingers."""
        deadline = None
        while (status := self.child.poll()) is None:
            if self.stopping and deadline is None:
                deadline = time.monotonic() + self.options.grace
                self.child.send_signal(self.stop_signal)
            if deadline is not None and time.monotonic() > deadline:
                self.child.kill()
            self._sleep(1.0 if deadline is None else 0.1)
        return status

    def _clear_up(self) -> None:
        """Kill what the command left behind: its orphans became children of the keeper."""
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def _gates_open(self) -> bool:
        """Wait until every --after file is there; False when asked to stop meanwhile."""
        for gate in self.options.after:
            while not self.stopping and not Path(gate).exists():
                self._sleep(0.1)
        return not self.stopping

    def _sleep(self, seconds: float) -> None:
        """Sleep, but wake for a signal and stop when the owner has ended."""
        until = time.monotonic() + seconds
        watched = [self._wake_read]
        if isinstance(self._owner, int):
            watched.append(self._owner)
        elif self._owner is not None:  # no pidfd here: look now and then
            until = min(until, time.monotonic() + 0.5)
        ready, _, _ = select.select(watched, [], [], max(0.0, until - time.monotonic()))
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        if self._owner in ready or (self._owner is not None and not _runs(self._owner)):
            self.stopping = True

    def _asked_to_stop(self, *_: object) -> None:
        self.stopping = True

    def _say(self, words: str) -> None:
        print(f"{self.options.name} {words}", file=sys.stderr, flush=True)


def _watch(pid: int) -> "int | psutil.Process":
    """A descriptor that turns readable when process `pid` ends, or the process to ask."""
    try:
        if hasattr(os, "pidfd_open"):
            return os.pidfd_open(pid)
        return psutil.Process(pid)
    except (ProcessLookupError, psutil.NoSuchProcess):
        sys.exit(0)
    except OSError:
        return psutil.Process(pid)


def _runs(owner: "int | psutil.Process") -> bool:
    return isinstance(owner, int) or owner.is_running()


def _in_words(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def parser() -> argparse.ArgumentParser:
    """The command line of the keeper."""
    made = argparse.ArgumentParser(
        prog="python -m config.launch.keep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("name", help="name of the process, and of its pid file")
    made.add_argument("--run-dir", default=".", help="folder of the pid file")
    made.add_argument("--after", action="append", default=[], help="wait until this file exists")
    made.add_argument("--owner", type=int, help="stop when the process of this number ends")
    made.add_argument("--user", help="run the command as this user (when root)")
    made.add_argument("--stop-signal", default="TERM", help="how the command is asked to stop")
    made.add_argument("--grace", type=float, default=4.0, help="seconds before it is killed")
    made.add_argument("command", nargs="+", help="the command, after --")
    return made


if __name__ == "__main__":
    sys.exit(Keeper(parser().parse_args()).run())
