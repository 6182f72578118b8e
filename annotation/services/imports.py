"""Filling a project from a stream or a file."""

from typing import BinaryIO

from annotation import formats
from annotation.formats import lines
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
) -> Created:
    """Read a stream of one of `formats.IMPORTS` into a project; memory does not grow with it.

    Nothing is kept when any record is refused, unless `partial`. Raises Invalid for an unknown
    format or a kind the format does not give, and for a stream without records.
    """
    form = formats.find(format)
    if kind and form.kinds and kind not in form.kinds:
        raise Invalid(
            f"The format '{format}' gives {' or '.join(form.kinds)}, not '{kind}'.",
            fields={"kind": "is not given by this format"},
        )
    created = store(
        project=project,
        reads=form.read(lines.read(stream), kind),
        source="import" if format == "preferendum" else format,
        partial=partial,
        dry_run=dry_run,
        progress=progress,
        actor=by.pseudonym if by is not None else "",
    )
    if not (created.refused or created.tasks or created.prompts or created.skipped):
        raise Invalid("There is nothing to import: not one record was found.")
    return created


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
