"""A serving instance for measuring: PostgreSQL, Valkey and one web process, real and durable."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from honcho.environ import parse_procfile

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Served:
    """What a benchmark needs to know of the instance it drives."""

    port: int
    web: int
    database: int


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and its children, ended ones included."""
    total = 0.0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def busy_cpu() -> float:
    """CPU seconds the whole machine has spent on anything."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


def memory_of(pid: int) -> float:
    """Resident memory of a process tree now, MiB."""
    root = psutil.Process(pid)
    total = 0
    for process in (root, *root.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


@contextmanager
def serving() -> Iterator[Served]:
    """Start everything in a fresh folder, set up Django in this process too, and clean up.

    The web process is started by the Procfile's own line, so what is measured is what is served.
    """
    folder = Path(tempfile.mkdtemp(prefix="preferendum-bench-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ.update(
        VAR_DIR=str(folder), PORT=str(port), SECRET_KEY="only-for-measuring", OMP_NUM_THREADS="1"
    )
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # drivers look things up between their runs
    (folder / "static").mkdir()
    from config.embedded import locations
    from config.embedded.services import running

    where = locations(folder)
    try:
        with running(where):
            import django
            from django.core.management import call_command

            django.setup()
            call_command("migrate", verbosity=0, interactive=False)
            call_command("collectstatic", verbosity=0, interactive=False)
            web = _web(port)
            try:
                pid = int((where.postgres_data / "postmaster.pid").read_text().split()[0])
                yield Served(port=port, web=web.pid, database=pid)
            finally:
                web.terminate()
                web.wait(20)
                from django.db import connections

                connections.close_all()
                for connection in connections.all():
                    connection.close_pool()
    finally:
        shutil.rmtree(where.socket_dir, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _web(port: int) -> subprocess.Popen:
    line = parse_procfile((ROOT / "Procfile").read_text()).processes["web"]
    scripts = Path(sys.executable).parent
    process = subprocess.Popen(
        ["sh", "-c", f"exec {line}"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", "PORT": str(port)},
    )
    wait_for(f"http://127.0.0.1:{port}/healthz", process)
    return process


def wait_for(address: str, process: subprocess.Popen) -> None:
    """Until the address answers."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the web process did not start")
