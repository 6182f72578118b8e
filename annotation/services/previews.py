"""A look at a file before it is imported: its format, its fields, its first tasks, its errors."""

import io
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from annotation import formats
from annotation.formats import guessing, lines, mapping
from annotation.formats.items import PromptIn, Read, TaskIn
from annotation.models import Project
from annotation.prompts import content_text
from annotation.services.checking import Checker
from annotation.services.imports import reads_of
from config.errors import Invalid
from config.markdown import render

SAMPLE = 1024 * 1024
HEAD = 64 * 1024
SHOWN = 5
MOST_ERRORS = 50
MOST_RECORDS = 2000
_CUT = 20_000


class Rejoined:
    """A stream whose beginning was read already."""

    def __init__(self, head: bytes, rest: BinaryIO):
        self._head, self._rest = io.BytesIO(head), rest

    def read(self, size: int = -1) -> bytes:
        return self._head.read(size) or self._rest.read(size)


def guessed(stream: BinaryIO) -> tuple[str, BinaryIO]:
    """The format of a stream told by its beginning, and the stream from its beginning again."""
    head = _read_up_to(stream, HEAD)
    return guessing.guess(_records(head, SHOWN)), Rejoined(head, stream)


def _read_up_to(stream: BinaryIO, most: int) -> bytes:
    found = bytearray()
    while len(found) < most and (chunk := stream.read(most - len(found))):
        found += chunk
    return bytes(found)


def _records(data: bytes, most: int) -> list[object]:
    found = (line.value for line in lines.of_bytes(data) if line.error is None)
    return list(islice(found, most))


def preview(
    *,
    project: Project,
    stream: BinaryIO,
    format: str = "",
    kind: str = "",
    map: str = "",
    whole: bool | None = None,
) -> dict:
    """What an import of this file would do, from at most SAMPLE bytes of it; nothing is stored.

    `whole` says whether the stream is the whole file (None: it is, unless it goes on after
    SAMPLE). An error at the very end of a file that goes on is the cut, and left out. Raises
    Invalid for an unknown format, kind or mapping, and for a file without a single record.
    """
    data = _read_up_to(stream, SAMPLE + 1)
    complete = len(data) <= SAMPLE if whole is None else whole and len(data) <= SAMPLE
    data = data[:SAMPLE]
    sample = _records(data, 50)
    name = format or guessing.guess(sample)
    form = formats.find(name)
    if kind and form.kinds and kind not in form.kinds:
        raise Invalid(
            f"The format '{name}' gives {' or '.join(form.kinds)}, not '{kind}'.",
            fields={"kind": "is not given by this format"},
        )
    found = guessing.fields(sample, form.inside)
    reads = list(islice(reads_of(form, io.BytesIO(data), kind, map), MOST_RECORDS))
    if not complete and reads and reads[-1].error is not None:
        reads.pop()
    if not reads:
        raise Invalid("There is nothing to import: not one record was found.")
    checked = list(_checked(project, name, reads))
    errors = [{"line": r.number, "reason": r.error} for r in checked if r.error is not None]
    good = [r.item for r in checked if r.error is None]
    return {
        "format": name,
        "guessed": not format,
        "formats": [
            {"name": f.name, "says": f.says, "kinds": list(f.kinds), "labelled": f.labelled}
            for f in formats.IMPORTS.values()
        ],
        "fields": found,
        "suggested": guessing.suggest(found),
        "map": mapping.read_map(map),
        "tasks": [_shown(item) for item in good if isinstance(item, TaskIn)][:SHOWN],
        "prompts": [_prompt(item.prompt) for item in good if isinstance(item, PromptIn)][:SHOWN],
        "records": len(reads),
        "good": len(good),
        "refused": len(errors),
        "errors": errors[:MOST_ERRORS],
        "complete": complete and len(reads) < MOST_RECORDS,
    }


def _checked(project: Project, name: str, reads: list[Read]) -> Iterator[Read]:
    """The records with what the project would say to them."""
    checker = Checker(project, name[:20])
    seen: set[str] = set()
    together = formats.find(name).together
    for read in reads:
        item = read.item
        if item is None:
            yield read
            continue
        asked = project.kinds
        if isinstance(item, TaskIn) and item.kind not in asked and set(together) & set(asked):
            continue
        try:
            checker.task(item) if isinstance(item, TaskIn) else checker.prompt(item)
            if item.external_id is not None and item.external_id in seen:
                raise Invalid(f"external_id '{item.external_id}' is there twice.")
        except Invalid as exc:
            yield Read(read.number, error=exc.detail.rstrip("."))
            continue
        seen.add(item.external_id)
        yield read


def _shown(item: TaskIn) -> dict:
    """A task as its annotators would meet it; names of models are there for the researcher."""
    return {
        "kind": item.kind,
        "also": item.also,
        "external_id": item.external_id,
        "prompt": _prompt(item.prompt),
        "candidates": [
            {"html": render(c.content[:_CUT]), "text": c.content[:_CUT], "model": c.model}
            for c in item.candidates
        ],
        "judgments": len(item.judgments),
        "gold": item.gold is not None,
        "metadata": sorted(map(str, item.metadata)),
    }


def _prompt(prompt: object) -> list[dict]:
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    told = [(m["role"], content_text(m["content"])[:_CUT]) for m in messages]
    return [{"role": role, "html": render(text), "text": text} for role, text in told]
