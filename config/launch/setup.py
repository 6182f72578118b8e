"""One process that brings the data up to the code: migrate, demo content, static files.

Run by the launcher as `python -m config.launch.setup`; a rerun with nothing changed is skipped
by the launcher, which compares `fingerprint` with the one noted here.
"""

import contextlib
import hashlib
import io
import json
import os
import sys
from pathlib import Path

from config.embedded import Locations
from config.embedded.errors import Trouble

CODE = ("config", "inference", "annotation", "feedback", "alignment", "static")


def fingerprint(checkout: Path, *context: str) -> str:
    """A digest that changes when a file of the code, or the context, changes."""
    digest = hashlib.sha256("\0".join(context).encode())
    for part in CODE:
        for folder, folders, files in os.walk(checkout / part):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(files):
                status = os.stat(os.path.join(folder, name))
                digest.update(f"{folder}/{name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


def noted_fingerprint(where: Locations) -> str | None:
    """The fingerprint at the last completed set-up of this data folder's own database."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        noted = json.loads((where.postgres_data / "preferendum.json").read_text())
        return noted["fingerprint"]
    return None


def is_done(where: Locations, value: str) -> bool:
    """Whether the data folder is as the set-up with this fingerprint left it."""
    made = ("static/staticfiles.json", "accounts.txt")
    whole = all((where.var_dir / name).exists() for name in made)
    return whole and noted_fingerprint(where) == value


def note_fingerprint(where: Locations, value: str) -> None:
    """Remember `value` inside the cluster, so that it goes when the cluster goes."""
    if where.postgres_data.exists():
        path = where.postgres_data / "preferendum.json"
        path.write_text(json.dumps({"fingerprint": value}))


def refuse_newer_schema() -> None:
    """Raise Trouble when the database has migrations that this version does not know."""
    from django.apps import apps
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(connection)
    known = {config.label for config in apps.get_app_configs()}
    unknown = sorted(
        f"{app}.{name}"
        for app, name in loader.applied_migrations
        if app in known
        and (app, name) not in loader.disk_migrations
        and not any((app, name) in found.replaces for found in loader.disk_migrations.values())
    )
    if unknown:
        raise Trouble(
            "The database was written by a newer version of Preferendum: it has "
            f"{', '.join(unknown)}, which this version does not know.\n"
            "Nothing in it was changed. Start the newer version, or restore a backup made with "
            "this one, or use another folder with VAR_DIR=/some/folder."
        )


def main() -> int:
    """Set up everything; returns the exit status."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.core.management import call_command

    from config.errors import DomainError

    try:
        refuse_newer_schema()
        call_command("migrate", verbosity=0, interactive=False)
        call_command("prepare")
        call_command("collectstatic", verbosity=0, interactive=False, stdout=io.StringIO())
    except (Trouble, DomainError) as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
