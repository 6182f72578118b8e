"""What is looked at before anything is started; each check raises Trouble with the way out."""

import errno
import fcntl
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from config.embedded import Locations
from config.embedded.errors import Trouble


class InstanceLock:
    """At most one launcher per data folder; the kernel lets go when the launcher dies.

    A record lock (not flock): children do not inherit it, so none of them can keep it alive.
    It is held while this object lives, and lost when the process closes its file elsewhere.
    """

    def __init__(self, where: Locations):
        self.path = where.run_dir / "launcher.pid"
        self._file = None

    def holder(self) -> int | None:
        """Number of the living launcher, None when there is none."""
        try:
            with open(self.path, "r+") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except OSError as exc:
            if exc.errno not in {errno.EACCES, errno.EAGAIN}:
                raise
            return self._noted()[0]
        return None

    def take(self, address: str) -> None:
        """Hold the lock until this process ends; Trouble when another has it."""
        self._file = open(self.path, "a+")  # noqa: SIM115  open as long as the lock is held
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            self.release()
            pid, where = self._noted()
            raise Trouble(
                f"Preferendum already runs on this data folder (process {pid}, {where}).\n"
                "Use it, end it with `make stop`, or start a second one beside it:\n"
                "    make run PORT=8100 VAR_DIR=var/second"
            ) from exc
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n{address}\n")
        self._file.flush()

    def _noted(self) -> tuple[int, str]:
        """Number and address of whoever wrote the file last."""
        number, _, rest = self.path.read_text().partition("\n")
        return (int(number) if number.isdigit() else -1), rest.strip() or "still starting"

    def release(self) -> None:
        """Let another have it; without this, the end of the process does."""
        if self._file is not None:
            self._file.close()
            self._file = None


def check_port(port: int, host: str = "127.0.0.1", what: str = "The web port") -> None:
    """Raise Trouble when something listens on `port` already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as exc:
            raise Trouble(
                f"{what} {port} needs rights this user does not have. Choose one above 1023:\n"
                "    make run PORT=8100"
            ) from exc
        except OSError as exc:
            raise Trouble(
                f"{what} {port} is taken by another program.\n"
                f"Nothing was started. Choose another: make run PORT={_suggestion(port)}"
            ) from exc


def _suggestion(port: int) -> int:
    return port + 100 if port + 100 < 65000 else 8100


def port_setting(environ: dict[str, str]) -> int:
    """PORT as a number; Trouble when it is none, or leaves no room for the engine's."""
    raw = environ.get("PORT") or "8000"
    if not raw.isdigit() or not 0 < int(raw) < 65535:
        raise Trouble(f"PORT must be a number from 1 to 65534, not {raw!r}.")
    return int(raw)


def engine_port(environ: dict[str, str], port: int) -> int | None:
    """The port the embedded engine will listen on; None when it listens elsewhere."""
    url = environ.get("ENGINE_URL")
    if not url:
        return port + 1
    parts = urlsplit(url)
    return parts.port if parts.hostname in {"127.0.0.1", "localhost"} else None


def var_dir_setting(environ: dict[str, str], checkout: Path) -> Path:
    """VAR_DIR, or var/ in the checkout."""
    return Path(environ.get("VAR_DIR") or checkout / "var").expanduser().resolve()
