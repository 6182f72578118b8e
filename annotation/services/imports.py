"""Filling a project from a stream or a file."""

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from annotation import formats
from annotation.formats import lines, mapping
from annotation.formats.items import Format, Read, TaskIn
from annotation.models import Project
from annotation.services.tasks import Created, store
from config.errors import Invalid
from config.models import User


def import_stream(
    *,
    project: Project,
    stream: BinaryIO,
    format: str,
    kind: str = "",
    partial: bool = False,
    dry_run: bool = False,
    progress=None,
    by: User | None = None,
    map: str = "",
) -> Created:
    """Read a stream of one of `formats.IMPORTS` into a project; memory does not grow with it.

    `map` renames fields first (`formats.mapping.read_map`); `by` is named in the log. Nothing is
    kept when any record is refused, unless `partial`. Raises Invalid for an unknown
    format or a kind the format does not give, and for a stream without records.
    """
    form = formats.find(format)
    if kind and form.kinds and kind not in form.kinds:
        raise Invalid(
            f"The format '{format}' gives {' or '.join(form.kinds)}, not '{kind}'.",
            fields={"kind": "is not given by this format"},
        )
    left_out: Counter = Counter()
    created = store(
        project=project,
        reads=_asked(reads_of(form, stream, kind, map), form, kind, project, left_out),
        source="import" if format == "preferendum" else format,
        partial=partial,
        dry_run=dry_run,
        progress=progress,
        actor=by.pseudonym if by is not None else "",
    )
    created.notes.update(left_out)
    if not (created.refused or created.tasks or created.prompts or created.skipped):
        raise Invalid("There is nothing to import: not one record was found.")
    return created


def reads_of(form: Format, stream: BinaryIO, kind: str = "", map: str = "") -> Iterator[Read]:
    """What a format reads from a stream, its fields renamed where a mapping says so."""
    found = lines.read(stream)
    names = mapping.read_map(map)
    return form.read(mapping.renamed(found, names, form.inside) if names else found, kind)


def _asked(
    reads: Iterator[Read], form: Format, kind: str, project: Project, left_out: Counter
) -> Iterator[Read]:
    """Of a format that gives several kinds at once, those the project asks, if it asks any."""
    if kind or not set(form.together) & set(project.kinds):
        yield from reads
        return
    for read in reads:
        if isinstance(read.item, TaskIn) and read.item.kind not in project.kinds:
            left_out[f"{read.item.kind} tasks left out, which the project does not ask"] += 1
        else:
            yield read


def summary(created: Created) -> dict:
    """Counts and refusals as the REST answer and the command print them."""
    return {
        "created": created.tasks,
        "tasks": created.tasks,
        "prompts": created.prompts,
        "candidates": created.candidates,
        "judgments": created.judgments,
        "skipped": created.skipped,
        "refused": created.refused,
        "errors": [{"line": line, "reason": reason} for line, reason in created.errors],
    }


def refusal(created: Created) -> str:
    """One sentence on why nothing was imported."""
    line, reason = created.errors[0]
    count = "one line was" if created.refused == 1 else f"{created.refused} lines were"
    return f"Nothing was imported: {count} refused. Line {line}: {reason}."
