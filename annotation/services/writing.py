"""Rows in bulk, by COPY: what imports and rounds put into a project."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import uuid4

from django.db import connection, models
from django.utils import timezone

from annotation import bodies
from annotation.formats.items import CandidateIn, JudgmentIn
from annotation.formats.preferendum import renamed
from annotation.models import Candidate, Judgment, LogEntry, Project, PromptItem, Task
from annotation.services import log, parts
from annotation.services.checking import Ready
from config.models import User
from inference.models import ModelVersion

_TASK = (
    "id", "project_id", "external_id", "kind", "also", "prompt", "prompt_hash", "overlap",
    "taken", "done", "priority", "state", "gold", "gold_note", "is_calibration", "skills",
    "source", "metadata", "adjudicated_at", "created_at",
)  # fmt: skip
_CANDIDATE = (
    "id", "task_id", "position", "content", "parts", "model", "model_version_id", "sampling",
    "logprob", "author_id",
)  # fmt: skip
_ENTRY = ("project_id", "action", "subject", "subject_id", "actor", "digest", "at")


def copy(model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    """COPY rows into the table of a model."""
    table = connection.ops.quote_name(model._meta.db_table)
    names = ", ".join(connection.ops.quote_name(name) for name in columns)
    statement = f"COPY {table} ({names}) FROM STDIN"
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement) as into,
    ):
        for row in rows:
            into.write_row(row)


def copy_models(made: Iterable[models.Model]) -> None:
    """COPY instances of models without JSON, a table after another in the order first met."""
    by_type: dict[type[models.Model], list] = defaultdict(list)
    for row in made:
        by_type[type(row)].append(row)
    for model, rows in by_type.items():
        fields = [f.attname for f in model._meta.concrete_fields]
        if rows[0].pk is None:
            fields.remove(model._meta.pk.attname)
        copy(model, fields, ([getattr(row, f) for f in fields] for row in rows))


def _numbers(model: type[models.Model], count: int) -> list[int]:
    """New primary keys for a table."""
    with connection.cursor() as cursor:
        cursor.execute(
            # OFFSET 0: the sequence is looked up once, not for every number.
            "SELECT nextval(s.name) FROM generate_series(1, %s),"
            " (SELECT pg_get_serial_sequence(%s, 'id')::regclass AS name OFFSET 0) s",
            [count, model._meta.db_table],
        )
        return [number for (number,) in cursor.fetchall()]


def _json(value: object) -> str | None:
    """JSON for COPY; whole numbers beyond 64 bits go the slow way."""
    if value is None:
        return None
    if value == {}:
        return "{}"
    return log.canonical(value).decode()


class Writer:
    """Writes checked items; keeps small caches of people and model versions."""

    def __init__(self, project: Project, source: str, actor: str):
        self.project, self.source, self.actor = project, source, actor
        self.people: dict[tuple[bool, str], int] = {}
        self.versions: dict[str, ModelVersion | None] = {}

    def prompts(self, items: list[PromptItem]) -> int:
        """Write the prompts that are not there yet; returns how many."""
        fresh = {item.prompt_hash: item for item in reversed(items)}
        known = set(
            PromptItem.objects.filter(
                project=self.project, prompt_hash__in=list(fresh)
            ).values_list("prompt_hash", flat=True)
        )
        new = [i for i in items if i is fresh[i.prompt_hash] and i.prompt_hash not in known]
        PromptItem.objects.bulk_create(new)
        return len(new)

    def tasks(self, ready: list[Ready]) -> None:
        """Write tasks with their candidates, judgments and entries in the log."""
        now = timezone.now().isoformat()  # as text: written for every row, and read by COPY
        for r, pk in zip(ready, _numbers(Task, len(ready)), strict=True):
            r.pk = pk
        numbers = iter(_numbers(Candidate, sum(len(r.candidates) for r in ready)))
        for r in ready:
            r.ids = [next(numbers) for _ in r.candidates]
        # What can fail in Python fails before the first COPY is open.
        tasks = [self._task(r, now) for r in ready]
        candidates = [
            self._candidate(r, place, given)
            for r in ready
            for place, given in enumerate(r.candidates)
        ]
        judgments, typed, entries = self._judgments(ready)
        copy(Task, _TASK, tasks)
        copy(Candidate, _CANDIDATE, candidates)
        # Later versions point at earlier ones; the keys are checked at the end of the transaction.
        copy_models(judgments)
        copy_models(typed)
        created = [
            (self.project.pk, "created", "task", str(r.pk), self.actor, self._digest(r), now)
            for r in ready
        ]
        told = [[getattr(e, name) for name in _ENTRY] for e in entries]
        copy(LogEntry, _ENTRY, [*created, *told])

    def _digest(self, r: Ready) -> bytes:
        shown = [
            [place, pk, c.content, log.settled(c.parts)]
            for place, (pk, c) in enumerate(zip(r.ids, r.candidates, strict=True))
        ]
        return log.shown_digest(r.pk, self.project.pk, r.kind, r.prompt, shown)

    def _task(self, r: Ready, now: str) -> tuple:
        return (
            r.pk, self.project.pk, r.external_id, r.kind, r.also or "{}", _json(r.prompt),
            r.prompt_hash, r.overlap, r.standing, r.standing, r.priority, r.state, _json(r.gold),
            r.gold_note, r.is_calibration, r.skills or "{}", r.source, _json(r.metadata),
            r.adjudicated_at, r.created_at or now,
        )  # fmt: skip

    def _candidate(self, r: Ready, place: int, given: CandidateIn) -> tuple:
        version = self._version(given.model_version) if given.model_version is not None else None
        return (
            r.ids[place], r.pk, place, given.content, _json(given.parts), given.model[:200],
            version.pk if version is not None else None, _json(given.sampling), given.logprob,
            given.author.pk if given.author is not None else None,
        )  # fmt: skip

    def _judgments(
        self, ready: list[Ready]
    ) -> tuple[list[Judgment], list[models.Model], list[LogEntry]]:
        made: list[Judgment] = []
        typed: list[models.Model] = []
        entries: list[LogEntry] = []
        for r in ready:
            by_ref: dict[object, Judgment] = {}
            superseded = {given.supersedes for given, _ in r.judgments}
            for given, body in r.judgments:
                judgment = self._judgment(r, given, body, by_ref)
                made.append(judgment)
                own = parts.rows(judgment, _with_ids(body, r.ids))
                typed += own
                entries += log.history_of(
                    judgment,
                    own,
                    actor=self.actor,
                    is_superseded=given.ref is not None and given.ref in superseded,
                )
        return made, typed, entries

    def _version(self, given: object) -> ModelVersion | None:
        if isinstance(given, ModelVersion):
            return given
        name = str(given)
        if name not in self.versions:
            self.versions[name] = ModelVersion.objects.filter(name=name).first()
        return self.versions[name]

    def _judgment(self, r: Ready, given: JudgmentIn, body: bodies.Body, by_ref: dict) -> Judgment:
        judgment = Judgment(
            id=uuid4(),
            project_id=self.project.pk,
            task_id=r.pk,
            annotator_id=self._person(given),
            kind=body.kind,
            source=given.source if given.source in Judgment.Source.values else "import",
            shown=[r.ids[place] for place in (given.shown or range(len(r.ids)))],
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


def _with_ids(body: bodies.Body, ids: list[int]) -> bodies.Body:
    """The same body with candidates by id instead of by place."""
    named = dict(enumerate(ids))
    also = {kind: renamed(answer, named) for kind, answer in body.also.items()}
    return replace(body, answer=renamed(body.answer, named), also=also)
