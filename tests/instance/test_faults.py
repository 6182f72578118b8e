"""A whole instance: started, crowded, killed in parts and altogether, and started again.

The tests share one instance, in this order; each but the last leaves it serving.
"""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from config.launch.board import answers
from tests.instance.running import NAMES, Instance

pytestmark = pytest.mark.instance


@pytest.fixture(scope="module")
def instance(data_folder):
    made = Instance(data_folder / "var")
    made.start()
    yield made
    made.stop()


def count_users(instance):
    """How many people the database knows, asked from outside as an operator would."""
    import psycopg

    with psycopg.connect(instance.where.database_url) as connection:
        return connection.execute("SELECT count(*) FROM config_user").fetchone()[0]


def test_everything_runs_and_the_accounts_are_printed(instance):
    for name in NAMES:
        instance.until(lambda name=name: instance.pid(name))
    assert "remy" in instance.output.read_text()
    assert len(instance.password) >= 8
    assert b'"database": "ok"' in instance.get("/readyz")


def test_a_second_start_on_the_same_data_is_refused_and_harms_nothing(instance):
    second = Instance(instance.where.var_dir)
    second.output = instance.output.with_suffix(".second")
    assert second.launch().wait(60) == 1
    assert "already runs on this data folder" in second.output.read_text()
    assert answers(f"{instance.url}/healthz")


def test_a_start_on_the_same_port_is_refused_with_the_way_out(instance, tmp_path):
    other = Instance(tmp_path / "other")
    other.port = instance.port
    assert other.launch().wait(60) == 1
    assert f"{instance.port} is taken" in other.output.read_text()
    assert "make run PORT=" in other.output.read_text()
    assert answers(f"{instance.url}/healthz")


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_process_comes_back_while_the_rest_serves(instance, name):
    before = instance.until(lambda: instance.pid(name))
    os.kill(before, signal.SIGKILL)
    instance.until(lambda: instance.pid(name) not in {None, before})
    instance.until(lambda: answers(f"{instance.url}/healthz"))
    instance.until(lambda: answers(f"{instance.url}/readyz"))


def test_after_a_kill_of_all_processes_it_starts_again_with_its_data(instance):
    people = count_users(instance)
    assert people > 0
    instance.kill_everything()
    assert instance.start() < 60
    assert count_users(instance) == people


def test_after_a_kill_of_the_launcher_alone_nothing_keeps_running(instance):
    everything = instance.processes()
    instance.launcher.send_signal(signal.SIGKILL)
    instance.launcher.wait(10)
    _, alive = psutil.wait_procs(everything, timeout=30)
    assert not alive
    instance.start()


def test_ctrl_c_ends_everything_within_ten_seconds(instance):
    everything = instance.processes()
    assert instance.interrupt() < 10
    assert instance.launcher.returncode == 0
    assert not [process for process in everything if process.is_running()]
    assert not answers(f"{instance.url}/healthz")
    instance.start()


def test_make_stop_ends_it_and_says_so(instance):
    everything = instance.processes()
    line = ["make", "--no-print-directory", "stop", f"VAR_DIR={instance.where.var_dir}"]
    line.append(f"VENV={sys.prefix}")
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "has stopped" in done.stdout
    instance.launcher.wait(10)
    assert not [process for process in everything if process.is_running()]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "was not running" in done.stdout
