"""Creating tasks, prompts and imported judgments in bulk."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from django.db import DataError, IntegrityError, transaction

from annotation.formats.items import CandidateIn, JudgmentIn, PromptIn, Read, TaskIn
from annotation.models import Project, PromptItem, Task
from annotation.services.checking import Checker, Ready
from annotation.services.writing import Writer
from config.errors import Conflict, Invalid

__all__ = ["CandidateIn", "Created", "JudgmentIn", "PromptIn", "TaskIn", "create_tasks", "store"]

BATCH = 500
BATCH_CHARACTERS = 4_000_000
MOST_ERRORS = 100


@dataclass
class Created:
    """What a bulk creation did. `errors` are (line, reason), at most MOST_ERRORS of them."""

    tasks: int = 0
    prompts: int = 0
    candidates: int = 0
    judgments: int = 0
    skipped: int = 0
    refused: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)
    notes: Counter = field(default_factory=Counter)

    def refuse(self, line: int, reason: str) -> None:
        self.refused += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append((line, reason))


def create_tasks(*, project: Project, tasks: Iterable[TaskIn], source: str = "import") -> Created:
    """Store tasks, all or none. Raises Invalid naming the first ones that cannot be."""
    reads = (Read(number, item) for number, item in enumerate(tasks, start=1))
    created = store(project=project, reads=reads, source=source)
    if created.errors:
        number, reason = created.errors[0]
        raise Invalid(f"Task {number}: {reason}.", fields={f"tasks[{number - 1}]": reason})
    return created


class _Undo(Exception):
    """Leaves the transaction without keeping anything."""


def store(
    *,
    project: Project,
    reads: Iterable[Read],
    source: str = "import",
    partial: bool = False,
    dry_run: bool = False,
    progress=None,
    actor: str = "",
) -> Created:
    """Write what was read, in batches inside one transaction; memory does not grow.

    Without `partial` one refusal undoes everything (the counts are then zero, the errors stand);
    `dry_run` undoes everything and keeps the counts. `progress` is called with each line number;
    the log names `actor` (a pseudonym) for what is written.
    """
    created = Created()
    filler = _Filler(project, source, created, actor)
    try:
        with transaction.atomic():
            for batch in _batches(reads, created, progress):
                if created.refused and not partial:
                    filler.check_only(batch)
                else:
                    filler.write(batch)
                if created.refused >= MOST_ERRORS and not partial:
                    break
            if dry_run or (created.refused and not partial):
                raise _Undo
    except (IntegrityError, DataError) as exc:
        reason = str(exc).splitlines()[0]
        raise Conflict(
            f"The database refused the import, and nothing was kept: {reason}. If someone else "
            "imports into this project at the moment, try again when they are done."
        ) from None
    except _Undo:
        if created.refused and not partial:
            created.tasks = created.prompts = created.candidates = created.judgments = 0
    return created


def _batches(reads: Iterable[Read], created: Created, progress) -> Iterator[list[Read]]:
    batch: list[Read] = []
    size = 0
    for read in reads:
        if progress is not None:
            progress(read.number)
        if read.error is not None:
            created.refuse(read.number, read.error)
            if created.refused >= MOST_ERRORS:
                yield batch
                batch, size = [], 0
            continue
        batch.append(read)
        if isinstance(read.item, TaskIn):
            size += sum(len(c.content) for c in read.item.candidates if isinstance(c.content, str))
        if len(batch) >= BATCH or size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Filler:
    """Checks what was read, batch by batch, and hands it on to be written."""

    def __init__(self, project: Project, source: str, created: Created, actor: str):
        self.project, self.created = project, created
        self.checker = Checker(project, source)
        self.writer = Writer(project, source, actor)

    def check_only(self, batch: list[Read]) -> None:
        """Look for further refusals once something was refused; nothing is written."""
        self._ready(batch)

    def write(self, batch: list[Read]) -> None:
        ready, prompts = self._ready(batch)
        if prompts:
            new = self.writer.prompts(prompts)
            self.created.prompts += new
            self.created.skipped += len(prompts) - new
            if len(prompts) > new:
                self.created.notes["prompts that were there already"] += len(prompts) - new
        if ready:
            self.writer.tasks(ready)
            self.created.tasks += len(ready)
            self.created.candidates += sum(len(r.candidates) for r in ready)
            self.created.judgments += sum(len(r.judgments) for r in ready)

    def _ready(self, batch: list[Read]) -> tuple[list[Ready], list[PromptItem]]:
        ready: list[Ready] = []
        prompts: list[PromptItem] = []
        taken_tasks = self._existing(Task, batch, TaskIn)
        taken_prompts = self._existing(PromptItem, batch, PromptIn)
        for read in batch:
            try:
                if isinstance(read.item, PromptIn):
                    self._claim_id(read.item.external_id, taken_prompts)
                    prompts.append(self.checker.prompt(read.item))
                else:
                    self._claim_id(read.item.external_id, taken_tasks)
                    ready.append(self.checker.task(read.item))
            except Invalid as exc:
                self.created.refuse(read.number, exc.detail.rstrip("."))
        return ready, prompts

    def _existing(self, model, batch: list[Read], kind: type) -> set[str]:
        wanted = [
            r.item.external_id
            for r in batch
            if isinstance(r.item, kind) and isinstance(r.item.external_id, str)
        ]
        if not wanted:
            return set()
        return set(
            model.objects.filter(project=self.project, external_id__in=wanted).values_list(
                "external_id", flat=True
            )
        )

    @staticmethod
    def _claim_id(external_id: str | None, taken: set[str]) -> None:
        if external_id is None:
            return
        if not isinstance(external_id, str) or not 0 < len(external_id) <= 200:
            raise Invalid("external_id must be text of 1 to 200 characters.")
        if external_id in taken:
            raise Invalid(f"external_id '{external_id}' is there twice or already in the project.")
        taken.add(external_id)
