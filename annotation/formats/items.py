"""What a format reads into: tasks, prompts, judgments, before they are rows. No Django here."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from annotation.formats.lines import Line


@dataclass(slots=True)
class CandidateIn:
    """An answer to judge. `ref` is what the file calls it; `model_version` a row or its name."""

    content: str
    model: str = ""
    model_version: object = None
    sampling: dict = field(default_factory=dict)
    logprob: float | None = None
    author: object = None
    parts: list | None = None
    ref: object = None


@dataclass(slots=True)
class JudgmentIn:
    """Someone's answer to an imported task; the body names candidates by place from 0.

    `annotator` is a pseudonym when `pseudonymous`, else what the source calls the person, which
    is hashed before it is kept; empty stands for everyone the source does not tell apart.
    """

    body: dict
    annotator: str = ""
    pseudonymous: bool = False
    shown: list[int] | None = None
    created_at: datetime | None = None
    withdrawn_at: datetime | None = None
    surplus: bool = False
    source: str = "import"
    ref: object = None
    supersedes: object = None


@dataclass(slots=True)
class TaskIn:
    """A prompt and its candidates, to be judged by `overlap` people (None: as the project says).

    `also` names further kinds asked on the same page and answered in the same judgment.
    """

    kind: str
    prompt: object
    candidates: list[CandidateIn]
    overlap: int | None = None
    priority: float = 0.0
    external_id: str | None = None
    gold: dict | None = None
    metadata: dict = field(default_factory=dict)
    judgments: list[JudgmentIn] = field(default_factory=list)
    state: str | None = None
    source: str | None = None
    created_at: datetime | None = None
    also: list[str] = field(default_factory=list)
    skills: list[str] = field(default_factory=list)
    gold_note: str = ""
    is_calibration: bool = False


@dataclass(slots=True)
class PromptIn:
    """A prompt without answers."""

    prompt: object
    external_id: str | None = None
    group: str = ""
    split: str = ""
    metadata: dict = field(default_factory=dict)


class Refused(Exception):
    """A record that this format cannot read; the message is the reason."""


class Read(NamedTuple):
    """One thing read from the file, or the reason why not, with its line."""

    number: int
    item: TaskIn | PromptIn | None = None
    error: str | None = None


Parser = Callable[[dict, str], TaskIn | PromptIn | Iterable[TaskIn | PromptIn]]


@dataclass(frozen=True)
class Format:
    """A way to read a file. `parse` takes one record and the kind wanted ("" if none).

    `together` are the kinds it gives at once where none is asked for, `words` the categories and
    attributes it speaks, for a project made for it, and `inside` is where a record keeps its
    fields, when not at its top.
    """

    name: str
    says: str
    parse: Parser
    kinds: tuple[str, ...] = ("pairwise",)
    labelled: bool = False
    together: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inside: str = ""
    read_all: Callable[[Iterator[Line], str], Iterator[Read]] | None = None

    def read(self, lines: Iterator[Line], kind: str = "") -> Iterator[Read]:
        """Every record of a file as tasks or prompts, refusals in their places."""
        if self.read_all is not None:
            yield from self.read_all(lines, kind)
            return
        for line in lines:
            if line.error is not None:
                yield Read(line.number, error=line.error)
                continue
            try:
                yield from read_record(self.parse, line, kind)
            except Refused as exc:
                yield Read(line.number, error=str(exc))


def read_record(parse: Parser, line: Line, kind: str) -> Iterator[Read]:
    """One record through its parser; raises Refused."""
    if not isinstance(line.value, dict):
        raise Refused("is not a JSON object")
    try:
        made = parse(line.value, kind)
        items = [made] if isinstance(made, TaskIn | PromptIn) else list(made)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as exc:
        # What a file may hold is endless; a shape nobody thought of is refused like the others.
        raise Refused(f"has an unexpected shape ({type(exc).__name__}: {exc})") from None
    for item in items:
        yield Read(line.number, item)


def text(record: dict, name: str, *, default: str | None = None) -> str:
    """The text under a name; Refused when it is missing or no text."""
    value = record.get(name, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise Refused(f"{name} is missing" if value is None else f"{name} must be text")
    return value


def rest(record: dict, *used: str) -> dict:
    """The fields that no other place holds, kept as the task's metadata."""
    return {key: value for key, value in record.items() if key not in used}
