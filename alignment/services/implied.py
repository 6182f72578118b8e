"""Preferences from what people did, in a snapshot: a file of their own, rows for the trainer."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from alignment.services import parquet
from alignment.services.datasheet import Gathering
from alignment.services.records import moment, pair_id, place_of
from alignment.services.shares import PAIR
from feedback.services.implicit import ImplicitRecord

FILE = "implicit.parquet"
SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("person", pa.string()),
        ("signal", pa.string()),
        ("prompt", pa.string()),
        ("prompt_hash", pa.string()),
        ("split", pa.string()),
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("chosen_model", pa.string()),
        ("rejected_model", pa.string()),
        ("probability", pa.float64()),
        ("audited", pa.int64()),
        ("weight", pa.float64()),
        ("created_at", pa.string()),
    ]
)


def name_of(record: ImplicitRecord) -> str:
    """What a record is called where its weight is kept."""
    return f"implicit {record.chosen_id}:{record.rejected_id}"


def weights_in(folder: Path) -> dict[str, float]:
    """How far each person was trusted when a snapshot was taken, by `name_of`."""
    if not (folder / FILE).exists():
        return {}
    rows = parquet.read(folder / FILE, ["record_id", "weight"])
    return {f"implicit {row['record_id']}": row["weight"] for row in rows}


def append(
    folder: Path,
    records: Iterable[ImplicitRecord],
    *,
    weight: float,
    eval_share: float,
    counted: Gathering,
) -> int:
    """Write the records, and a row for the trainer after those that are there; how many of these.

    A row's `soft_label` is the signal's audited probability, its weight `weight` times the trust
    in the person. A pair that somebody judged in words gets no such row.
    """
    pairs, before = folder / "pairs.parquet", folder / "pairs.spoken"
    pairs.rename(before)
    spoken = {row["pair_id"] for row in parquet.read(before, ["pair_id"])}
    added: dict[str, tuple] = {}
    with parquet.Sink(folder / FILE, SCHEMA) as sink:
        for one in records:
            place = place_of(one.prompt, one.prompt_hash, eval_share)
            sink.add(
                (name_of(one).removeprefix("implicit "), one.person, one.signal, *place,
                 one.chosen, one.rejected, one.chosen_model, one.rejected_model,
                 one.probability, one.audited, one.weight, moment(one.created_at))
            )  # fmt: skip
            counted.record(
                "implicit", place.split, "implicit", one.signal, one.person, moment(one.created_at)
            )
            counted.prompt(one.prompt_hash, one.prompt)
            key = pair_id(one.prompt_hash, one.chosen, one.rejected)
            if key not in spoken and one.weight * weight > 0:
                added.setdefault(
                    key,
                    (key, place.prompt, one.chosen, one.rejected, weight * one.weight,
                     one.probability, None, "implicit", one.prompt_hash, place.split),
                )  # fmt: skip
    with parquet.Sink(pairs, PAIR) as sink:
        for batch in parquet.batches(before):
            sink.write(batch)
        if added:
            columns = zip(*added.values(), strict=True)
            arrays = [
                pa.array(values, field.type) for values, field in zip(columns, PAIR, strict=True)
            ]
            sink.write(pa.RecordBatch.from_arrays(arrays, schema=PAIR))
    before.unlink()
    return len(added)
