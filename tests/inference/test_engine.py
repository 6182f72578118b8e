"""The generation server is kept running: started, watched, started again, ended."""

import signal
import socket
import sys
import threading
from time import monotonic, sleep

import psutil
import pytest

from inference import engine

#: Answers /health with 200.
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever(0.05)
"""


@pytest.fixture
def supervised(tmp_path, monkeypatch):
    """A supervisor at work on a small server, in a thread."""
    monkeypatch.setattr(engine, "POLL_SECONDS", 0.05)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", SERVER, str(port)]
    supervisor = engine.Supervisor(f"http://127.0.0.1:{port}", command, tmp_path / "engine.log")
    warmed = []
    monkeypatch.setattr(supervisor, "_warm", lambda *, first: warmed.append(first))
    supervisor.warmed = warmed
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    yield supervisor
    supervisor.stop()
    thread.join(20)
    assert not thread.is_alive()


def until(condition) -> None:
    """Wait for something that another process does."""
    deadline = monotonic() + 30
    while not condition():
        assert monotonic() < deadline
        sleep(0.02)


def test_a_server_that_was_killed_is_started_again_and_warmed(supervised):
    until(lambda: supervised.warmed)
    first = supervised.child.pid
    supervised.child.send_signal(signal.SIGKILL)
    until(lambda: len(supervised.warmed) == 2)
    assert supervised.child.pid != first
    assert supervised.warmed == [True, True]


def test_a_server_that_hangs_is_ended_and_started_again(supervised, monkeypatch):
    monkeypatch.setattr(engine, "HANG_SECONDS", 0.2)
    until(lambda: supervised.warmed)
    first = supervised.child.pid
    monkeypatch.setattr(supervised, "_is_well", lambda: supervised.child.pid != first)
    until(lambda: len(supervised.warmed) == 2)
    assert not psutil.pid_exists(first)


def test_stopping_ends_the_server(supervised):
    until(lambda: supervised.warmed)
    pid = supervised.child.pid
    supervised.stop()
    until(lambda: not psutil.pid_exists(pid))


@pytest.mark.parametrize(
    ("url", "given", "ours"),
    [
        ("http://127.0.0.1:8001", "", True),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001", True),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", False),
        ("http://gpu-host:8001", "http://gpu-host:8001", False),
    ],
)
def test_a_server_named_elsewhere_is_left_to_its_owner(monkeypatch, url, given, ours):
    monkeypatch.setenv("ENGINE_URL", given)
    assert engine.is_ours(url, 8000) is ours


def test_the_command_serves_at_the_address_and_takes_more_arguments(monkeypatch):
    monkeypatch.setenv("ENGINE_ARGS", "--device cuda:1")
    line = engine.command("http://127.0.0.1:8001")
    assert line[line.index("--port") + 1] == "8001"
    assert line[-2:] == ["--device", "cuda:1"]
