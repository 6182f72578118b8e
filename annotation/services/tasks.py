"""Creating tasks, prompts and imported judgments in bulk."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from uuid import uuid4

from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from annotation import bodies
from annotation.formats.items import CandidateIn, JudgmentIn, PromptIn, Read, TaskIn
from annotation.formats.preferendum import renamed
from annotation.models import Candidate, Judgment, LogEntry, Project, PromptItem, Task
from annotation.prompts import normalise, prompt_hash
from annotation.services import log, parts
from annotation.services.questions import principle_names, question
from config.errors import Conflict, Invalid
from config.models import User
from inference.models import ModelVersion

__all__ = ["CandidateIn", "Created", "JudgmentIn", "PromptIn", "TaskIn", "create_tasks", "store"]

BATCH = 500
BATCH_CHARACTERS = 4_000_000
MOST_ERRORS = 100
CANDIDATES = {"pairwise": (2, 2), "listwise": (2, 20), "safety": (2, 2), "triplet": (3, 3)}


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
    writer = _Writer(project, source, created, actor)
    try:
        with transaction.atomic():
            for batch in _batches(reads, created, progress):
                if created.refused and not partial:
                    writer.check_only(batch)
                else:
                    writer.write(batch)
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


@dataclass(slots=True)
class _Ready:
    """A checked task with everything needed to write its rows."""

    number: int
    task: Task
    candidates: list[CandidateIn]
    judgments: list[tuple[JudgmentIn, bodies.Body]]


class _Writer:
    """Turns checked items into rows; keeps small caches of people and model versions."""

    def __init__(self, project: Project, source: str, created: Created, actor: str):
        self.project, self.source, self.created = project, source, created
        self.actor = actor
        self.people: dict[tuple[bool, str], int] = {}
        self.versions: dict[str, object] = {}
        self._principles: dict[str, int] | None = None

    @property
    def principles(self) -> dict[str, int]:
        if self._principles is None:
            self._principles = principle_names(self.project)
        return self._principles

    def check_only(self, batch: list[Read]) -> None:
        """Look for further refusals once something was refused; nothing is written."""
        self._ready(batch)

    def write(self, batch: list[Read]) -> None:
        ready, prompts = self._ready(batch)
        if prompts:
            self._write_prompts(prompts)
        if ready:
            self._write_tasks(ready)

    def _ready(self, batch: list[Read]) -> tuple[list[_Ready], list[PromptItem]]:
        ready: list[_Ready] = []
        prompts: list[PromptItem] = []
        taken_tasks = self._existing(Task, batch, TaskIn)
        taken_prompts = self._existing(PromptItem, batch, PromptIn)
        for read in batch:
            try:
                if isinstance(read.item, PromptIn):
                    self._claim_id(read.item.external_id, taken_prompts)
                    prompts.append(self._prompt(read.item))
                else:
                    self._claim_id(read.item.external_id, taken_tasks)
                    ready.append(self._task(read.number, read.item))
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

    # Checking ---------------------------------------------------------------------------

    def _prompt(self, item: PromptIn) -> PromptItem:
        prompt = normalise(item.prompt)
        return PromptItem(
            project=self.project,
            external_id=item.external_id,
            prompt=prompt,
            prompt_hash=prompt_hash(prompt),
            group=str(item.group)[:60],
            split=str(item.split)[:20],
            metadata=item.metadata,
        )

    def _task(self, number: int, item: TaskIn) -> _Ready:
        project = self.project
        if item.kind not in project.kinds:
            raise Invalid(
                f"kind '{item.kind}' is not asked in this project ({', '.join(project.kinds)})."
            )
        also = _also(item, project)
        for kind in (item.kind, *also):
            low, high = CANDIDATES.get(kind, (1, 20))
            if not low <= len(item.candidates) <= high:
                wanted = f"{low}" if low == high else f"{low} to {high}"
                raise Invalid(
                    f"a {kind} task has {wanted} candidates, this one {len(item.candidates)}."
                )
        prompt = normalise(item.prompt)
        places = tuple(range(len(item.candidates)))
        asked = question(
            kind=item.kind,
            project=project,
            candidates=places,
            text=lambda place: item.candidates[place].content,
            principles=self.principles if "principle" in (item.kind, *also) else {},
            also=also,
            prompt=prompt,
            metadata=item.metadata,
        )
        if item.gold is not None:
            bodies.read(asked, item.gold)
        elif item.is_calibration:
            raise Invalid("is_calibration needs a gold answer.")
        if any(len(skill) > 40 for skill in item.skills):
            raise Invalid("skills must be names of at most 40 characters.")
        judgments = [
            (judgment, _body(asked, judgment, n)) for n, judgment in enumerate(item.judgments)
        ]
        _once_a_person(item.judgments)
        standing = _standing(item.judgments)
        overlap = _overlap(item.overlap, standing, project.overlap)
        if item.state not in (None, *Task.State.values):
            raise Invalid(f"state must be one of {', '.join(Task.State.values)}.")
        state = item.state or (Task.State.DONE if standing >= overlap else Task.State.OPEN)
        return _Ready(
            number,
            Task(
                project=project,
                external_id=item.external_id,
                kind=item.kind,
                also=also,
                prompt=prompt,
                prompt_hash=prompt_hash(prompt),
                overlap=overlap,
                taken=standing,
                done=standing,
                priority=_priority(item.priority),
                state=state,
                gold=item.gold,
                gold_note=item.gold_note,
                is_calibration=item.is_calibration,
                skills=item.skills,
                source=(item.source or self.source)[:20],
                metadata=item.metadata,
                created_at=item.created_at or timezone.now(),
            ),
            item.candidates,
            judgments,
        )

    # Writing ----------------------------------------------------------------------------

    def _write_prompts(self, items: list[PromptItem]) -> None:
        fresh = {item.prompt_hash: item for item in reversed(items)}
        known = set(
            PromptItem.objects.filter(
                project=self.project, prompt_hash__in=list(fresh)
            ).values_list("prompt_hash", flat=True)
        )
        new = [i for i in items if i is fresh[i.prompt_hash] and i.prompt_hash not in known]
        PromptItem.objects.bulk_create(new)
        self.created.prompts += len(new)
        self.created.skipped += len(items) - len(new)
        if len(items) > len(new):
            self.created.notes["prompts that were there already"] += len(items) - len(new)

    def _write_tasks(self, ready: list[_Ready]) -> None:
        Task.objects.bulk_create(r.task for r in ready)
        rows = [self._candidate(r.task, n, c) for r in ready for n, c in enumerate(r.candidates)]
        Candidate.objects.bulk_create(rows)
        self.created.tasks += len(ready)
        self.created.candidates += len(rows)
        entries: list[LogEntry] = []
        at = 0
        for r in ready:
            own, at = rows[at : at + len(r.candidates)], at + len(r.candidates)
            entries.append(log.entry_for_task(r.task, own, actor=self.actor))
        if any(r.judgments for r in ready):
            self._write_judgments(ready, rows, entries)
        LogEntry.objects.bulk_create(entries, batch_size=2000)

    def _write_judgments(
        self, ready: list[_Ready], rows: list[Candidate], entries: list[LogEntry]
    ) -> None:
        made: list[Judgment] = []
        typed: list = []
        at = 0
        for r in ready:
            ids = [row.pk for row in rows[at : at + len(r.candidates)]]
            at += len(r.candidates)
            by_ref: dict[object, Judgment] = {}
            superseded = {given.supersedes for given, _ in r.judgments}
            for given, body in r.judgments:
                judgment = self._judgment(r, given, body, ids, by_ref)
                made.append(judgment)
                own = parts.rows(judgment, _with_ids(body, ids))
                typed += own
                entries += log.history_of(
                    judgment,
                    own,
                    actor=self.actor,
                    is_superseded=given.ref is not None and given.ref in superseded,
                )
        # Later versions point at earlier ones, so a plain insert in this order is enough.
        Judgment.objects.bulk_create(made, batch_size=1000)
        parts.save(typed)
        self.created.judgments += len(made)

    def _candidate(self, task: Task, place: int, given: CandidateIn) -> Candidate:
        return Candidate(
            task=task,
            position=place,
            content=given.content,
            parts=given.parts,
            model=given.model[:200],
            model_version=self._version(given.model_version),
            sampling=given.sampling,
            logprob=given.logprob,
            author=given.author,
        )

    def _version(self, given: object) -> ModelVersion | None:
        if given is None or isinstance(given, ModelVersion):
            return given
        name = str(given)
        if name not in self.versions:
            self.versions[name] = ModelVersion.objects.filter(name=name).first()
        return self.versions[name]

    def _judgment(
        self, r: _Ready, given: JudgmentIn, body, ids: list[int], by_ref: dict
    ) -> Judgment:
        judgment = Judgment(
            id=uuid4(),
            project=self.project,
            task=r.task,
            annotator_id=self._person(given),
            kind=body.kind,
            source=given.source if given.source in Judgment.Source.values else "import",
            shown=[ids[place] for place in (given.shown or range(len(ids)))],
            rationale=body.rationale,
            flags=list(body.flags),
            seconds=body.seconds,
            surplus=given.surplus,
            created_at=given.created_at or timezone.now(),
            withdrawn_at=given.withdrawn_at,
            supersedes=by_ref.get(given.supersedes) if given.supersedes is not None else None,
        )
        if given.ref is not None:
            by_ref[given.ref] = judgment
        return judgment

    def _person(self, given: JudgmentIn) -> int:
        """The row of an imported annotator, made when first met; they cannot log in."""
        key = (given.pseudonymous, given.annotator)
        if key not in self.people:
            self.people[key] = _imported_user(self.source, *key).pk
        return self.people[key]


def _imported_user(source: str, pseudonymous: bool, name: str) -> User:
    if pseudonymous:
        pseudonym = name[:40]
    else:
        digest = hashlib.sha256(f"{source}\n{name}".encode()).hexdigest()
        pseudonym = f"p-{digest[:10]}"
    user, _ = User.objects.get_or_create(
        pseudonym=pseudonym,
        defaults={
            "username": f"imported-{pseudonym}",
            "password": "!",
            "is_active": False,
            "role": "annotator",
        },
    )
    return user


def _standing(judgments: list[JudgmentIn]) -> int:
    superseded = {j.supersedes for j in judgments if j.supersedes is not None}
    return sum(
        1
        for j in judgments
        if j.withdrawn_at is None and not j.surplus and (j.ref is None or j.ref not in superseded)
    )


def _once_a_person(judgments: list[JudgmentIn]) -> None:
    people = [(j.pseudonymous, j.annotator) for j in judgments if j.withdrawn_at is None]
    if len(set(people)) < len(people):
        raise Invalid("two standing judgments are by the same annotator.")


def _body(asked: bodies.Question, judgment: JudgmentIn, n: int) -> bodies.Body:
    try:
        return bodies.read(asked, judgment.body)
    except Invalid as exc:
        raise Invalid(f"judgments[{n}].{exc.detail}") from None


def _with_ids(body: bodies.Body, ids: list[int]) -> bodies.Body:
    """The same body with candidates by id instead of by place."""
    named = dict(enumerate(ids))
    also = {kind: renamed(answer, named) for kind, answer in body.also.items()}
    return replace(body, answer=renamed(body.answer, named), also=also)


def _also(item: TaskIn, project: Project) -> list[str]:
    """The further kinds of a task: asked in its project, each once, none of them its first."""
    strange = [kind for kind in item.also if kind not in project.kinds]
    if strange:
        raise Invalid(
            f"also: kind '{strange[0]}' is not asked in this project ({', '.join(project.kinds)})."
        )
    return [kind for kind in dict.fromkeys(item.also) if kind != item.kind]


def _overlap(given: object, standing: int, default: int) -> int:
    if given is None:
        return standing or default
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= 100:
        raise Invalid("overlap must be a whole number from 1 to 100.")
    return max(given, standing)


def _priority(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise Invalid("priority must be a number.")
    return float(given)
