"""A whole instance of its own for a simulation: other folder, other port, gone afterwards.

Started by the same launcher as `make run`. Settings of the surrounding environment that name a
database, a broker, an engine or a folder for files are left out, so nothing of the user's own
instance is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from config.embedded import locations
from config.embedded.processes import INSTANCE_VARIABLE

ROOT = Path(__file__).resolve().parents[2]

#: Settings that would lead into somebody else's data.
FOREIGN = (
    *("DATABASE_URL", "REDIS_URL", "BROKER_URL", "ENGINE_URL", "ENGINE_KEY", "ENGINE_URLS"),
    *(
        "ARTEFACTS_DIR",
        "RUNS_DIR",
        "CHAT_PROJECT",
        "SECRET_KEY",
        "BIND",
        "PORT",
        "VAR_DIR",
        "ALLOWED_HOSTS",
    ),
    *("DEBUG", "DJANGO_SETTINGS_MODULE", INSTANCE_VARIABLE),
)

_KEYS = """
import json, sys, io, django
django.setup()
from django.core.management import call_command
keys = {}
for user, scopes in json.loads(sys.argv[1]).items():
    out = io.StringIO()
    call_command("create_key", user=user, scopes=scopes, stdout=out)
    keys[user] = out.getvalue().strip()
print(json.dumps(keys))
"""


class InstanceError(RuntimeError):
    """The instance did not start; the text ends with the last lines of its log."""


def free_port() -> int:
    """A port that is free now, and the one above it as well (for the engine)."""
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port > 65000:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
        return port
    raise InstanceError("no two neighbouring ports are free")


class Instance:
    """An instance that lives as long as the `with` block.

    Attributes:
        folder: its data folder; a temporary one unless given. Removed at the end unless `keep`.
        url: where its pages are.
    """

    def __init__(self, folder: Path | None = None, keep: bool = False) -> None:
        self.keep = keep or folder is not None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="preferendum-simulate-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.where = locations(self.folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        foreign = {*FOREIGN, *(f"{name}_FILE" for name in FOREIGN)}
        self.environ = {k: v for k, v in os.environ.items() if k not in foreign}
        self.environ |= {"VAR_DIR": str(self.folder), "PORT": str(self.port)}
        self.environ |= {"DJANGO_SETTINGS_MODULE": "config.settings"}
        # What simulated people say must be all there is to learn from.
        self.environ |= {"DEMO_JUDGMENTS": "0"}
        self.log = self.folder / "launch.log"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Instance:
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "config.launch", "run"],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _wait(self, seconds: float = 240.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise InstanceError(f"the instance ended at its start:\n{self.tail()}")
            if self.ready():
                return
            time.sleep(0.3)
        raise InstanceError(f"the instance was not ready within {seconds:.0f} s:\n{self.tail()}")

    def ready(self) -> bool:
        """Whether every part answers, generation included."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:  # noqa: S310
                return json.load(answer)["engine"] == "ok"
        except (urllib.error.URLError, OSError):
            return False

    def tail(self, lines: int = 25) -> str:
        """The last lines of the instance's log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def manage(self, *arguments: str) -> str:
        """Run a management command on this instance; returns what it printed."""
        return self._run([sys.executable, "manage.py", *arguments])

    def keys(self, people: dict[str, str]) -> dict[str, str]:
        """Create people with keys by the public command; `people` maps a name to its scopes."""
        printed = self._run([sys.executable, "-c", _KEYS, json.dumps(people)])
        return json.loads(printed.splitlines()[-1])

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=ROOT, env=self.environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise InstanceError(f"{' '.join(command[1:3])[:80]} failed:\n{done.stderr[-2000:]}")
        return done.stdout

    def stop(self) -> None:
        """End every process of the instance, and remove its folder unless it is to be kept."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(40)
            except subprocess.TimeoutExpired:
                self._process.kill()
        # Whatever a launcher that died has left: the launcher knows how to find it.
        subprocess.run(
            [sys.executable, "-m", "config.launch", "stop"],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            check=False,
        )
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.rmtree(self.where.socket_dir, ignore_errors=True)
