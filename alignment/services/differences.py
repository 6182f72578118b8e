"""What changed between two snapshots: records added, removed, changed, by kind, person, split."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from alignment.models import Snapshot
from alignment.services import parquet, snapshots
from alignment.services.records import KINDS

#: What may differ without a person having said anything else.
_NOT_SAID = {"weight", "split"}


def between(before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """Counts for each kind: `added`, `removed`, `changed` records, with people and splits."""
    one, other = snapshots.folder_of(before), snapshots.folder_of(after)
    kinds = {}
    for kind in KINDS:
        old, new = _records(one / f"{kind}.parquet"), _records(other / f"{kind}.parquet")
        added, removed = new.keys() - old.keys(), old.keys() - new.keys()
        changed = {key for key in new.keys() & old.keys() if new[key][0] != old[key][0]}
        if not (old or new):
            continue
        kinds[kind] = {
            "before": len(old),
            "after": len(new),
            "added": _told(added, new),
            "removed": _told(removed, old),
            "changed": _told(changed, new),
        }
    return {"before": before.digest, "after": after.digest, "kinds": kinds}


def _records(path: Path) -> dict[str, tuple[int, str, str]]:
    """Of each record: a number that says what it says, the person, the split."""
    found: dict[str, tuple[int, str, str]] = {}
    if not path.exists():
        return found
    for batch in parquet.batches(path):
        person = "annotator" if "annotator" in batch.schema.names else "person"
        said = [
            batch[name].to_pylist()
            if not pc.all(pc.is_null(batch[name])).as_py()
            else [None] * batch.num_rows
            for name in batch.schema.names
            if name not in _NOT_SAID
        ]
        rows = zip(
            batch["record_id"].to_pylist(),
            batch[person].to_pylist(),
            batch["split"].to_pylist(),
            *said,
            strict=True,
        )
        for record, who, split, *values in rows:
            words = hash(repr(values))
            if record in found:  # a record of several rows
                words ^= found[record][0]
            found[record] = (words, who, split)
    return found


def _told(records: set[str], known: dict[str, tuple[int, str, str]]) -> dict[str, Any]:
    people = Counter(known[record][1] for record in records)
    splits = Counter(known[record][2] for record in records)
    return {
        "records": len(records),
        "people": dict(sorted(people.items(), key=lambda item: (-item[1], item[0]))[:20]),
        "splits": dict(sorted(splits.items())),
    }
