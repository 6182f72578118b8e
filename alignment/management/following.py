"""Following a run or a round from a terminal: a bar where one can be drawn, lines elsewhere."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

POLL_SECONDS = 0.5
HINT_SECONDS = 20
WIDTH = 30


class Bar:
    """One line on standard error that says how far the work is."""

    def __init__(self, stream=None):
        self._stream = stream or sys.stderr
        self._draws = self._stream.isatty()
        self._last: tuple[str, int] | None = None

    def show(self, title: str, step: int = 0, total: int = 0) -> None:
        """Show how far `title` has come; elsewhere than on a terminal a line each tenth."""
        if self._draws:
            filled = WIDTH * step // total if total else 0
            count = f" {step}/{total}" if total else ""
            bar = "█" * filled + "·" * (WIDTH - filled)
            self._stream.write(f"\r\033[K{bar} {title}{count}")
        else:
            tenth = (title, 10 * step // total if total else 0)
            if tenth != self._last:
                self._last = tenth
                self._stream.write(f"{title}{f' {step}/{total}' if total else ''}\n")
        self._stream.flush()

    def say(self, sentence: str) -> None:
        """A line that stays."""
        self._stream.write(f"\r\033[K{sentence}\n" if self._draws else f"{sentence}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave the line."""
        if self._draws:
            self._stream.write("\r\033[K")
            self._stream.flush()


def follow(look: Callable[[], tuple[bool, bool, str, int, int]]) -> None:
    """Call `look` until the work has ended; it returns (ended, begun, title, step, total)."""
    bar, since, hinted = Bar(), time.monotonic(), False
    while True:
        ended, begun, title, step, total = look()
        bar.show(title, step, total)
        if ended:
            bar.close()
            return
        if not begun and not hinted and time.monotonic() - since > HINT_SECONDS:
            hinted = True
            bar.say(
                "No worker has taken it yet. Start one with `make run`, or stop this with Ctrl-C "
                "and add --here to work in this process."
            )
        time.sleep(POLL_SECONDS)


def object_line(value: dict[str, Any]) -> str:
    """The one JSON object that `--json` ends standard output with."""
    return json.dumps(value, ensure_ascii=False)
