"""Rows to Parquet as a stream, with the same bytes for the same rows."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 4096


def write(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> int:
    """Write `rows` in groups of BATCH, so memory does not grow with their number; returns it."""
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        batch: list[dict[str, Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
                count += len(batch)
                batch = []
        if batch or not count:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def read(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a file, one group in memory at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH, columns=columns):
            yield from batch.to_pylist()


def count(path: Path) -> int:
    """How many rows a file holds."""
    with pq.ParquetFile(path) as file:
        return file.metadata.num_rows


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
