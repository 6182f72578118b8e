"""Rows to Parquet as a stream, with the same bytes for the same rows."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 4096


class Sink:
    """A file that grows by rows, tuples in the order of its schema, BATCH of them in memory."""

    def __init__(self, path: Path, schema: pa.Schema):
        self.path, self.schema, self.count = path, schema, 0
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._rows: list[tuple] = []

    def add(self, row: tuple) -> None:
        """Take in one row."""
        self._rows.append(row)
        self.count += 1
        if len(self._rows) == BATCH:
            self._flush()

    def write(self, batch: pa.RecordBatch) -> None:
        """Take in a whole batch; not to be mixed with `add`."""
        self.count += batch.num_rows
        self._writer.write_batch(batch)

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True)
        arrays = [
            pa.array(values, field.type) for values, field in zip(columns, self.schema, strict=True)
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self.schema))
        self._rows = []

    def close(self) -> int:
        """Write what is left and end the file; how many rows it holds."""
        if self._rows:
            self._flush()
        self._writer.close()
        return self.count

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> int:
    """Write `rows` in groups of BATCH, so memory does not grow with their number; returns it."""
    with Sink(path, schema) as sink:
        for row in rows:
            sink.add(tuple(row.get(name) for name in schema.names))
    return sink.count


def batches(path: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """A file in groups of BATCH rows."""
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=BATCH, columns=columns)


def read(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a file, one group in memory at a time."""
    for batch in batches(path, columns):
        yield from batch.to_pylist()


def names(path: Path) -> list[str]:
    """The columns of a file."""
    with pq.ParquetFile(path) as file:
        return file.schema_arrow.names


def count(path: Path) -> int:
    """How many rows a file holds."""
    with pq.ParquetFile(path) as file:
        return file.metadata.num_rows


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
