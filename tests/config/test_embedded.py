"""The embedded PostgreSQL and Valkey: durable, private, and started again after a kill."""

import os
import signal
import subprocess
import sys

import psutil
import psycopg
import pytest
import redis

from config.embedded import locations, postgres, valkey
from config.embedded.processes import leftovers, read_pid
from config.embedded.services import running


@pytest.fixture(scope="module")
def where(data_folder):
    return locations(data_folder / "a folder with spaces" / "var")


def kill(pid):
    process = psutil.Process(pid)
    process.kill()
    process.wait(10)


def test_what_was_committed_and_queued_survives_a_kill_of_both_servers(where):
    with running(where):
        with psycopg.connect(where.database_url) as connection:
            connection.execute("CREATE TABLE kept (words text, place vector(3))")
            connection.execute("INSERT INTO kept VALUES ('still here', '[1, 2, 3]')")
        with redis.Redis.from_url(where.redis_url) as broker:
            broker.rpush("queue", "job")
            broker.waitaof(1, 0, 5000)
            broker_pid = broker.info("server")["process_id"]
        kill(read_pid(where.postgres_data / "postmaster.pid"))
        kill(broker_pid)
    assert not postgres.is_ready(where)
    assert not valkey.is_ready(where)
    with running(where):
        with psycopg.connect(where.database_url) as connection:
            assert connection.execute("SELECT words, place::text FROM kept").fetchall() == [
                ("still here", "[1,2,3]")
            ]
        with redis.Redis.from_url(where.redis_url) as broker:
            assert broker.lrange("queue", 0, -1) == [b"job"]


def test_a_lock_file_whose_number_went_to_another_process_does_not_stop_the_start(where):
    with running(where):
        pass
    lock = where.postgres_data / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{where.postgres_data}\n")
    with running(where):
        assert read_pid(lock) != os.getpid()


def test_a_cluster_whose_making_was_interrupted_is_made_anew(data_folder):
    where = locations(data_folder / "var-half-made")
    half = where.var_dir / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with running(where, durable=False), psycopg.connect(where.database_url) as connection:
        assert connection.execute("SELECT '[1]'::vector").fetchone()
    assert not half.exists()


def test_nothing_listens_on_the_network(where):
    with running(where):
        with psycopg.connect(where.database_url) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        with redis.Redis.from_url(where.redis_url) as broker:
            assert broker.config_get("port") == {"port": "0"}
        assert where.socket_dir.stat().st_mode & 0o077 == 0


def test_the_servers_end_with_a_killed_owner(where):
    script = (
        "import sys; from config.embedded import locations;"
        "from config.embedded.services import running\n"
        "with running(locations(sys.argv[1])): print('up', flush=True); sys.stdin.read()"
    )
    line = [sys.executable, "-c", script, str(where.var_dir)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b"up\n"
        servers = [psutil.Process(read_pid(where.postgres_data / "postmaster.pid"))]
        with redis.Redis.from_url(where.redis_url) as broker:
            servers.append(psutil.Process(broker.info("server")["process_id"]))
        owner.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(servers, timeout=15)
    assert not alive


def test_processes_of_an_instance_are_found_by_their_mark_and_no_others():
    line = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
    mark = {**os.environ, "PREFERENDUM_INSTANCE": "feedfacecafe"}
    with (
        subprocess.Popen(line, env=mark, stdout=subprocess.PIPE) as marked,
        subprocess.Popen(line, stdout=subprocess.PIPE) as other,
    ):
        assert marked.stdout.readline() == other.stdout.readline() == b"up\n"
        assert [process.pid for process in leftovers("feedfacecafe")] == [marked.pid]
        marked.kill()
        other.kill()
