"""Writing a project out, a JSON object a line, in constant memory."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from annotation.models import Assignment, Project, PromptItem, Task
from annotation.services import loaded, outgoing
from config.errors import Invalid

BATCH = 500


@dataclass(frozen=True)
class Export:
    """A format to write: `render` gives the records of a task (None: prompts alone are written);
    `loses` says what it cannot hold."""

    name: str
    render: Callable[[loaded.LoadedTask, Counter], Iterator[dict]] | None
    loses: tuple[str, ...] = ()


EXPORTS = {
    export.name: export
    for export in (
        Export(
            "preferendum",
            outgoing.preferendum,
            ("leases, skips and drafts",),
        ),
        Export("trl-preference", outgoing.trl_preference, outgoing.FLAT),
        Export("trl-unpaired", outgoing.trl_unpaired, outgoing.FLAT),
        Export("trl-prompt", None, ("candidates", "judgments", "metadata")),
        Export("ranking", outgoing.ranking, outgoing.FLAT),
        Export("spans", outgoing.spans, ("the order shown", "flags", "time taken")),
        Export("principles", outgoing.principles, ("the order shown", "flags", "time taken")),
        Export("trl-stepwise", outgoing.trl_stepwise, outgoing.FLAT),
        Export("ratings", outgoing.ratings, ("the order shown", "flags", "time taken")),
    )
}


def find(name: str) -> Export:
    """The export format of this name; Invalid, with the names there are, otherwise."""
    if name not in EXPORTS:
        raise Invalid(
            f"There is no export format '{name}'; there are {', '.join(EXPORTS)}.",
            fields={"format": "is not known"},
        )
    return EXPORTS[name]


def lines(*, project: Project, form: Export, lost: Counter | None = None) -> Iterator[bytes]:
    """The records as UTF-8 JSON Lines. `lost` is filled with what was left out, by reason."""
    lost = Counter() if lost is None else lost
    if form.render is None:
        yield from _prompts(project)
        return
    for task in loaded.tasks(project):
        for record in form.render(task, lost):
            yield encode(record)


def _prompts(project: Project) -> Iterator[bytes]:
    """Each prompt once: those of tasks, then those that have no task."""
    used = Task.objects.filter(project=project)
    alone = PromptItem.objects.filter(project=project).exclude(
        prompt_hash__in=used.values("prompt_hash")
    )
    for rows in (used.order_by("prompt_hash", "id").distinct("prompt_hash"), alone.order_by("id")):
        for prompt in rows.values_list("prompt", flat=True).iterator(chunk_size=BATCH):
            yield encode({"prompt": prompt})


def encode(record: dict) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def loss_report(*, project: Project, form: Export, written: int, lost: Counter) -> dict:
    """What the file does not say, for the report beside it."""
    skips = Assignment.objects.filter(task__project=project, state=Assignment.State.SKIPPED)
    left_out = {reason: n for reason, n in sorted(lost.items()) if n}
    if skips.exists():
        left_out["skipped assignments"] = skips.count()
    return {
        "project": project.slug,
        "format": form.name,
        "records": written,
        "cannot_hold": list(form.loses),
        "left_out": left_out,
    }
