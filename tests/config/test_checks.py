"""What the launcher looks at before it starts anything."""

import os
import socket
import subprocess
import sys

import pytest

from config.embedded import locations
from config.embedded.errors import Trouble
from config.embedded.folders import check_space, make_folders, make_socket_folder
from config.embedded.locations import SOCKET_PATH_LIMIT
from config.embedded.postgres import check_version, prepare
from config.launch import checks, setup


@pytest.fixture
def where(tmp_path):
    return locations(tmp_path / "var")


@pytest.fixture
def ready(where):
    make_folders(where)
    return where


class TestPort:
    def test_a_taken_port_is_named_with_a_free_one_to_try(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(Trouble, match=rf"{port} is taken.*\n.*make run PORT=\d+"):
                checks.check_port(port)
        checks.check_port(port)

    @pytest.mark.parametrize("raw", ["web", "0", "65535", "-1", "8000.5"])
    def test_a_port_that_is_none_is_refused(self, raw):
        with pytest.raises(Trouble, match="PORT must be a number"):
            checks.port_setting({"PORT": raw})

    def test_the_default_port_is_8000_and_the_engine_sits_beside_it(self):
        assert checks.port_setting({}) == 8000
        assert checks.engine_port({}, 8000) == 8001
        assert checks.engine_port({"ENGINE_URL": "http://127.0.0.1:9000"}, 8000) == 9000
        assert checks.engine_port({"ENGINE_URL": "http://gpu-host:9000"}, 8000) is None


class TestLock:
    _hold = (
        "import sys; from config.embedded import locations; from config.launch.checks import *;"
        "lock = InstanceLock(locations(sys.argv[1])); lock.take('here');"
        "print('held', flush=True);"
        "sys.stdin.read()"
    )

    @pytest.fixture
    def other(self, ready):
        line = [sys.executable, "-c", self._hold, str(ready.var_dir)]
        with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"held\n"
            yield process
            process.kill()

    def test_a_second_instance_on_the_same_data_is_refused_and_told_who_has_it(self, ready, other):
        assert checks.InstanceLock(ready).holder() == other.pid
        with pytest.raises(Trouble, match=rf"process {other.pid}, here.*\n.*make stop"):
            checks.InstanceLock(ready).take("http://127.0.0.1:8000")

    def test_a_killed_instance_leaves_no_lock(self, ready, other):
        other.kill()
        other.wait()
        assert checks.InstanceLock(ready).holder() is None
        lock = checks.InstanceLock(ready)
        lock.take("http://127.0.0.1:8000")
        lock.release()
        assert (ready.run_dir / "launcher.pid").read_text().startswith(f"{os.getpid()}\n")

    def test_nobody_holds_a_folder_never_started(self, where):
        assert checks.InstanceLock(where).holder() is None


class TestData:
    def test_data_of_another_layout_are_refused_untouched(self, ready):
        (ready.var_dir / "layout.json").write_text('{"layout": 99}')
        with pytest.raises(Trouble, match=r"another version.*layout 99.*\n.*VAR_DIR="):
            make_folders(ready)
        assert (ready.var_dir / "layout.json").read_text() == '{"layout": 99}'

    def test_data_of_another_postgresql_are_refused_untouched(self, ready):
        ready.postgres_data.mkdir()
        (ready.postgres_data / "PG_VERSION").write_text("16\n")
        with pytest.raises(Trouble, match=r"written by PostgreSQL 16.*\n.*backup"):
            prepare(ready)
        assert [path.name for path in ready.postgres_data.iterdir()] == ["PG_VERSION"]

    def test_a_folder_of_something_else_is_not_taken_for_a_cluster(self, ready):
        ready.postgres_data.mkdir()
        (ready.postgres_data / "thesis.txt").touch()
        with pytest.raises(Trouble, match="not a PostgreSQL data folder"):
            check_version(ready)

    def test_a_nearly_full_disk_is_refused_with_the_numbers(self, where):
        with pytest.raises(Trouble, match=r"nearly full: \d+ MB free, 1000000000 MB wanted"):
            check_space(where, least_mb=10**9)
        check_space(where, least_mb=0)

    def test_a_file_in_place_of_the_data_folder_is_explained(self, tmp_path):
        (tmp_path / "var").touch()
        with pytest.raises(Trouble, match=r"cannot be written.*\n.*VAR_DIR="):
            make_folders(locations(tmp_path / "var"))

    @pytest.mark.django_db
    def test_a_database_of_a_newer_version_is_refused_by_name(self):
        from django.db.migrations.recorder import MigrationRecorder

        setup.refuse_newer_schema()
        MigrationRecorder.Migration.objects.create(app="annotation", name="0999_from_the_future")
        with pytest.raises(Trouble, match=r"newer version.*annotation\.0999_from_the_future"):
            setup.refuse_newer_schema()


class TestSockets:
    def test_socket_paths_fit_however_deep_the_data_folder_is(self, tmp_path):
        deep = locations(tmp_path.joinpath(*["a-long-folder-name"] * 20))
        assert len(str(deep.var_dir)) > SOCKET_PATH_LIMIT
        assert len(str(deep.postgres_socket)) <= SOCKET_PATH_LIMIT
        assert len(str(deep.valkey_socket)) <= SOCKET_PATH_LIMIT

    def test_two_data_folders_do_not_share_sockets(self, tmp_path):
        assert locations(tmp_path / "a").socket_dir != locations(tmp_path / "b").socket_dir
        assert locations(tmp_path / "a" / ".." / "b") == locations(tmp_path / "b")

    def test_the_socket_folder_is_private(self, where):
        make_socket_folder(where, os.getuid())
        try:
            assert where.socket_dir.stat().st_mode & 0o777 == 0o700
        finally:
            where.socket_dir.rmdir()

    def test_a_link_laid_in_its_place_is_refused(self, where, tmp_path):
        where.socket_dir.symlink_to(tmp_path)
        try:
            with pytest.raises(Trouble, match="belongs to somebody else"):
                make_socket_folder(where, os.getuid())
        finally:
            where.socket_dir.unlink()


class TestFingerprint:
    def test_it_changes_with_a_file_and_only_then(self, tmp_path):
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "urls.py").write_text("a")
        first = setup.fingerprint(tmp_path)
        assert setup.fingerprint(tmp_path) == first
        assert setup.fingerprint(tmp_path, "another database") != first
        (tmp_path / "config" / "urls.py").write_text("ab")
        assert setup.fingerprint(tmp_path) != first

    def test_what_is_noted_goes_with_the_cluster(self, ready):
        setup.note_fingerprint(ready, "abc")
        assert setup.noted_fingerprint(ready) is None
        ready.postgres_data.mkdir()
        setup.note_fingerprint(ready, "abc")
        assert setup.noted_fingerprint(ready) == "abc"

    def test_a_set_up_whose_files_were_removed_is_done_again(self, ready):
        ready.postgres_data.mkdir()
        setup.note_fingerprint(ready, "abc")
        (ready.var_dir / "static").mkdir()
        for name in ("static/staticfiles.json", "accounts.txt"):
            assert not setup.is_done(ready, "abc")
            (ready.var_dir / name).touch()
        assert setup.is_done(ready, "abc")
        assert not setup.is_done(ready, "another")
