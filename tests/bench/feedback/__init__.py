"""Benchmarks of the chat's side: the gateway, sockets, the event stream, its counts, an attack."""

from __future__ import annotations

import subprocess
import sys

PARTS = ("gateway", "sockets", "events", "rollups")


def run(arguments) -> list[dict]:
    """The part `feedback`: all of them, each in a process of its own, as each sets up Django."""
    names = ("streams", "engines", "rounds", "idle", "active", "events", "seconds")
    options = [f"--{name}={getattr(arguments, name)}" for name in names]
    status = {}
    for part in (*PARTS, "attack"):
        line = [sys.executable, "-m", "tests.bench", f"feedback-{part}", *options]
        status[part] = subprocess.run(line).returncode
    return [{"part": "feedback", "status": status}]


def attack(arguments) -> list[dict]:
    """The part `feedback-attack`: its own command, with its table on standard output."""
    line = [sys.executable, "-m", "feedback.trust.attack"]
    return [{"status": subprocess.run(line, check=True).returncode}]
