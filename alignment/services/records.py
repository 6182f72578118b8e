"""Canonical records of a snapshot: one file a kind, and how judgments become their rows.

`preference.parquet` keeps every person's judgment; `pairs.parquet` (services/shares.py) holds one
row a pair of answers with the shares of all who judged it. A row is a tuple in the order of its
schema. `weight` is what the person's word is worth beside that of the average person (1).
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

_HEAD = [
    ("record_id", pa.string()),
    ("task_id", pa.string()),
    ("annotator", pa.string()),
    ("source", pa.string()),
    ("prompt", pa.string()),
    ("prompt_hash", pa.string()),
    ("split", pa.string()),
    ("weight", pa.float64()),
    ("created_at", pa.string()),
]
_ANSWER = [("completion", pa.string()), ("candidate_id", pa.string()), ("model", pa.string())]
_BOTH = [
    ("chosen", pa.string()),
    ("rejected", pa.string()),
    ("chosen_id", pa.string()),
    ("rejected_id", pa.string()),
    ("chosen_model", pa.string()),
    ("rejected_model", pa.string()),
    ("outcome", pa.string()),
]

#: What each file of a snapshot holds.
SCHEMAS: dict[str, pa.Schema] = {
    "preference": pa.schema(
        [
            *_HEAD,
            ("pair_id", pa.string()),
            *_BOTH,
            ("chosen_shown_first", pa.bool_()),
            ("strength", pa.int64()),
            ("soft_label", pa.float64()),
            ("rationale", pa.string()),
        ]
    ),
    "dimension": pa.schema([*_HEAD, ("dimension", pa.string()), *_BOTH]),
    "ranking": pa.schema(
        [
            *_HEAD,
            ("completions", pa.list_(pa.string())),
            ("candidate_ids", pa.list_(pa.string())),
            ("models", pa.list_(pa.string())),
            ("places", pa.list_(pa.int64())),
            ("rationale", pa.string()),
        ]
    ),
    "rating": pa.schema([*_HEAD, *_ANSWER, ("attribute", pa.string()), ("value", pa.int64())]),
    "principle_verdict": pa.schema(
        [
            *_HEAD,
            *_ANSWER,
            ("principle", pa.string()),
            ("version", pa.int64()),
            ("text", pa.string()),
            ("verdict", pa.string()),
            ("evidence_start", pa.int64()),
            ("evidence_end", pa.int64()),
        ]
    ),
    "span_reward": pa.schema(
        [
            *_HEAD,
            *_ANSWER,
            ("missing", pa.bool_()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("quote", pa.string()),
            ("category", pa.string()),
            ("severity", pa.int64()),
            ("comment", pa.string()),
        ]
    ),
    "critique": pa.schema([*_HEAD, *_ANSWER, ("critique", pa.string())]),
    "demonstration": pa.schema([*_HEAD, ("completion", pa.string()), ("instead_of", pa.string())]),
    "harm": pa.schema([*_HEAD, *_ANSWER, ("level", pa.int64())]),
    "step": pa.schema(
        [*_HEAD, *_ANSWER, ("step", pa.int64()), ("value", pa.int64()), ("comment", pa.string())]
    ),
    "triplet": pa.schema(
        [
            *_HEAD,
            ("anchor", pa.string()),
            ("closer", pa.string()),
            ("other", pa.string()),
            ("equally_close", pa.bool_()),
        ]
    ),
    "reaction": pa.schema(
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
    ),
    "followup": pa.schema(
        [
            ("record_id", pa.string()),
            ("person", pa.string()),
            ("model", pa.string()),
            ("prompt", pa.string()),
            ("prompt_hash", pa.string()),
            ("split", pa.string()),
            ("completion", pa.string()),
            ("followup", pa.string()),
            ("created_at", pa.string()),
        ]
    ),
}

#: Which typed rows of a judgment a kind is made of (`annotation.selectors.judged_tasks`).
PARTS_OF = {
    "preference": ("pairwise",),
    "dimension": ("dimension",),
    "ranking": ("place",),
    "rating": ("rating",),
    "principle_verdict": ("verdict",),
    "span_reward": ("span", "missing"),
    "critique": ("critique",),
    "demonstration": ("critique",),
    "harm": ("harm",),
    "step": ("step",),
    "triplet": ("triplet",),
}
#: The kinds that come from conversations.
OF_CHATS = ("reaction", "followup")
KINDS = (*PARTS_OF, *OF_CHATS)
WEIGHT = len(_HEAD) - 2


class Place(NamedTuple):
    """What all rows about one prompt share."""

    prompt: str
    prompt_hash: str
    split: str


def split_of(prompt_hash: str, eval_share: float) -> str:
    """`eval` or `train` by the prompt's hash alone, so that a prompt never changes sides."""
    return "eval" if int(prompt_hash[:8], 16) % 1000 < round(eval_share * 1000) else "train"


def prompt_json(prompt: Any) -> str:
    """A prompt as the one JSON string that all its rows share."""
    try:
        return orjson.dumps(prompt, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # a number beyond 64 bits
        return json.dumps(prompt, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def moment(value: datetime) -> str:
    """A time as UTC text with microseconds."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def pair_id(prompt_hash: str, one: str, other: str) -> str:
    """The same for the same prompt and the same two answers, whichever came first."""
    first, second = sorted((one, other))
    joined = "\0".join((prompt_hash, first, second))
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def place_of(prompt: Any, prompt_hash: str, eval_share: float) -> Place:
    """The prompt's part of a row."""
    return Place(prompt_json(prompt), prompt_hash, split_of(prompt_hash, eval_share))


def rows_of(task, said, kind: str, place: Place) -> Iterator[tuple]:
    """The rows that one judgment on a task gives in the file of a kind."""
    source = {"vote": "vote", "review": "review"}.get(said.source, "human")
    head = (
        said.judgment_id, str(task.task_id), said.annotator, source,
        *place, 1.0, said.created_at,
    )  # fmt: skip
    yield from _MAKERS[kind](head, task, said)


def _preference(head: tuple, task, said) -> Iterator[tuple]:
    (outcome, preferred, strength) = said.parts["pairwise"][0]
    if len(task.candidates) != 2:
        return
    first, second = _ordered(task, outcome, preferred)
    known = first[0] in said.shown and second[0] in said.shown
    first_shown = said.shown.index(first[0]) < said.shown.index(second[0]) if known else None
    yield (
        *head, pair_id(task.prompt_hash, first[1], second[1]), *_both(first, second, outcome),
        first_shown, strength, 1.0 if outcome == "preferred" else 0.5, said.rationale or None,
    )  # fmt: skip


def _dimension(head: tuple, task, said) -> Iterator[tuple]:
    if len(task.candidates) != 2:
        return
    for dimension, outcome, preferred in sorted(said.parts["dimension"], key=lambda part: part[0]):
        first, second = _ordered(task, outcome, preferred)
        yield (*head, dimension, *_both(first, second, outcome))


def _ordered(task, outcome: str, preferred: int | None) -> list:
    both = list(task.candidates)
    if outcome == "preferred" and preferred == both[1][0]:
        both.reverse()
    return both


def _both(first, second, outcome: str) -> tuple:
    return (first[1], second[1], str(first[0]), str(second[0]), first[2], second[2], outcome)


def _ranking(head: tuple, task, said) -> Iterator[tuple]:
    place = dict(said.parts["place"])
    ranked = [one for one in task.candidates if one[0] in place]
    yield (
        *head, [text for _, text, _ in ranked], [str(pk) for pk, *_ in ranked],
        [model for *_, model in ranked], [place[pk] for pk, *_ in ranked], said.rationale or None,
    )  # fmt: skip


def _each(name: str, columns: Any):
    """Rows of answers: one for each typed row, answers in the task's order."""

    def make(head: tuple, task, said) -> Iterator[tuple]:
        answers = {
            pk: (n, text, str(pk), model) for n, (pk, text, model) in enumerate(task.candidates)
        }
        none = (len(answers), None, None, None)
        found = [(answers.get(part[0], none), part[1:]) for part in said.parts.get(name, ())]
        for answer, rest in sorted(found, key=lambda one: (one[0][0], str(one[1]))):
            if (made := columns(rest)) is not None:
                yield (*head, *answer[1:], *made)

    return make


_marked = _each("span", lambda r: (False, r[0], r[1], r[2], r[3], r[4], r[5] or None))
_lacking = _each("missing", lambda r: (True, None, None, None, r[0], None, r[1] or None))


def _span(head: tuple, task, said) -> Iterator[tuple]:
    yield from _marked(head, task, said)
    yield from _lacking(head, task, said)


def _demonstration(head: tuple, task, said) -> Iterator[tuple]:
    texts = {pk: text for pk, text, _ in task.candidates}
    for candidate, _, corrected in sorted(said.parts["critique"], key=lambda part: part[0]):
        if corrected:
            yield (*head, corrected, texts.get(candidate))


def _triplet(head: tuple, task, said) -> Iterator[tuple]:
    anchor, closer = said.parts["triplet"][0]
    texts = {pk: text for pk, text, _ in task.candidates}
    others = [pk for pk in texts if pk != anchor]
    if len(others) != 2:
        return
    nearer = closer if closer is not None else others[0]
    farther = next(pk for pk in others if pk != nearer)
    yield (*head, texts[anchor], texts[nearer], texts[farther], closer is None)


_MAKERS = {
    "preference": _preference,
    "dimension": _dimension,
    "ranking": _ranking,
    "rating": _each("rating", lambda r: r),
    "principle_verdict": _each("verdict", lambda r: r),
    "span_reward": _span,
    "critique": _each("critique", lambda r: (r[0],) if r[0] else None),
    "demonstration": _demonstration,
    "harm": _each("harm", lambda r: r),
    "step": _each("step", lambda r: (r[0], r[1], r[2] or None)),
    "triplet": _triplet,
}


def reaction_row(record, eval_share: float, weight: float) -> tuple:
    """One standing reaction as a row."""
    return (
        str(record.event_id), str(record.message_id), record.person, record.model_version or "",
        *place_of(record.prompt, record.prompt_hash, eval_share), record.answer,
        bool(record.positive), record.reaction, weight, moment(record.created_at),
    )  # fmt: skip


def followup_row(record, eval_share: float) -> tuple:
    """What a person wrote next, after an answer."""
    return (
        str(record.message_id), record.person, record.model_version or "",
        *place_of(record.prompt, record.prompt_hash, eval_share), record.answer,
        record.followup, moment(record.created_at),
    )  # fmt: skip
