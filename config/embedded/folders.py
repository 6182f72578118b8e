"""Folders of an instance: made private, and refused when they belong to somebody else."""

import json
import os
import shutil
import stat
from pathlib import Path

from config.embedded.errors import Trouble
from config.embedded.locations import LAYOUT, SOCKET_PATH_LIMIT, Locations

#: Below this much free space nothing is started: a database that cannot write loses work.
LEAST_FREE_MB = 400


def make_folders(where: Locations) -> None:
    """Create the data folder and its parts; raises Trouble when they cannot be used."""
    try:
        for folder in (where.var_dir, where.run_dir, where.log_dir, where.valkey_data):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (where.run_dir, where.log_dir, where.valkey_data):
            folder.chmod(0o700)
    except OSError as exc:
        raise Trouble(
            f"The data folder {where.var_dir} cannot be written ({exc.strerror}).\n"
            "Nothing was started. Choose another with VAR_DIR=/some/folder make run."
        ) from exc
    check_layout(where)


def make_socket_folder(where: Locations, owner: int) -> None:
    """A folder of mode 0700 for the sockets, owned by user id `owner`."""
    if len(os.fsencode(where.postgres_socket)) > SOCKET_PATH_LIMIT:
        raise Trouble(f"The socket folder {where.socket_dir} is too long for a unix socket.")
    where.socket_dir.mkdir(mode=0o700, exist_ok=True)
    found = where.socket_dir.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.getuid(), owner}:
        raise Trouble(
            f"{where.socket_dir} belongs to somebody else, so sockets in it would not be private.\n"
            "Nothing was started. Remove it, or choose another data folder with VAR_DIR=."
        )
    os.chmod(where.socket_dir, 0o700)
    if found.st_uid != owner:
        os.chown(where.socket_dir, owner, -1)


def check_layout(where: Locations) -> None:
    """Refuse a data folder arranged by another version; note ours in a new one."""
    path = where.var_dir / "layout.json"
    try:
        found = json.loads(path.read_text())["layout"]
    except FileNotFoundError:
        path.write_text(json.dumps({"layout": LAYOUT}) + "\n")
        return
    except (ValueError, KeyError, TypeError) as exc:
        raise Trouble(
            f"{path} cannot be read ({exc}). Restore it, or use another VAR_DIR."
        ) from exc
    if found != LAYOUT:
        raise Trouble(
            f"The data folder {where.var_dir} was written by another version of Preferendum "
            f"(layout {found}, this one reads {LAYOUT}).\n"
            "Nothing in it was changed. Start the version that wrote it, "
            "or use another folder with VAR_DIR=/some/folder."
        )


def free_mb(folder: Path) -> int:
    """Megabytes free where `folder` is, or would be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free // 2**20


def check_space(where: Locations, least_mb: int = LEAST_FREE_MB) -> None:
    """Raise Trouble when the disk of the data folder is nearly full."""
    free = free_mb(where.var_dir)
    if free < least_mb:
        raise Trouble(
            f"The disk of {where.var_dir} is nearly full: {free} MB free, {least_mb} MB wanted.\n"
            "Nothing was started. Free some space, or use a folder on another disk with VAR_DIR=."
        )
