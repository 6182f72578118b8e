"""Writing a project out in constant memory: a JSON object a line, an array, or several files."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from annotation.models import Assignment, Project, PromptItem, Task
from annotation.services import bundles, loaded, outgoing, outgoing_tools
from config.errors import Invalid

BATCH = 500


@dataclass(frozen=True)
class Export:
    """A format to write: `render` gives the records of a task (None: prompts alone are written);
    `loses` says what it cannot hold. `array` puts the records into one JSON array instead of a
    line each; `bundle` writes several files to a folder."""

    name: str
    render: Callable[[loaded.LoadedTask, Counter], Iterator[dict]] | None
    loses: tuple[str, ...] = ()
    array: bool = False
    bundle: bundles.Writer | None = None

    @property
    def suffix(self) -> str:
        """How a file of it is named."""
        return ".zip" if self.bundle else ".json" if self.array else ".jsonl"

    @property
    def content_type(self) -> str:
        """What it is sent as."""
        return {
            ".zip": "application/zip",
            ".json": "application/json",
            ".jsonl": "application/x-ndjson",
        }[self.suffix]


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
        Export("label-studio", outgoing_tools.label_studio, outgoing_tools.LOSES, array=True),
        Export(
            "argilla",
            outgoing_tools.argilla,
            outgoing_tools.ARGILLA_LOSES,
            bundle=bundles.argilla,
        ),
        Export(
            "hf-dataset",
            None,
            (
                "tasks nobody judged, gold answers and priorities",
                "judgments undone, decided anew or surplus",
                "sampling parameters and log-probabilities",
            ),
            bundle=bundles.hf_dataset,
        ),
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


def lines(
    *,
    project: Project,
    form: Export,
    lost: Counter | None = None,
    tally: Counter | None = None,
) -> Iterator[bytes]:
    """The records as UTF-8, a JSON object a line or the items of one array.

    `lost` is filled with what was left out, by reason, and `tally["records"]` counts.
    """
    lost = Counter() if lost is None else lost
    tally = Counter() if tally is None else tally
    records = _records(project, form, lost)
    if not form.array:
        for record in records:
            tally["records"] += 1
            yield bundles.encode(record)
        return
    for record in records:
        tally["records"] += 1
        yield (b",\n" if tally["records"] > 1 else b"[\n") + bundles.encode(record).rstrip(b"\n")
    yield b"\n]\n" if tally["records"] else b"[]\n"


def _records(project: Project, form: Export, lost: Counter) -> Iterator[dict]:
    if form.render is None:
        yield from _prompts(project)
        return
    for task in loaded.tasks(project):
        yield from form.render(task, lost)


def body(*, project: Project, form: Export) -> Iterator[bytes]:
    """What an answer over HTTP carries: the records, or a zip of several files."""
    if form.bundle is None:
        return lines(project=project, form=form)

    def report(written: int, lost: Counter) -> dict:
        return loss_report(project=project, form=form, written=written, lost=lost)

    return bundles.streamed(project, form.bundle, report)


def count_loss(*, project: Project, form: Export) -> dict:
    """The loss report without the records."""
    lost, tally = Counter(), Counter()
    if form.bundle is None or form.render is not None:
        for _ in lines(project=project, form=form, lost=lost, tally=tally):
            pass
    else:
        with TemporaryDirectory(prefix="preferendum-export-") as folder:
            form.bundle(project, Path(folder), lost, tally)
    return loss_report(project=project, form=form, written=tally["records"], lost=lost)


def _prompts(project: Project) -> Iterator[dict]:
    """Each prompt once: those of tasks, then those that have no task."""
    used = Task.objects.filter(project=project)
    alone = PromptItem.objects.filter(project=project).exclude(
        prompt_hash__in=used.values("prompt_hash")
    )
    for rows in (used.order_by("prompt_hash", "id").distinct("prompt_hash"), alone.order_by("id")):
        for prompt in rows.values_list("prompt", flat=True).iterator(chunk_size=BATCH):
            yield {"prompt": prompt}


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
