"""A whole instance under test: started by the launcher, on ports and data of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from config.embedded import locations
from config.embedded.processes import leftovers, read_pid
from config.launch.board import answers

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["engine", "web", "worker", "train", "beat", "postgres", "valkey"]


def free_ports() -> int:
    """A port that is free together with the one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


class Instance:
    """Start it, kill parts of it, start it again."""

    def __init__(self, var_dir: Path):
        self.where = locations(var_dir)
        self.port = free_ports()
        self.url = f"http://127.0.0.1:{self.port}"
        self.launcher: subprocess.Popen | None = None
        self.output = var_dir.with_suffix(".out")

    @property
    def environ(self) -> dict[str, str]:
        """The environment by which any process finds this instance."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {
            **kept,
            "VAR_DIR": str(self.where.var_dir),
            "PORT": str(self.port),
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def password(self) -> str:
        """What the launcher printed for the demo accounts."""
        return re.search(r"with the password (\S+)", self.output.read_text()).group(1)

    def launch(self) -> subprocess.Popen:
        """Run the launcher; do not wait for anything."""
        with open(self.output, "a") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "config.launch", "run"],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self, *, seconds: float = 240) -> float:
        """Start and wait for the page; returns how long it took."""
        begun = time.monotonic()
        self.output.unlink(missing_ok=True)
        self.launcher = self.launch()
        self.until(lambda: "Ctrl-C stops it" in self.output.read_text(), seconds)
        assert answers(f"{self.url}/healthz")
        return time.monotonic() - begun

    def until(self, condition, seconds: float = 60):
        """The first true value of `condition()`; fails with the output when there is none."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            ended = self.launcher is not None and self.launcher.poll() is not None
            assert not ended, f"the launcher ended:\n{self.output.read_text()[-4000:]}"
            assert time.monotonic() < deadline, self.output.read_text()[-4000:]
            time.sleep(0.05)
        return value

    def pid(self, name: str) -> int | None:
        return read_pid(self.where.run_dir / f"{name}.pid")

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=20) as response:
            return response.read()

    def processes(self) -> list[psutil.Process]:
        return leftovers(self.where.instance)

    def interrupt(self) -> float:
        """Ctrl-C; returns how long the end took."""
        begun = time.monotonic()
        self.launcher.send_signal(signal.SIGINT)
        self.launcher.wait(30)
        return time.monotonic() - begun

    def kill_everything(self) -> None:
        """SIGKILL to every process of the instance at once, the launcher first."""
        for process in [psutil.Process(self.launcher.pid), *self.processes()]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.launcher.wait(10)

    def stop(self) -> None:
        """`make stop`, whatever state it is in."""
        line = [sys.executable, "-m", "config.launch", "stop"]
        subprocess.run(line, cwd=ROOT, env=self.environ, check=True, capture_output=True)
        if self.launcher is not None:
            self.launcher.wait(10)
