"""One file that holds an instance: the database as it was at one moment, and the artefacts.

A backup is a tar: `database.dump` (pg_dump's own format), `artefacts/...`, and at its end
`manifest.json` with the SHA-256 of each file, the migrations, and the head of the log. Secrets of
the machine (the secret key, demo passwords) and runs in progress are no part of it.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from config.embedded import postgres
from config.errors import Conflict, Invalid

FORMAT = 1
DUMP, MANIFEST, FOLDER = "database.dump", "manifest.json", "artefacts"
CHUNK = 1024 * 1024


def write(path: Path) -> dict[str, Any]:
    """Write a backup to a new file; returns its manifest.

    The dump comes first: what its rows speak of lay among the artefacts before, since artefacts
    are never changed. Raises Conflict when the file is there already or the dump fails.
    """
    if path.exists():
        raise Conflict(f"{path} is there already; name a new file.")
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "created": timezone.now().isoformat(timespec="seconds"),
        "log": _head(),
        "migrations": sorted(map(list, MigrationRecorder(connection).applied_migrations())),
        "files": {},
    }
    half = path.with_name(f".{path.name}.part")
    try:
        with TemporaryDirectory(prefix="preferendum-backup-", dir=path.parent) as folder:
            dump = Path(folder) / DUMP
            _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={dump}")
            half.touch(mode=0o600)  # it holds everything people said
            with tarfile.open(half, "w") as archive:
                _add(archive, dump, DUMP, manifest)
                for file in _artefacts(Path(settings.ARTEFACTS_DIR)):
                    name = file.relative_to(settings.ARTEFACTS_DIR).as_posix()
                    _add(archive, file, f"{FOLDER}/{name}", manifest)
                data = json.dumps(manifest, indent=1).encode()
                entry = tarfile.TarInfo(MANIFEST)
                entry.size, entry.mode = len(data), 0o600
                archive.addfile(entry, io.BytesIO(data))
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)
    return manifest


def restore(path: Path, *, replace: bool = False) -> dict[str, Any]:
    """Put a backup in the place of what this instance holds; returns its manifest.

    Every file is checked against the manifest before anything is touched. Then the database is
    emptied and filled in one transaction, so that tables of a newer version do not stay behind,
    and brought up to this version by its migrations. The artefacts there were lie beside the new
    ones until the database has changed, and are put back if it does not. Raises Invalid for a file
    that is no whole backup, or one of a newer version, and Conflict when the instance holds
    something and `replace` is not given.
    """
    if not replace and _holds_something():
        raise Conflict(
            "This instance holds data. Give --replace to put the backup in their place; what is "
            "here now is then lost, so back it up first."
        )
    home = Path(settings.ARTEFACTS_DIR)
    home.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".restore-", dir=home.parent) as folder:
        manifest = _unpack(path, Path(folder))
        _known(manifest)
        script = Path(folder) / "database.sql"
        _run("pg_restore", "--no-owner", "--no-privileges", f"--file={script}",
             str(Path(folder) / DUMP))  # fmt: skip
        fresh = Path(folder) / FOLDER
        fresh.mkdir(exist_ok=True)
        connections.close_all()
        with _in_place_of(home, fresh):
            _run("psql", "--no-psqlrc", "--quiet", "--single-transaction", "--output=/dev/null",
                 "--set=ON_ERROR_STOP=1", f"--command={_EMPTY}", f"--file={script}")  # fmt: skip
    call_command("migrate", verbosity=0)
    return manifest


#: Other processes hold no lock for long; one that does (a dump, an import) is waited for this long.
_EMPTY = """
SET lock_timeout = '60s';
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public;
GRANT USAGE ON SCHEMA public TO PUBLIC;
SET lock_timeout = 0;
"""


@contextmanager
def _in_place_of(home: Path, fresh: Path) -> Iterator[None]:
    """Put a folder in the place of another, which is deleted when all went well and comes back
    when not. It never lies in a temporary folder: a process killed halfway leaves it beside."""
    aside = home.with_name(f".{home.name}-replaced-{timezone.now():%Y%m%dT%H%M%S%f}")
    had = home.exists()
    if had:
        os.replace(home, aside)
    try:
        os.replace(fresh, home)
        yield
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        if had:
            os.replace(aside, home)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def verify(manifest: dict[str, Any]) -> None:
    """Prove the log after a restore. Raises CommandError when it does not hold."""
    if manifest["log"]:
        call_command("verify_log", "--expect", manifest["log"])


def _head() -> str:
    said = io.StringIO()
    call_command("verify_log", "--head", stdout=said)
    return said.getvalue().strip()


# The archive ----------------------------------------------------------------------------------


def _artefacts(home: Path) -> Iterator[Path]:
    """Every settled file; what begins with a dot or lies in such a folder is being written."""
    for path in sorted(home.rglob("*")) if home.exists() else ():
        hidden = any(part.startswith(".") for part in path.relative_to(home).parts)
        if not hidden and path.is_file() and not path.is_symlink():
            yield path


def _add(archive: tarfile.TarFile, path: Path, name: str, manifest: dict[str, Any]) -> None:
    with path.open("rb") as file:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = os.fstat(file.fileno()).st_size, 0o600
        archive.addfile(entry, file)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    manifest["files"][name] = {"bytes": entry.size, "sha256": digest}


def _unpack(path: Path, folder: Path) -> dict[str, Any]:
    """Write the files of a backup below a folder and check each; returns the manifest."""
    found: dict[str, str] = {}
    manifest: dict[str, Any] | None = None
    try:
        with tarfile.open(path, "r:") as archive:
            for entry in archive:
                source = archive.extractfile(entry) if entry.isreg() else None
                if source is None:
                    raise Invalid(f"{path} is no backup: it holds more than files.")
                if entry.name == MANIFEST:
                    manifest = json.load(source)
                    continue
                target = folder / _inside(entry.name, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                hashed = hashlib.sha256()
                with target.open("xb") as out:
                    while chunk := source.read(CHUNK):
                        hashed.update(chunk)
                        out.write(chunk)
                found[entry.name] = hashed.hexdigest()
    except (tarfile.TarError, ValueError, FileExistsError, EOFError) as exc:
        raise Invalid(f"{path} is no backup, or not a whole one: {exc}.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise Invalid(f"{path} is no backup, or not a whole one: it has no manifest.")
    named = {name: about["sha256"] for name, about in manifest["files"].items()}
    wrong = sorted(name for name in {*named, *found} if named.get(name) != found.get(name))
    if wrong or DUMP not in found:
        raise Invalid(f"{path} was altered: {(wrong or [DUMP])[0]} is not what was backed up.")
    return manifest


def _inside(name: str, path: Path) -> PurePosixPath:
    """A name of the archive, which must stay inside of it."""
    parts = PurePosixPath(name).parts
    fits = name == DUMP or (len(parts) > 1 and parts[0] == FOLDER)
    if not fits or ".." in parts or name.startswith("/"):
        raise Invalid(f"{path} is no backup: it holds {name}.")
    return PurePosixPath(name)


def _known(manifest: dict[str, Any]) -> None:
    known = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    strange = sorted(f"{a}.{n}" for a, n in manifest["migrations"] if (a, n) not in known)
    if strange:
        raise Invalid(
            f"The backup is of a newer version of Preferendum ({strange[0]}); nothing was touched."
        )


# The database ---------------------------------------------------------------------------------


def _holds_something() -> bool:
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        for table in ("config_user", "annotation_project", "inference_modelversion"):
            if table in tables:
                cursor.execute(f"SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT 1")  # noqa: S608
                if cursor.fetchone():
                    return True
    return False


def _settings() -> dict[str, str]:
    """How PostgreSQL's own programs find the database."""
    about = connection.settings_dict
    named = {
        "PGHOST": about["HOST"],
        "PGPORT": str(about["PORT"] or ""),
        "PGUSER": about["USER"],
        "PGPASSWORD": about["PASSWORD"],
        "PGDATABASE": about["NAME"],
    }
    return {key: value for key, value in named.items() if value}


def _run(program: str, *arguments: str) -> None:
    own = postgres.binaries() / program
    command = str(own) if own.exists() else shutil.which(program)
    if command is None:
        raise Conflict(f"{program} was not found; install PostgreSQL's client programs.")
    done = subprocess.run(
        [command, *arguments],
        env={**os.environ, **_settings()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[-1]
        raise Conflict(f"{program} failed, and nothing was changed: {said}")
