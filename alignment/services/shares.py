"""What people's words are worth, and what the votes on a pair come to.

Gathered while the judgments stream by, in arrays of a few bytes a judgment, so that a million of
them fit into some fifty megabytes.
"""

from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alignment.services import parquet
from alignment.services.records import SCHEMAS
from annotation.quality.labels import Labels

#: Share of a pair's votes is (wins + SMOOTHING) / (n + 2 SMOOTHING): a light prior towards
#: doubt, so that one vote gives 0.955 and not certainty. A tie or 'both bad' is half a win each.
SMOOTHING = 0.05

#: Reliability is fitted on about so many words at most: more cost memory and change nothing.
FIT_MOST = 300_000

#: The trainer's columns (alignment/trainer/README.md).
PAIR = pa.schema(
    [
        ("pair_id", pa.string()),
        ("prompt", pa.string()),
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("weight", pa.float64()),
        ("soft_label", pa.float64()),
        ("strength", pa.int64()),
        ("source", pa.string()),
        ("prompt_hash", pa.string()),
        ("split", pa.string()),
    ]
)


class Words:
    """Who gave which value to which unit; what reliability is fitted on.

    A reviewer's verdict is kept out: it settles a task and says nothing about who gave it.
    """

    def __init__(self, values: tuple) -> None:
        self.values = values
        self.people: dict[str, int] = {}
        self._unit, self._person, self._value = array("q"), array("i"), array("b")

    def add(self, unit: int, person: str, value: int) -> None:
        """One word: `value` is its place in `values`."""
        self._unit.append(unit)
        self._person.append(self.people.setdefault(person, len(self.people)))
        self._value.append(value)

    def labels(self) -> Labels:
        """All of them, units numbered in their order; of very many, those on every k-th unit."""
        units = np.asarray(self._unit, dtype=np.int64)
        step = -(-len(units) // FIT_MOST)
        keep = slice(None) if step <= 1 else np.flatnonzero(units % step == 0)
        units, unit = np.unique(units[keep], return_inverse=True)
        person = np.asarray(self._person)[keep].astype(np.int64)
        value = np.asarray(self._value)[keep].astype(np.int64)
        return Labels(unit, person, value, range(len(units)), tuple(self.people), self.values)

    def weights(self) -> tuple[dict[str, float], str]:
        """What each person's word is worth, 1 on the average of all words, and by which method.

        Nobody judged a unit that another one judged too: everyone counts the same.
        """
        from annotation.quality.reliability import fitted

        labels = self.labels()
        if not len(labels):
            return {}, "none"
        found = fitted(labels)
        average = float(found.weights[labels.person].mean())
        if average <= 0:
            return dict.fromkeys(self.people, 1.0), "none"
        # Rounded: a fit's last digits may differ between machines, a snapshot's bytes must not.
        weights = (round(float(weight) / average, 4) for weight in found.weights)
        return dict(zip(self.people, weights, strict=True)), found.method


class Pairs:
    """Votes on each pair of answers, one entry for each row of `preference.parquet`."""

    def __init__(self) -> None:
        self._keys = bytearray()
        self._side, self._strength, self._soft = array("b"), array("b"), array("f")

    def add(self, row: tuple) -> None:
        """Take in a row as it is written; rows and entries keep the same order."""
        key, chosen, rejected, strength, soft = (row[n] for n in _COLUMNS)
        self._keys += bytes.fromhex(key)
        self._side.append(0 if chosen <= rejected else 1)
        self._strength.append(strength or 0)
        self._soft.append(soft)

    def write(self, path: Path, rows: Path, weights: np.ndarray) -> int:
        """One trainer row a pair, in the order in which pairs first appear in `rows`.

        `weights` `(n,)` are those of the rows; the answer with more votes is `chosen`. Pairs of
        identical answers and pairs nobody with a weight judged are left out.
        """
        keys = np.frombuffer(self._keys, dtype="S16")
        _, first, pair = np.unique(keys, return_index=True, return_inverse=True)
        side = np.asarray(self._side, dtype=np.int64)
        soft = np.asarray(self._soft, dtype=np.float64)
        low = np.where(side == 0, soft, 1.0 - soft) * weights
        total = np.bincount(pair, weights, len(first))
        wins = np.bincount(pair, low, len(first))
        winner = np.where(2 * wins >= total - 1e-12, 0, 1)
        share = (np.where(winner == 0, wins, total - wins) + SMOOTHING) / (total + 2 * SMOOTHING)
        strength = np.asarray(self._strength, dtype=np.int64)
        graded = (strength > 0) & (side == winner[pair])
        often = np.bincount(pair[graded], minlength=len(first))
        sums = np.bincount(pair[graded], strength[graded], len(first))
        mean = np.rint(sums / np.maximum(often, 1)).astype(np.int64)
        begin = np.full(len(keys), -1, dtype=np.int64)
        begin[first] = np.arange(len(first))
        with parquet.Sink(path, PAIR) as sink:
            offset = 0
            for batch in parquet.batches(rows):
                here = begin[offset : offset + batch.num_rows]
                at = np.flatnonzero(here >= 0)
                at = at[total[here[at]] > 0]
                mine, flip = here[at], side[offset + at] != winner[here[at]]
                offset += batch.num_rows
                taken, flip = batch.take(pa.array(at)), pa.array(flip)
                chosen, rejected = taken["chosen"], taken["rejected"]
                made = {
                    "chosen": pc.if_else(flip, rejected, chosen),
                    "rejected": pc.if_else(flip, chosen, rejected),
                    "weight": pa.array(total[mine].round(6)),
                    "soft_label": pa.array(share[mine].round(6)),
                    "strength": pa.array(mean[mine], pa.int64(), mask=often[mine] == 0),
                }
                columns = [made[name] if name in made else taken[name] for name in PAIR.names]
                out = pa.RecordBatch.from_arrays(columns, schema=PAIR)
                sink.write(out.filter(pc.not_equal(chosen, rejected)))
        return sink.count


_COLUMNS = [
    SCHEMAS["preference"].names.index(name)
    for name in ("pair_id", "chosen", "rejected", "strength", "soft_label")
]


def weighted(
    path: Path, weights: Mapping[str, float], discounts: Mapping[str, float]
) -> Iterator[pa.RecordBatch]:
    """The rows of a file with their weight: the person's times the record's own discount."""
    for batch in parquet.batches(path):
        people = batch["annotator"].dictionary_encode()
        worth = np.array([weights.get(name, 1.0) for name in people.dictionary.to_pylist()])
        column = worth[people.indices.to_numpy()]
        if discounts:
            for n, record in enumerate(batch["record_id"].to_pylist()):
                if record in discounts:
                    column[n] *= discounts[record]
        place = batch.schema.get_field_index("weight")
        yield batch.set_column(place, "weight", pa.array(column.round(6), pa.float64()))
