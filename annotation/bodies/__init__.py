"""The body of a judgment of each kind: read strictly, with the field and the reason of a refusal.

No Django here: import, REST and pages read the same bodies through `read`. Candidates are named
by id. Offsets are Unicode code points of the candidate's raw text, end exclusive.

A task may ask several kinds at once: the fields of the first stand in the body itself, those of
each other kind under `also`, as in `{"outcome": "tie", "also": {"rating": {"ratings": [...]}}}`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from annotation.bodies.fields import (
    LONGEST_TEXT,
    OUTCOMES,
    VERDICTS,
    Question,
    Wrong,
    read_flags,
    read_seconds,
    read_text,
)
from annotation.bodies.kinds import READERS
from config.errors import Invalid

__all__ = [
    "COMMON",
    "LONGEST_TEXT",
    "OUTCOMES",
    "READERS",
    "VERDICTS",
    "Body",
    "Question",
    "Wrong",
    "read",
]

COMMON = {"kind", "token", "flags", "seconds", "rationale", "also"}


@dataclass(frozen=True)
class Body:
    """A body that passed: what all kinds share, and the checked answer of each kind asked."""

    kind: str
    answer: dict
    rationale: str = ""
    flags: tuple[str, ...] = ()
    seconds: float | None = None
    also: Mapping[str, dict] = field(default_factory=dict)


def read(question: Question, body: object) -> Body:
    """Check a body against what was asked. Raises Invalid naming the field and the reason."""
    try:
        if not isinstance(body, dict):
            raise Wrong("body", "must be a JSON object")
        kind = body.get("kind", question.kind)
        if kind != question.kind:
            raise Wrong("kind", f"must be {question.kind}, which is what the task asks for")
        return Body(
            kind=question.kind,
            answer=_answer(question, question.kind, body, COMMON),
            rationale=read_text(body, "rationale"),
            flags=tuple(read_flags(body)),
            seconds=read_seconds(body),
            also=_also(question, body.get("also")),
        )
    except Wrong as exc:
        where = exc.where.encode("utf-8", "replace").decode()
        raise Invalid(f"{where} {exc.reason}.", fields={where: exc.reason}) from None


def _answer(question: Question, kind: str, body: dict, besides: set[str]) -> dict:
    reader, fields = READERS[kind]
    unknown = sorted(set(map(str, body)) - besides - fields)
    if unknown:
        raise Wrong(unknown[0], f"is not a field of a {kind} judgment")
    return reader(question, body)


def _also(question: Question, given: object) -> dict[str, dict]:
    """The answers of the further kinds: each that was asked, and none that was not."""
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise Wrong("also", "must be an object with one body a kind")
    unknown = sorted(set(map(str, given)) - set(question.also))
    if unknown:
        raise Wrong(f"also.{unknown[0]}", "is not asked by this task")
    answers = {}
    for kind in question.also:
        if not isinstance(given.get(kind), dict):
            raise Wrong(f"also.{kind}", "is asked by this task and must be an object")
        try:
            answers[kind] = _answer(question, kind, given[kind], set())
        except Wrong as exc:
            raise Wrong(f"also.{kind}.{exc.where}", exc.reason) from None
    return answers
