"""The trainer as a process of its own: start it, read what it reports, end it."""

import atexit
import contextlib
import json
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings

from alignment import conf
from alignment.services import files
from config.embedded.processes import dies_with_parent

LOG_TAIL = 4000

#: Start times are read against a clock that may be set; two readings may differ by this much.
_CLOCK = 2.0


def me() -> str:
    """This process's name as a holder of claims: host, pid, and when it started."""
    started = psutil.Process().create_time()
    return f"{conf.HOST}:{os.getpid()}:{started:.2f}"


def is_gone(worker: str) -> bool:
    """Whether a holder is known to be dead: it lived on this host and its process has ended.

    A holder on another host is never known to be dead; its heartbeat decides.
    """
    host, _, rest = worker.rpartition(":")
    host, _, pid = host.rpartition(":")
    if host != conf.HOST or not pid.isdigit():
        return False
    with contextlib.suppress(psutil.Error, ValueError):
        return abs(psutil.Process(int(pid)).create_time() - float(rest)) > _CLOCK
    return not psutil.pid_exists(int(pid))


def launcher() -> str:
    """How trainers are started here: `nursery`, `direct` or `accelerate` (TRAINER_LAUNCHER)."""
    if conf.LAUNCHER != "auto":
        return conf.LAUNCHER
    # What has talked to CUDA cannot be forked, so a machine with a GPU starts afresh each time.
    return "direct" if Path("/dev/nvidia0").exists() else "nursery"


def command(folder: Path, *, processes: int = 1, gpus: bool = False) -> list[str]:
    """The command line of a trainer that is started by itself; several processes are launched by
    `accelerate`."""
    trainer = ["-m", "alignment.trainer", str(folder)]
    if launcher() == "accelerate" or processes > 1:
        start = [sys.executable, "-m", "accelerate.commands.launch"]
        given = shlex.split(conf.LAUNCHER_ARGS)
        if not given:
            given = ["--multi_gpu" if processes > 1 else "--gpu_ids=all"] if gpus else ["--cpu"]
        # Of a setting that is given twice the last one counts.
        return [*start, *given, "--num_processes", str(processes), *trainer]
    return [sys.executable, *trainer]


class Trainer:
    """One trainer at work on one folder. It ends when this process ends, however that happens."""

    def __init__(self, folder: Path, *, processes: int = 1, devices: Sequence[str] = ()):
        _end_leftover(folder)
        self._process: subprocess.Popen | _Nursling
        if launcher() == "nursery" and processes == 1:
            self._process = _nursery().start(folder)
        else:
            with open(folder / "trainer.log", "ab") as log:
                gpus = any(name.startswith("cuda") for name in devices)
                several = {"processes": processes, "gpus": gpus} if processes > 1 else {}
                self._process = _spawn(
                    command(folder, **several),
                    devices,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            _note_identity(folder, self._process.pid)

    def ended(self) -> int | None:
        """The exit code once it has ended (minus the signal's number if one killed it)."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Wait up to `seconds` for the end; the exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def stop(self) -> None:
        """Ask it to write a checkpoint and end; kill it when it takes too long."""
        self._signal(signal.SIGTERM)
        if self.wait(conf.STOP_SECONDS) is None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, signum: signal.Signals) -> None:
        if self._process.poll() is not None:
            return  # its number may be another process's by now
        if self._process.pid is None:  # its nursery is still reading the libraries
            end_nursery()
            return
        # The group, because a launcher does not always pass signals on.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signum)


class _Nursling:
    """A trainer that the nursery forks, with as much of Popen as is needed here.

    `pid` is None until the nursery, which may have to read the libraries first, has begun it.
    """

    def __init__(self, nursery: subprocess.Popen, folder: Path):
        self._nursery = nursery
        self._folder = folder
        self._code: int | None = None
        self.pid: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        until = None if timeout is None else time.monotonic() + timeout
        while self._code is None:
            left = None if until is None else max(0.0, until - time.monotonic())
            if self._nursery.stdout.closed:
                self._code = -signal.SIGKILL
                break
            if not select.select([self._nursery.stdout], [], [], left)[0]:
                raise subprocess.TimeoutExpired("trainer", timeout)
            answer = _answer(self._nursery)
            if answer is None:  # a nursery that was killed took the trainer along
                self._code = self._nursery.wait() or -signal.SIGKILL
            elif "pid" in answer:
                self.pid = answer["pid"]
                _note_identity(self._folder, self.pid)
            else:
                self._code = answer["code"]
        return self._code


class _Nursery:
    """This process's nursery; it is started when first needed and ends after a while of rest."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._process = _spawn(
            [sys.executable, "-m", "alignment.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    @property
    def serves(self) -> bool:
        return self._owner == os.getpid() and self._process.poll() is None

    def start(self, folder: Path) -> _Nursling:
        with contextlib.suppress(BrokenPipeError):  # its end is told by the first wait
            self._process.stdin.write(f"{folder}\n".encode())
        return _Nursling(self._process, folder)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


_own_nursery: list[_Nursery] = []


def _nursery() -> _Nursery:
    if not _own_nursery or not _own_nursery[0].serves:
        end_nursery()
        _own_nursery.append(_Nursery())
    return _own_nursery[0]


@atexit.register
def end_nursery() -> None:
    """End this process's nursery, and with it a trainer that is still at work."""
    while _own_nursery:
        _own_nursery.pop().close()


def _answer(nursery: subprocess.Popen) -> dict[str, int] | None:
    """One line of the nursery; None when it has ended. Unbuffered, so that select tells true."""
    line = nursery.stdout.readline()
    return json.loads(line) if line.endswith(b"\n") else None


def _spawn(argv: list[str], devices: Sequence[str] = (), **streams: Any) -> subprocess.Popen:
    """A process in a session of its own, nicer than this one, that dies with it."""
    die = dies_with_parent(signal.SIGTERM)

    def arrange() -> None:
        die()
        os.nice(conf.NICE)

    environment = os.environ | {
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # Waiting threads that spin take the processor from everything else on the machine.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
        "PYTHONPATH": str(settings.BASE_DIR),
    }
    gpus = [name.removeprefix("cuda:") for name in devices if name.startswith("cuda:")]
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return subprocess.Popen(
        argv,
        cwd=settings.BASE_DIR,
        env=environment,
        start_new_session=True,
        preexec_fn=arrange,
        **streams,
    )


class Lines:
    """The complete lines that were added to a JSON-lines file since the last look."""

    def __init__(self, path: Path, *, from_end: bool = False):
        self._path = path
        self._offset = path.stat().st_size if from_end and path.exists() else 0

    def new(self) -> list[dict[str, Any]]:
        """What was added; lines that are no JSON object are passed over."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                added = file.read()
        except FileNotFoundError:
            return []
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = []
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict):
                    found.append(value)
        return found


def log_tail(folder: Path) -> str:
    """The end of what the trainer printed, fit for a page."""
    try:
        with open(folder / "trainer.log", "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LOG_TAIL))
            tail = file.read()
    except OSError:
        return ""
    return tail.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _note_identity(folder: Path, pid: int) -> None:
    """Write down who works on the folder, for whoever comes after a death."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.Error:
        started = 0.0
    identity = {"host": conf.HOST, "pid": pid, "started": started}
    files.write_json(folder / "process.json", identity)


def _end_leftover(folder: Path) -> None:
    """Kill what an earlier, dead owner left running on this folder: one writer at a time."""
    found = files.read_json(folder / "process.json")
    if not found or found.get("host") != conf.HOST:
        return
    for process in psutil.process_iter(["pid", "create_time"]):
        # The trainer leads a session of its own; what a launcher started is in it too.
        later = process.info["create_time"] >= found["started"] - _CLOCK
        if later and _session(process.pid) == found["pid"]:
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(5)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None
