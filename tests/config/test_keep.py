"""The keeper: what it keeps alive, and what never outlives it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from config.launch.keep import FIRST_PAUSE, LONGEST_PAUSE, pause_before

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    *(sys.executable, "-c"),
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True);"
    "time.sleep(600)",
]
PARENT = [
    *(sys.executable, "-c"),
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time;"
    " time.sleep(600)'], start_new_session=True); time.sleep(600)",
]


def eventually(condition, seconds=20.0):
    """The first true value of `condition()`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def keep(tmp_path):
    keepers = []

    def start(*command, options=(), **kwargs):
        line = [sys.executable, "-m", "config.launch.keep", "thing", "--run-dir", str(tmp_path)]
        keepers.append(subprocess.Popen([*line, *options, "--", *command], **kwargs))
        return keepers[-1]

    yield start
    for keeper in keepers:
        keeper.terminate()
        keeper.wait(20)
        if keeper.stdout:
            keeper.stdout.close()


@pytest.fixture
def kept_pid(tmp_path):
    """The number of the kept process, other than `old`, once it is there."""

    def read(old=None):
        path = tmp_path / "thing.pid"

        def number():
            text = path.read_text() if path.exists() else ""
            return int(text) if text.endswith("\n") and text.strip() != str(old) else None

        return eventually(number)

    return read


def test_a_killed_process_is_started_again(keep, kept_pid):
    keep(*SLEEPER)
    first = kept_pid()
    os.kill(first, signal.SIGKILL)
    second = kept_pid(old=first)
    assert gone(first)
    assert not gone(second)


def test_a_stopped_keeper_stops_its_process_and_removes_the_pid_file(keep, kept_pid, tmp_path):
    keeper = keep(*SLEEPER)
    pid = kept_pid()
    keeper.terminate()
    assert keeper.wait(10) == 0
    assert gone(pid)
    assert not (tmp_path / "thing.pid").exists()


def test_a_process_that_will_not_stop_is_killed_after_its_grace(keep, kept_pid):
    keeper = keep(*STUBBORN, options=["--grace", "0.3"], stdout=subprocess.PIPE)
    assert keeper.stdout.readline() == b"deaf\n"
    pid = kept_pid()
    keeper.terminate()
    assert keeper.wait(10) == 0
    assert gone(pid)


def test_a_killed_keeper_takes_its_process_along(keep, kept_pid):
    keeper = keep(*SLEEPER)
    pid = kept_pid()
    keeper.kill()
    eventually(lambda: gone(pid))


def test_the_end_of_the_owner_ends_everything(keep, kept_pid):
    with subprocess.Popen(SLEEPER) as owner:
        keeper = keep(*SLEEPER, options=["--owner", str(owner.pid)])
        pid = kept_pid()
        owner.kill()
    assert keeper.wait(10) == 0
    assert gone(pid)


def test_what_a_dead_process_left_behind_is_ended_before_the_next_one(keep, kept_pid):
    keep(*PARENT)
    first = kept_pid()
    orphan = eventually(lambda: psutil.Process(first).children())[0].pid
    os.kill(first, signal.SIGKILL)
    kept_pid(old=first)
    assert gone(orphan)


def test_nothing_starts_before_the_gate_is_there(keep, kept_pid, tmp_path):
    gate = tmp_path / "open.gate"
    keeper = keep(*SLEEPER, options=["--after", str(gate)])
    eventually(lambda: psutil.Process(keeper.pid).num_threads())
    assert not (tmp_path / "thing.pid").exists()
    gate.touch()
    assert kept_pid()


def test_a_command_that_does_not_exist_ends_the_keeper(keep):
    keeper = keep("/no/such/command", stderr=subprocess.DEVNULL)
    assert keeper.wait(10) == 127


def test_pauses_grow_from_short_to_a_ceiling():
    pauses = [pause_before(restart) for restart in range(1, 12)]
    assert pauses[0] == FIRST_PAUSE
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
