"""Canonical records of a snapshot and how judgments become them.

`preference.parquet` keeps every person's judgment; `pairs.parquet` holds one row a pair of
answers with the shares of all who judged it; `reaction.parquet` one row a standing reaction.
The last two have the trainer's columns.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

#: Share of a pair's votes is (wins + SMOOTHING) / (n + 2 SMOOTHING): a light prior towards
#: doubt, so that one vote gives 0.955 and not certainty. A tie or 'both bad' is half a win each.
SMOOTHING = 0.05

PREFERENCE = pa.schema(
    [
        ("record_id", pa.string()),
        ("task_id", pa.string()),
        ("pair_id", pa.string()),
        ("source", pa.string()),
        ("annotator", pa.string()),
        ("prompt", pa.string()),
        ("prompt_hash", pa.string()),
        ("split", pa.string()),
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("chosen_id", pa.string()),
        ("rejected_id", pa.string()),
        ("chosen_model", pa.string()),
        ("rejected_model", pa.string()),
        ("chosen_shown_first", pa.bool_()),
        ("outcome", pa.string()),
        ("strength", pa.int64()),
        ("weight", pa.float64()),
        ("soft_label", pa.float64()),
        ("created_at", pa.string()),
    ]
)

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

REACTION = pa.schema(
    [
        ("record_id", pa.string()),
        ("message_id", pa.string()),
        ("person", pa.string()),
        ("model", pa.string()),
        ("prompt", pa.string()),
        ("prompt_hash", pa.string()),
        ("split", pa.string()),
        ("completion", pa.string()),
        ("label", pa.bool_()),
        ("reaction", pa.string()),
        ("weight", pa.float64()),
        ("created_at", pa.string()),
    ]
)


def split_of(prompt_hash: str, eval_share: float) -> str:
    """`eval` or `train` by the prompt's hash alone, so that a prompt never changes sides."""
    return "eval" if int(prompt_hash[:8], 16) % 1000 < round(eval_share * 1000) else "train"


def prompt_json(prompt: Any) -> str:
    """A prompt as the one JSON string that all its rows share."""
    return json.dumps(prompt, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def moment(value: datetime) -> str:
    """A time as UTC text with microseconds."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def pair_id(prompt_hash: str, one: str, other: str) -> str:
    """The same for the same prompt and the same two answers, whichever came first."""
    first, second = sorted((one, other))
    joined = "\0".join((prompt_hash, first, second))
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def preference_row(record, eval_share: float) -> dict[str, Any] | None:
    """One judgment as a row; None where it does not compare two answers."""
    if len(record.candidates) != 2:
        return None
    first, second = record.candidates
    if record.outcome == "preferred" and record.preferred == second[0]:
        first, second = second, first
    shown = list(record.shown)
    known = {first[0], second[0]} <= set(shown)
    return {
        "record_id": str(record.judgment_id),
        "task_id": str(record.task_id),
        "pair_id": pair_id(record.prompt_hash, first[1], second[1]),
        "source": "vote" if record.source == "vote" else "human",
        "annotator": record.annotator_pseudonym,
        "prompt": prompt_json(record.prompt),
        "prompt_hash": record.prompt_hash,
        "split": split_of(record.prompt_hash, eval_share),
        "chosen": first[1],
        "rejected": second[1],
        "chosen_id": str(first[0]),
        "rejected_id": str(second[0]),
        "chosen_model": first[2],
        "rejected_model": second[2],
        "chosen_shown_first": shown.index(first[0]) < shown.index(second[0]) if known else None,
        "outcome": record.outcome,
        "strength": record.strength,
        "weight": 1.0,
        "soft_label": 1.0 if record.outcome == "preferred" else 0.5,
        "created_at": moment(record.created_at),
    }


def reaction_row(record, eval_share: float) -> dict[str, Any]:
    """One standing reaction as a row."""
    return {
        "record_id": str(record.event_id),
        "message_id": str(record.message_id),
        "person": record.person,
        "model": record.model_version or "",
        "prompt": prompt_json(record.prompt),
        "prompt_hash": record.prompt_hash,
        "split": split_of(record.prompt_hash, eval_share),
        "completion": record.answer,
        "label": bool(record.positive),
        "reaction": record.reaction,
        "weight": float(record.weight),
        "created_at": moment(record.created_at),
    }


class Shares:
    """Votes on each pair, gathered while the judgments stream by."""

    def __init__(self) -> None:
        self._votes: dict[str, list[float]] = {}

    def add(self, row: dict[str, Any]) -> None:
        """Count one row of `preference.parquet`."""
        votes = self._votes.setdefault(row["pair_id"], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        side = 0 if row["chosen"] <= row["rejected"] else 1
        votes[side] += row["weight"] * row["soft_label"]
        votes[1 - side] += row["weight"] * (1.0 - row["soft_label"])
        if row["strength"] is not None:
            votes[2 + side] += row["strength"]
            votes[4 + side] += 1

    def pairs(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """One trainer row a pair, in the order in which the pairs first appear in `rows`.

        The answer with more votes is `chosen`; pairs of identical answers are left out.
        """
        for row in rows:
            votes = self._votes.pop(row["pair_id"], None)
            if votes is None or row["chosen"] == row["rejected"]:
                continue
            low, high = sorted((row["chosen"], row["rejected"]))
            side = 0 if votes[0] >= votes[1] else 1
            total = votes[0] + votes[1]
            graded = votes[4 + side]
            share = (votes[side] + SMOOTHING) / (total + 2 * SMOOTHING)
            yield {
                "pair_id": row["pair_id"],
                "prompt": row["prompt"],
                "chosen": (low, high)[side],
                "rejected": (high, low)[side],
                "weight": total,
                "soft_label": round(share, 6),
                "strength": round(votes[2 + side] / graded) if graded else None,
                "source": row["source"],
                "prompt_hash": row["prompt_hash"],
                "split": row["split"],
            }
