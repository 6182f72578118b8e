"""Both embedded services for as long as a block of code runs (test sessions, scripts)."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from config.embedded import postgres, valkey
from config.embedded.folders import make_folders
from config.embedded.locations import Locations
from config.embedded.processes import dies_with_parent


@contextmanager
def running(where: Locations, *, durable: bool = True) -> Iterator[Locations]:
    """Start PostgreSQL and Valkey of `where`, and stop them at the end of the block.

    Raises Trouble when one of them cannot start; then neither is left running.
    """
    make_folders(where)
    who = postgres.prepare(where)
    valkey.prepare(where, durable=durable)
    started: list[tuple[subprocess.Popen, signal.Signals]] = []
    with (
        open(where.log_dir / "postgres.log", "ab") as postgres_log,
        open(where.log_dir / "valkey.log", "ab") as valkey_log,
    ):
        try:
            database = subprocess.Popen(
                postgres.command(where, durable=durable),
                stdin=subprocess.DEVNULL,
                stdout=postgres_log,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGINT),
                **postgres.as_user(who),
            )
            started.append((database, signal.SIGINT))  # SIGINT: PostgreSQL's fast shutdown
            broker = subprocess.Popen(
                valkey.command(where),
                stdin=subprocess.DEVNULL,
                stdout=valkey_log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGTERM),
            )
            started.append((broker, signal.SIGTERM))
            postgres.wait_until_ready(where, alive=lambda: database.poll() is None)
            valkey.wait_until_ready(where, alive=lambda: broker.poll() is None)
            postgres.ensure_database(where)
            yield where
        finally:
            for process, signum in started:
                process.send_signal(signum)
            for process, _ in started:
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
