"""Folders that appear whole or not at all, and room on the disk for them."""

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from alignment import conf
from alignment.errors import NoSpace

_ASIDE = ".making-"


@contextmanager
def aside(parent: Path) -> Iterator[Path]:
    """A new folder inside `parent` to fill and rename; it is gone after the block if not renamed.

    Raises NoSpace when the disk fills up meanwhile.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    folder = parent / f"{_ASIDE}{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(
                "The disk is full. Nothing was kept of what was being written; "
                "free some space and try again."
            ) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settle(folder: Path, target: Path) -> bool:
    """Sync `folder` to disk and rename it to `target`; False when another process was first."""
    for path in folder.rglob("*"):
        if path.is_file():
            _sync(path)
    try:
        os.rename(folder, target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    _sync(target.parent)
    return True


def write_json(path: Path, value: Any) -> None:
    """JSON written beside and renamed: a reader sees the old file or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n")
    os.replace(beside, path)


def read_json(path: Path) -> Any:
    """The value in a JSON file, or None where it is missing or unreadable."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def need_room(folder: Path) -> None:
    """Raise NoSpace when less than RUN_MIN_FREE_MB is free where `folder` is."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free // 2**20
    if free < conf.MIN_FREE_MB:
        raise NoSpace(
            f"Only {free} MB are free where results are kept, and a job asks for "
            f"{conf.MIN_FREE_MB} MB. Nothing was started; free some space and try again."
        )


def artefact_path(location: str) -> Path:
    """Where an artefact lies: absolute, or relative to ARTEFACTS_DIR."""
    return Path(settings.ARTEFACTS_DIR) / location


def inside(location: str, path: str) -> Path | None:
    """The file `path` of an artefact; None where it is none of the artefact's own."""
    root = artefact_path(location).resolve()
    try:
        target = (root / path).resolve()
    except ValueError:  # a null byte
        return None
    hidden = any(part.startswith(".") for part in Path(path).parts)
    return target if target.is_relative_to(root) and target.is_file() and not hidden else None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(parent: Path) -> None:
    """Remove what a killed process left half made more than a day ago."""
    for left in parent.glob(f"{_ASIDE}*"):
        try:
            if time.time() - left.stat().st_mtime > 86400:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue
