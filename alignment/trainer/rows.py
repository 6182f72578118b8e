"""Rows of a policy run in one form, whatever their kind: a prompt, its answers, further texts, and
numbers.

`answers` holds (text, token ids or None) of each answer, `others` further texts by name, `values`
the numbers objectives read, `rewards` what is said about single tokens of answers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alignment.objectives.registry import Objective

from . import contract
from .data import BadRow, Rows, common, note_dropped, number, preference, read, split_rows, text_of
from .files import read_columns
from .schema import FieldError

SCOPES = {"in": 0, "near": 1, "out": 2}
NUMBERS = ("other_margin", "wins_chosen", "wins_rejected")
TEXTS = ("probe", "target", "degraded")
MANY = 64


def check_file(objective: Objective, path: Path) -> list[str]:
    """Names of a file's columns; `FieldError` names the first that the objective reads and the file
    lacks.
    """
    try:
        names = read_columns(path)
    except ValueError as error:
        raise FieldError(objective.inputs, str(error)) from None
    contract.check_columns(objective, names, path.name)
    return names


def read_rows(objective: Objective, path: Path) -> Rows:
    """The file's rows in the one form; `FieldError` names a column that is missing."""
    kind = objective.inputs
    names = check_file(objective, path)
    wide = kind == "lists" and not {"answers", "completions"}.isdisjoint(names)
    convert: Callable[[dict, frozenset[str]], dict] = {
        "pairs": _pair,
        "lists": _list if wide else _sample,
        "unpaired": _unpaired,
        "samples": _sample,
        "text": _text,
    }[kind]
    needs = frozenset(objective.needs)
    rows = read(kind, path, (), lambda row: convert(row, needs))
    if kind == "lists" and not wide:
        _gather(rows)
    if kind == "samples" and "advantages" in needs:
        _advantages(rows)
    if "rate" in needs:
        _rates(rows)
    if "labels" in needs:
        _same_heads(rows)
    if not rows.rows:
        raise FieldError(kind, f"{path.name} has no usable row; {rows.dropped[0]}")
    return split_rows(rows)


def _pair(row: dict, needs: frozenset[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "scope" in needs:
        values["scope"] = _scope(row.get("scope"))
        if values["scope"] and row.get("rejected") is None:
            row = row | {"rejected": ""}
    out = preference(row)
    given = out["margin"] if out["margin"] is not None else out["strength"]
    values |= {"soft_label": out["soft_label"], "margin": given}
    for name in NUMBERS:
        if name in needs:
            low = -1e9 if name == "other_margin" else 0.0
            high = 1e9 if name == "other_margin" else 1.0
            values[name] = _given(row, name, low, high)
    if "degree" in needs:
        values["degree"] = _degree(row)
    if "labels" in needs:
        values["labels"] = _labels(row)
    wanted = {n for n in TEXTS if n in needs} | (
        {"degraded"} if "degree_logits" in needs else set()
    )
    others = {name: text_of(row, name) for name in sorted(wanted)}
    if "rationale" in needs and row.get("rationale"):
        others["rationale"] = text_of(row, "rationale")
    rewards = {}
    for at, side in enumerate(("chosen", "rejected")):
        if f"{side}_token_rewards" in needs:
            rewards[at] = _token_rewards(row, side)
    out["answers"] = [(out[side], out[f"{side}_ids"]) for side in ("chosen", "rejected")]
    return out | {"others": others, "values": values, "rewards": rewards}


def _list(row: dict, needs: frozenset[str]) -> dict[str, Any]:
    out = common(row)
    texts = row.get("answers") or row.get("completions")
    if not isinstance(texts, list) or not 2 <= len(texts) <= MANY:
        raise BadRow(f"answers is not a list of 2 to {MANY} texts")
    if not all(isinstance(t, str) for t in texts):
        raise BadRow("answers holds something that is not text")
    ids = row.get("answer_ids") or [None] * len(texts)
    if len(ids) != len(texts):
        raise BadRow("answer_ids is not as long as answers")
    values: dict[str, Any] = {}
    if row.get("scores") is not None:
        values["scores"] = _numbers(row, "scores", len(texts))
    elif row.get("ranking") is not None or row.get("places") is not None:
        name = "ranking" if row.get("ranking") is not None else "places"
        values["scores"] = scores_of_ranks(_numbers(row, name, len(texts)))
    else:
        raise BadRow("scores (or ranking) is missing")
    if "sample_logps" in needs:
        values["sample_logps"] = _numbers(row, "logprobs", len(texts))
    weight = _weight(row)
    answers = list(zip(texts, [list(i) if i is not None else None for i in ids], strict=True))
    return out | {"answers": answers, "weight": weight, "values": values}


def scores_of_ranks(ranks: list[float]) -> list[float]:
    """Scores in [0, 1] of ranks (1 the best, equal ranks tie): the place among the ranks given."""
    places = {rank: at for at, rank in enumerate(sorted(set(ranks), reverse=True))}
    return [places[r] / max(len(places) - 1, 1) for r in ranks]


def _unpaired(row: dict, needs: frozenset[str]) -> dict[str, Any]:
    out = common(row)
    label = row.get("label")
    if label is None or label not in (0, 1):
        raise BadRow("label is not true or false")
    values = {"label": float(label)}
    if row.get("rate") is not None:
        values["rate"] = number(row, "rate", None, 0.0, 1.0)
    ids = _ids(row, "completion_ids")
    answers = [(text_of(row, "completion"), ids)]
    return out | {"answers": answers, "weight": _weight(row), "values": values}


def _sample(row: dict, needs: frozenset[str]) -> dict[str, Any]:
    out = common(row)
    name = "text" if row.get("text") is not None else "completion"
    values: dict[str, Any] = {}
    score = row.get("score") if row.get("score") is not None else row.get("reward_mean")
    if "scores" in needs or "advantages" in needs:
        if row.get("advantage") is not None and "advantages" in needs:
            values["advantages"] = number(row, "advantage", None, -1e9, 1e9)
        elif score is None:
            raise BadRow("score (or reward_mean) is missing")
        else:
            values["score"] = number(row | {"score": score}, "score", None, -1e9, 1e9)
    if "wins" in needs:
        values["wins"] = _given(row, "wins", 0.0, 1.0)
    if "sample_logps" in needs:
        values["sample_logp"] = _given(row, "logprob", -1e9, 0.0)
    answers = [(text_of(row, name), _ids(row, "token_ids"))]
    return out | {"answers": answers, "weight": _weight(row), "values": values}


def _text(row: dict, needs: frozenset[str]) -> dict[str, Any]:
    out = common(row)
    parts = row.get("parts")
    if parts is not None:
        if not isinstance(parts, list) or not parts:
            raise BadRow("parts is not a list of texts")
        for part in parts:
            if not isinstance(part, dict) or not isinstance(part.get("text"), str):
                raise BadRow("a part has no text")
        whole = "".join(p["text"] for p in parts)
        spans, at = [], 0
        for part in parts:
            if part.get("feedback"):
                spans.append({"start": at, "end": at + len(part["text"]), "value": 1.0})
            at += len(part["text"])
        out["rewards"] = {0: ("spans", spans)}
    else:
        if "feedback_mask" in needs:
            raise BadRow("parts is missing")
        whole = text_of(row, "completion" if row.get("completion") is not None else "text")
    ids = None if parts is not None else _ids(row, "token_ids")
    return out | {"answers": [(whole, ids)], "weight": _weight(row), "values": {}}


# -- values of a row


def _weight(row: dict) -> float:
    weight = number(row, "weight", 1.0, 0.0, 1e6)
    if weight == 0.0:
        raise BadRow("weight is zero")
    return weight


def _given(row: dict, name: str, low: float, high: float) -> float:
    value = number(row, name, None, low, high)
    if value is None:
        raise BadRow(f"{name} is missing")
    return value


def _numbers(row: dict, name: str, n: int) -> list[float]:
    values = row.get(name)
    if not isinstance(values, list) or len(values) != n:
        raise BadRow(f"{name} is not a list of {n} numbers")
    return [_given({name: v}, name, -1e9, 1e9) for v in values]


def _ids(row: dict, name: str) -> list[int] | None:
    ids = row.get(name)
    return [int(i) for i in ids] if ids is not None and len(ids) else None


def _scope(value: Any) -> int:
    if value in SCOPES:
        return SCOPES[value]
    if value in (0, 1, 2) and not isinstance(value, bool):
        return int(value)
    raise BadRow("scope is not in, near or out")


def _degree(row: dict) -> int:
    value = _given(row, "degree", 0, MANY - 1)
    if value != int(value):
        raise BadRow("degree is not a whole number")
    return int(value)


def _labels(row: dict) -> list[float | None]:
    labels = row.get("labels")
    if not isinstance(labels, list) or not labels:
        raise BadRow("labels is not a list")
    return [number({"labels": v}, "labels", None, 0.0, 1.0) for v in labels]


def _token_rewards(row: dict, side: str) -> tuple[str, list]:
    by_token, spans = row.get(f"{side}_token_rewards"), row.get(f"{side}_spans")
    if by_token is not None:
        return "tokens", _numbers(row, f"{side}_token_rewards", len(by_token))
    if spans is None:
        raise BadRow(f"{side}_token_rewards (or {side}_spans) is missing")
    made = []
    for span in spans:
        if not isinstance(span, dict) or None in (span.get("start"), span.get("end")):
            raise BadRow(f"a span of {side} has no start or end")
        value = number(span, "value", 1.0, -1e6, 1e6)
        made.append({"start": int(span["start"]), "end": int(span["end"]), "value": value})
    return "spans", made


# -- what is made of several rows


def _gather(rows: Rows) -> None:
    """Rows of single scored answers become one row a prompt."""
    groups: dict[str, list[dict]] = {}
    for row in rows.rows:
        groups.setdefault(row["prompt_hash"], []).append(row)
    made = []
    for own in groups.values():
        if len(own) < 2:
            note_dropped(rows, "a prompt has a single scored answer")
            continue
        own = own[:MANY]
        values = {"scores": [r["values"]["score"] for r in own]}
        if "sample_logp" in own[0]["values"]:
            values["sample_logps"] = [r["values"]["sample_logp"] for r in own]
        weight = sum(r["weight"] for r in own) / len(own)
        answers = [r["answers"][0] for r in own]
        made.append(own[0] | {"answers": answers, "values": values, "weight": weight})
    rows.rows = made


def _advantages(rows: Rows) -> None:
    """Where no advantage is given: the score less the mean of the other answers to the prompt."""
    groups: dict[str, list[dict]] = {}
    for row in rows.rows:
        if "advantages" not in row["values"]:
            groups.setdefault(row["prompt_hash"], []).append(row)
    for own in groups.values():
        scores = [r["values"]["score"] for r in own]
        for row in own:
            score = row["values"].pop("score")
            rest = (sum(scores) - score) / (len(scores) - 1) if len(scores) > 1 else score
            row["values"]["advantages"] = score - rest


def _rates(rows: Rows) -> None:
    """Where no rate is given: the share of liked answers among the prompt's rows."""
    labels: dict[str, list[float]] = {}
    for row in rows.rows:
        labels.setdefault(row["prompt_hash"], []).append(row["values"]["label"])
    for row in rows.rows:
        own = labels[row["prompt_hash"]]
        row["values"].setdefault("rate", sum(own) / len(own))


def _same_heads(rows: Rows) -> None:
    """Every row judges the same number of objectives as the first."""
    n = len(rows.rows[0]["values"]["labels"]) if rows.rows else 0
    kept = [r for r in rows.rows if len(r["values"]["labels"]) == n]
    for _ in range(len(rows.rows) - len(kept)):
        note_dropped(rows, f"labels has not {n} entries, as the first row has")
    rows.rows = kept
