"""Rows of the input files: read, checked, split. Unusable rows are dropped, counted and listed,
never fatal alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .files import read_table
from .schema import FieldError

LISTED = 20


@dataclass
class Rows:
    """Usable rows of one file, and what was left out of it."""

    rows: list[dict[str, Any]]
    dropped: list[str] = field(default_factory=list)
    n_dropped: int = 0

    def part(self, split: str) -> list[dict[str, Any]]:
        """The rows of one split."""
        return [r for r in self.rows if r["split"] == split]

    def warnings(self, name: str) -> list[str]:
        """Sentences for the report."""
        if not self.n_dropped:
            return []
        more = f" (first {LISTED})" if self.n_dropped > LISTED else ""
        return [f"{name}: left out {self.n_dropped} rows{more}: " + "; ".join(self.dropped)]


class BadRow(ValueError):
    """One row that cannot be used."""


def parse_prompt(value: Any) -> list[dict[str, str]]:
    """A prompt cell as a chat list with text contents; `BadRow` with the reason if it is none.

    Accepts a JSON string of a chat list. Typed parts are joined from their text; a plain string is
    one user turn.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            raise BadRow("prompt is not JSON") from None
        if isinstance(value, str):
            value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise BadRow("prompt is not a chat list")
    messages = []
    for message in value:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRow("a message of the prompt has no role")
        content = message.get("content")
        if isinstance(content, list):
            parts = [p.get("text", "") for p in content if isinstance(p, dict)]
            content = "\n".join(p for p in parts if isinstance(p, str) and p)
        if not isinstance(content, str):
            raise BadRow("a message of the prompt has no content")
        messages.append({"role": clean(message["role"]), "content": clean(content)})
    return messages


def clean(text: str) -> str:
    """`text` without lone surrogates, which JSON can carry and no tokenizer can read."""
    return text.encode("utf-8", "replace").decode("utf-8")


def prompt_hash(messages: list[dict[str, str]]) -> str:
    """SHA-256 of the canonical JSON of a prompt, hex."""
    text = json.dumps(messages, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def held_out(key: str, share: float = 0.2) -> bool:
    """Whether a prompt hash falls into the held-out share: a function of the hash alone, stable for
    ever.
    """
    digest = hashlib.sha256(b"split:" + key.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def number(row: dict, key: str, default: float | None, low: float, high: float) -> float | None:
    """A finite number of a row within bounds, or the default; `BadRow` says what is wrong."""
    value = row.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadRow(f"{key} is not a number")
    if not low <= value <= high:
        raise BadRow(f"{key} {value:g} is not between {low:g} and {high:g}")
    return float(value)


def text_of(row: dict, key: str) -> str:
    """The text of a cell; `BadRow` where it holds none."""
    value = row.get(key)
    if not isinstance(value, str):
        raise BadRow(f"{key} is not text")
    return value


def common(row: dict) -> dict[str, Any]:
    """What every row has: messages, prompt_hash, group, split."""
    messages = parse_prompt(row.get("prompt"))
    out = {"messages": messages, "prompt_hash": row.get("prompt_hash") or prompt_hash(messages)}
    out["group"] = str(row["group"]) if row.get("group") is not None else None
    out["split"] = row.get("split")
    return out


def preference(row: dict) -> dict[str, Any]:
    """A row of a preference file, checked."""
    out = common(row)
    out["chosen"], out["rejected"] = text_of(row, "chosen"), text_of(row, "rejected")
    if out["chosen"] == out["rejected"]:
        raise BadRow("both answers are the same")
    out["weight"] = number(row, "weight", 1.0, 0.0, 1e6)
    if out["weight"] == 0.0:
        raise BadRow("weight is zero")
    out["soft_label"] = number(row, "soft_label", 1.0, 0.0, 1.0)
    out["strength"] = number(row, "strength", None, 0.0, 100.0)
    out["margin"] = number(row, "margin", None, -1e9, 1e9)
    out["source"] = str(row.get("source") or "human")
    for key in ("chosen_ids", "rejected_ids"):
        ids = row.get(key)
        out[key] = [int(i) for i in ids] if ids is not None and len(ids) else None
    return out


def _unpaired(row: dict) -> dict[str, Any]:
    out = common(row)
    out["completion"] = text_of(row, "completion")
    label = row.get("label")
    if label is None or label not in (0, 1):
        raise BadRow("label is not true or false")
    out["label"] = bool(label)
    out["weight"] = number(row, "weight", 1.0, 0.0, 1e6)
    if out["weight"] == 0.0:
        raise BadRow("weight is zero")
    return out


def _prompt(row: dict) -> dict[str, Any]:
    out = common(row)
    if row.get("prompt_id") is None:
        raise BadRow("prompt_id is missing")
    out["prompt_id"] = str(row["prompt_id"])
    return out


def note_dropped(rows: Rows, reason: str) -> None:
    """Count a row that is left out; the first reasons are listed."""
    rows.n_dropped += 1
    if len(rows.dropped) < LISTED:
        rows.dropped.append(reason)


def read(name: str, path: Path, required: tuple[str, ...], convert: Callable[[dict], dict]) -> Rows:
    """The usable rows of a Parquet file; `FieldError` where a column is missing or none is left."""
    try:
        table = read_table(path)
    except ValueError as error:
        raise FieldError(name, str(error)) from None
    for column in required:
        if column not in table.column_names:
            raise FieldError(name, f"column {column!r} is missing from {path.name}")
    result = Rows([])
    for index, row in enumerate(table.to_pylist()):
        try:
            result.rows.append(convert(row))
        except BadRow as error:
            note_dropped(result, f"row {index}: {error}")
    if not result.rows:
        reason = f"; {result.dropped[0]}" if result.dropped else ""
        raise FieldError(name, f"{path.name} has no usable row{reason}")
    return result


def split_rows(result: Rows) -> Rows:
    """Give every row `train` or `eval`: as stated, else by prompt hash if no row of the file says
    `eval`.
    """
    stated = any(r["split"] == "eval" for r in result.rows)
    for row in result.rows:
        if stated:
            row["split"] = "eval" if row["split"] == "eval" else "train"
        else:
            row["split"] = "eval" if held_out(row["prompt_hash"]) else "train"
    return result


def read_preferences(name: str, path: Path) -> Rows:
    """Preference rows: messages, chosen, rejected, weight, soft_label, strength, margin, source,
    split, ...
    """
    return split_rows(read(name, path, ("prompt", "chosen", "rejected"), preference))


def read_unpaired(name: str, path: Path) -> Rows:
    """Rows of single answers: messages, completion, label, weight, split."""
    return split_rows(read(name, path, ("prompt", "completion", "label"), _unpaired))


def read_prompts(name: str, path: Path) -> Rows:
    """Prompt rows: prompt_id (unique), messages, prompt_hash, group."""
    result = read(name, path, ("prompt_id", "prompt"), _prompt)
    seen: set[str] = set()
    for row in result.rows:
        if row["prompt_id"] in seen:
            raise FieldError(name, f"prompt_id {row['prompt_id']!r} occurs twice in {path.name}")
        seen.add(row["prompt_id"])
    return result


def read_regression(name: str, path: Path) -> Rows:
    """Rows of a frozen capability set: as prompts, and the pattern `expect` of a right answer."""

    def convert(row: dict) -> dict[str, Any]:
        out = _prompt(row)
        out["expect"] = text_of(row, "expect")
        try:
            re.compile(out["expect"])
        except re.error as error:
            raise BadRow(f"expect is not a regular expression: {error}") from None
        return out

    return read(name, path, ("prompt_id", "prompt", "expect"), convert)
