"""The honcho manager of an instance: who starts when, what is shown, what is logged."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from honcho.manager import Manager
from honcho.printer import Message, Printer

from config.embedded.processes import dies_with_parent

LOG_LIMIT = 10 * 2**20


class Log:
    """A text stream into a file that is turned over at LOG_LIMIT bytes."""

    def __init__(self, path: Path):
        self.path = path
        self._file = open(path, "a", errors="replace")  # noqa: SIM115  open until the end

    def write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()
        if self._file.tell() > LOG_LIMIT:
            self._file.close()
            self.path.replace(self.path.with_suffix(".old"))
            self._file = open(self.path, "a", errors="replace")  # noqa: SIM115

    def flush(self) -> None:
        self._file.flush()


class TwoPrinters:
    """Every line to the log; those of the processes to the terminal as well."""

    def __init__(self, log: Log):
        self._terminal = Printer(sys.stdout)
        self._file = Printer(log, colour=False)
        self._deaf = False

    @property
    def width(self) -> int:
        return self._file.width

    @width.setter
    def width(self, value: int) -> None:
        self._terminal.width = self._file.width = value

    def write(self, message: Message) -> None:
        self._file.write(message)
        if message.name == "system" or self._deaf:
            return
        try:
            self._terminal.write(message)
        except OSError:  # the terminal has gone: keep serving
            self._deaf = True


class Board(Manager):
    """Runs the processes, and beside them one thread that opens their gates in order."""

    def __init__(self, log: Log, prologue: Callable[["Board"], bool]):
        super().__init__(TwoPrinters(log))
        self._prologue = prologue
        self.failed = False
        self._relayed: subprocess.Popen | None = None

    def say(self, words: str, name: str = "preferendum") -> None:
        """Print lines as if a process of that name had."""
        for line in words.splitlines():
            self.events.put(
                Message(
                    type="line",
                    data=f"{line}\n".encode(),
                    time=self._clock.now(),
                    name=name,
                    colour=None,
                )
            )

    def _start(self) -> None:
        super()._start()
        # Only now: a thread and fork do not go together.
        threading.Thread(target=self._run_prologue, daemon=True).start()

    def _run_prologue(self) -> None:
        if not self._prologue(self) and not self._terminating:
            self.failed = True
            os.kill(os.getpid(), signal.SIGTERM)

    def relay(self, command: list[str], name: str) -> int:
        """Run `command` to its end, its lines shown under `name`; returns its exit status."""
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=dies_with_parent(signal.SIGTERM),
        ) as process:
            self._relayed = process
            for line in process.stdout:
                self.say(line.decode(errors="replace").rstrip("\n"), name)
        self._relayed = None
        return process.returncode

    def terminate(self) -> None:
        """End the processes, and the command that is being relayed."""
        super().terminate()
        if self._relayed is not None:
            self._relayed.terminate()

    @property
    def ending(self) -> bool:
        return self._terminating


def answers(url: str) -> bool:
    """Whether `url` answers with a page at all."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  our own address
            return response.status < 500
    except urllib.error.HTTPError as exc:
        return exc.code < 500
    except OSError:
        return False


def wait_for_page(url: str, board: Board, seconds: float) -> bool:
    """Wait until `url` answers; False when the board is ending or the time is over."""
    deadline = time.monotonic() + seconds
    while not board.ending and time.monotonic() < deadline:
        if answers(url):
            return True
        time.sleep(0.1)
    return False
