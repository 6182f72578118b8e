"""Start, or stop, an instance: `python -m config.launch [run|stop]`.

`run` checks, starts the embedded services, sets up the data and runs the Procfile under honcho,
each entry kept alive by `config.launch.keep`, until Ctrl-C. `stop` ends the instance that runs
on this data folder, and whatever a killed one left behind.
"""

import argparse
import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from honcho.environ import parse_procfile

from config.embedded import Locations, locations, postgres, valkey
from config.embedded.errors import Trouble
from config.embedded.folders import check_space, free_mb, make_folders
from config.embedded.processes import INSTANCE_VARIABLE, dies_with_parent, end, leftovers
from config.launch import checks, setup
from config.launch.board import Board, Log, wait_for_page

CHECKOUT = Path(__file__).resolve().parents[2]

#: What an entry of the Procfile waits for: nothing (the engine takes longest and needs no
#: tables to start), the set-up, or, for background work, the page.
GATES = {"engine": None, "web": "prepared"}
BACKGROUND_GATE = "page"

#: Settings that decide what the set-up makes; another value means that it is run again.
SHAPING = ("DATABASE_URL", "PREFERENDUM_MODEL", "DEMO_PASSWORD")


class Launcher:
    """One run of one instance, from the checks to the last process gone."""

    def __init__(self, where: Locations, environ: dict[str, str]):
        self.where = where
        self.port = checks.port_setting(environ)
        self.engine_port = checks.engine_port(environ, self.port)
        self.address = f"http://127.0.0.1:{self.port}"
        self.embeds_database = not _given(environ, "DATABASE_URL")
        self.embeds_broker = not _given(environ, "REDIS_URL")
        self.lock = checks.InstanceLock(where)  # held for as long as this object lives
        self.services: dict[str, subprocess.Popen] = {}

    def run(self) -> int:
        """Serve until asked to stop; returns the exit status."""
        began = time.monotonic()
        check_space(self.where)
        make_folders(self.where)
        self.lock.take(self.address)
        self._end_leftovers()
        checks.check_port(self.port)
        if self.engine_port:
            checks.check_port(self.engine_port, what="The port of the engine,")
        for gate in self.where.run_dir.glob("*.gate"):
            gate.unlink()
        log = Log(self.where.log_dir / "preferendum.log")
        board = Board(log, lambda board: self._prologue(board, began))
        for name, line in self._procfile().items():
            board.add_process(name, self._kept(name, line), cwd=str(CHECKOUT))
        try:
            self._start_services()
            signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
            board.loop()
        finally:
            self._stop_services()
        if board.failed:
            return 1
        print("Preferendum has stopped; its data are in", self.where.var_dir, flush=True)
        return 0

    def _procfile(self) -> dict[str, str]:
        return parse_procfile((CHECKOUT / "Procfile").read_text()).processes

    def _kept(self, name: str, line: str) -> str:
        """The shell line by which a Procfile entry runs under a keeper."""
        gate = GATES.get(name, BACKGROUND_GATE)
        after = ["--after", str(self.where.run_dir / f"{gate}.gate")] if gate else []
        keeper = _keeper(name, self.where, *after)
        return "exec " + shlex.join([*keeper, "--", "sh", "-c", f"exec {line}"])

    def _start_services(self) -> None:
        """Start PostgreSQL and Valkey under keepers and wait until both answer."""
        if self.embeds_broker:
            valkey.prepare(self.where)
        if self.embeds_database:
            who = postgres.prepare(self.where)
            options = ["--stop-signal", "INT", "--grace", "20"]
            if who is not None:
                options += ["--user", who.pw_name]
            self._start_service("postgres", options, postgres.command(self.where))
        if self.embeds_broker:
            self._start_service("valkey", ["--grace", "10"], valkey.command(self.where))
            valkey.wait_until_ready(self.where, alive=self._alive("valkey"))
        if self.embeds_database:
            postgres.wait_until_ready(self.where, alive=self._alive("postgres"))
            postgres.ensure_database(self.where)

    def _start_service(self, name: str, options: list[str], command: list[str]) -> None:
        with open(self.where.log_dir / f"{name}.log", "ab") as log:
            self.services[name] = subprocess.Popen(
                [*_keeper(name, self.where, *options), "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=CHECKOUT,
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGTERM),
            )

    def _alive(self, name: str):
        return lambda: self.services[name].poll() is None

    def _stop_services(self) -> None:
        for keeper in self.services.values():
            keeper.terminate()
        for keeper in self.services.values():
            try:
                keeper.wait(25)
            except subprocess.TimeoutExpired:
                keeper.kill()

    def _end_leftovers(self) -> None:
        """End what a killed instance of this data folder left running."""
        found = leftovers(self.where.instance) + postgres.servers(self.where)
        if found:
            print(f"Ending {len(found)} processes that an earlier run left behind.", flush=True)
            end(found, grace=5)

    def _prologue(self, board: Board, began: float) -> bool:
        """Set up, open the gates in order, say where the page is; then watch the services."""
        if free_mb(self.where.var_dir) < 2000:
            board.say(f"Only {free_mb(self.where.var_dir)} MB are free on the disk of the data.")
        context = [sys.prefix, str(CHECKOUT), *(os.environ.get(name, "") for name in SHAPING)]
        current = setup.fingerprint(CHECKOUT, *context)
        if not (self.embeds_database and setup.is_done(self.where, current)):
            if board.relay([sys.executable, "-m", "config.launch.setup"], "setup") != 0:
                if not board.ending:
                    board.say("The set-up failed, so nothing is served. No data were lost.")
                return False
            setup.note_fingerprint(self.where, current)
        self._open_gate("prepared")
        if not wait_for_page(f"{self.address}/healthz", board, 120):
            if not board.ending:
                board.say(f"The page does not answer; see {self.where.log_dir}/preferendum.log.")
            return False
        self._open_gate(BACKGROUND_GATE)
        board.say(self._welcome(time.monotonic() - began))
        os.sync()  # a new cluster was made without waiting for the disk
        while not board.ending:
            for name, keeper in self.services.items():
                if keeper.poll() is not None:
                    board.say(f"The keeper of {name} has ended, so everything is stopped.")
                    return False
            time.sleep(0.5)
        return True

    def _open_gate(self, name: str) -> None:
        (self.where.run_dir / f"{name}.gate").touch()

    def _welcome(self, seconds: float) -> str:
        lines = ["", f"Preferendum is at {self.address}/  (up after {seconds:.1f} s)", ""]
        accounts = self.where.var_dir / "accounts.txt"
        if accounts.exists():
            lines += [*accounts.read_text().splitlines(), ""]
        lines.append("Ctrl-C stops it.")
        return "\n".join(line or " " for line in lines)


def _keeper(name: str, where: Locations, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "config.launch.keep", name, "--run-dir", str(where.run_dir)),
        *("--owner", str(os.getpid()), *options),
    ]


def _given(environ: dict[str, str], name: str) -> bool:
    return bool(environ.get(name) or environ.get(f"{name}_FILE"))


def run(where: Locations) -> int:
    """Become a process marked with the instance, then launch."""
    if os.environ.get(INSTANCE_VARIABLE) != where.instance:
        environ = {
            **os.environ,
            INSTANCE_VARIABLE: where.instance,
            "VAR_DIR": str(where.var_dir),
            "PORT": str(checks.port_setting(dict(os.environ))),
            "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONUNBUFFERED": "1",
        }
        if os.geteuid() == 0:  # known, and said once by the root user's own choice
            environ.setdefault("PYTHONWARNINGS", "ignore:You're running the worker")
        sys.stdout.flush()
        os.chdir(CHECKOUT)
        os.execve(sys.executable, [sys.executable, "-m", "config.launch", "run"], environ)  # noqa: S606
    multiprocessing.set_start_method("fork")  # honcho's processes inherit its queue
    return Launcher(where, dict(os.environ)).run()


def stop(where: Locations) -> int:
    """End the launcher of this data folder and every process of its instance."""
    lock = checks.InstanceLock(where)
    holder = lock.holder()
    if holder and holder > 0:
        os.kill(holder, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while lock.holder() and time.monotonic() < deadline:
            time.sleep(0.1)
        if lock.holder():
            os.kill(holder, signal.SIGKILL)
    rest = end(leftovers(where.instance) + postgres.servers(where), grace=5)
    print("Preferendum has stopped." if holder or rest else "Preferendum was not running.")
    return 0


def main() -> int:
    """Read the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m config.launch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", choices=["run", "stop"], default="run")
    what = parser.parse_args().what
    where = locations(checks.var_dir_setting(dict(os.environ), CHECKOUT))
    try:
        return run(where) if what == "run" else stop(where)
    except Trouble as exc:
        print(f"\n{exc}\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
