"""Files of a run: atomic writes, the progress stream, the report, Parquet in and out."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def plain(value: Any) -> Any:
    """`value` as strict JSON can hold it: numpy and torch numbers become Python's, NaN and
    infinities null.
    """
    if hasattr(value, "item") and getattr(value, "size", 1) in (1,) and not isinstance(value, str):
        value = value.item()
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value


def write_text(path: Path, text: str) -> None:
    """Write aside, fsync, rename: a reader sees the old text or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """`write_text` of strict, indented JSON."""
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def publish_folder(path: Path, fill: Callable[[Path], None]) -> Path:
    """Make the folder `path` by calling `fill` on a folder aside, then rename: complete or absent.

    What was at `path` is replaced; it is kept under a temporary name until the new one is in place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    old = path.with_name(f".{path.name}.old")
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    aside.mkdir()
    try:
        fill(aside)
        for file in sorted(aside.rglob("*")):
            if file.is_file():
                with open(file, "rb") as handle:
                    os.fsync(handle.fileno())
        if path.exists():
            os.replace(path, old)
        os.replace(aside, path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return path


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


#: Numbers a bar shows.
SHOWN = ("loss", "accuracy", "kl", "tokens_per_s")


class Progress:
    """Appends one JSON object a line to `progress.jsonl`, flushed; `enabled` False (other ranks)
    writes nothing. On a terminal the same is shown as a bar on standard error.
    """

    def __init__(self, path: Path, enabled: bool = True, bar: bool = False) -> None:
        self._file = path.open("a", encoding="utf-8") if enabled else None
        self._bar: Any = None
        self._bars = bar and enabled

    def write(self, phase: str, step: int, total: int, **numbers: Any) -> None:
        """Add one line."""
        if self._file is None:
            return
        line = {"t": round(time.time(), 3), "phase": phase, "step": step, "total": total}
        line.update({k: _short(v) for k, v in plain(numbers).items() if v is not None})
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()
        if self._bars:
            self._draw(phase, step, total, line)

    def _draw(self, phase: str, step: int, total: int, line: dict[str, Any]) -> None:
        from tqdm import tqdm

        if self._bar is None or self._bar.desc.rstrip(": ") != phase or self._bar.total != total:
            if self._bar is not None:
                self._bar.close()
            self._bar = tqdm(total=total, desc=phase, file=sys.stderr, dynamic_ncols=True)
        shown = {k: f"{line[k]:.4g}" for k in SHOWN if isinstance(line.get(k), int | float)}
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Close the file."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._file is not None:
            self._file.close()
            self._file = None


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def read_table(path: Path) -> pa.Table:
    """A Parquet file as a table; `ValueError` with a plain reason if it cannot be read."""
    if not path.is_file():
        raise ValueError(f"file not found: {path.name}")
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        first = (str(error).splitlines() or ["unreadable"])[0]
        raise ValueError(f"{path.name} is not readable as Parquet: {first}") from None


def read_columns(path: Path) -> list[str]:
    """Names of a Parquet file's columns; `ValueError` with a plain reason if it cannot be read."""
    try:
        return pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        first = (str(error).splitlines() or ["unreadable"])[0]
        raise ValueError(f"{path.name} is not readable as Parquet: {first}") from None


def write_rows(path: Path, rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> None:
    """Rows as a Parquet file, written aside and renamed. An empty list needs a schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows, schema=schema)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, aside, compression="zstd")
    os.replace(aside, path)


PREFERENCE = pa.schema(
    [
        ("prompt", pa.string()),
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("weight", pa.float64()),
        ("soft_label", pa.float64()),
        ("strength", pa.int64()),
        ("source", pa.string()),
        ("prompt_hash", pa.string()),
        ("split", pa.string()),
        ("margin", pa.float64()),
        ("spread", pa.float64()),
        ("group", pa.string()),
        ("prompt_id", pa.string()),
        ("chosen_ids", pa.list_(pa.int32())),
        ("rejected_ids", pa.list_(pa.int32())),
    ]
)

SAMPLES = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("prompt_hash", pa.string()),
        ("group", pa.string()),
        ("sample", pa.int32()),
        ("text", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
        ("logprob", pa.float64()),
        ("n_tokens", pa.int32()),
        ("finished", pa.bool_()),
        ("reward_mean", pa.float64()),
        ("reward_std", pa.float64()),
    ]
)
