"""The tamper-evident log: entries written with each change, sealed into a hash chain afterwards.

Every door that stores or changes a judgment writes an entry in the same transaction:

    made = parts.rows(judgment, checked)
    parts.save(made)
    log.stored(judgment, made, actor=by.pseudonym)       # one INSERT
    log.withdrawn(judgment, actor=by.pseudonym)          # one INSERT ... SELECT
    log.superseded(judgment, actor=by.pseudonym)         # one INSERT ... SELECT

A door that writes its own SQL takes the row from `entry_for_judgment`. Sealing is left to the
background (`annotation.tasks.seal`), so that no submit waits for another one's place in the chain.

The digest of a judgment is the SHA-256 of the canonical JSON of its row and its typed rows; empty
values are left out, so that a column added later changes no digest. Of one that was withdrawn it
is SHA-256(digest before, moment of the withdrawal). The digest of a task covers what people are
shown: prompt and candidates. Counts, states and priorities are no statements of people and are
not covered.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import NamedTuple
from uuid import UUID

import orjson
from django.db import connection, models, transaction
from django.utils import timezone

from annotation.models import Candidate, Judgment, LogEntry, Task

BATCH = 5000
ZERO = bytes(32)
_SEALING = "pg_advisory_xact_lock(hashtextextended('annotation log', 0))"
_FOLLOW = """
INSERT INTO annotation_logentry (project_id, action, subject, subject_id, actor, digest, at)
SELECT project_id, %s, subject, subject_id, %s, {digest}, %s
FROM annotation_logentry WHERE subject = 'judgment' AND subject_id = %s
ORDER BY id DESC LIMIT 1
"""

# What may change without a word in the log, or has a rule of its own.
_NOT_CONTENT = {"assignment_id", "idempotency_key", "withdrawn_at"}


class Head(NamedTuple):
    """The end of the chain. Noted elsewhere, it shows when a log was cut short later."""

    position: int
    chain: bytes

    def __str__(self) -> str:
        return f"{self.position}:{self.chain.hex()}"


# Digests ------------------------------------------------------------------------------------


def moment(at: datetime) -> str:
    """A moment as the log writes it: UTC, ISO 8601, to the microsecond as stored."""
    return at.astimezone(UTC).isoformat()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, UUID):
        return str(value)
    return value


def canonical(content: object) -> bytes:
    """JSON with sorted keys and no spaces: equal content gives equal bytes."""
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a number beyond 64 bits, or keys that are no text
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return text.encode()


def settled(value: object) -> object:
    """JSON as the database gives it back: a whole number has no point and no exponent."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, list):
        return [settled(item) for item in value]
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(Decimal(repr(value)))
    return value


@cache
def _columns(model: type[models.Model]) -> tuple[str, ...]:
    own = tuple(f.attname for f in model._meta.concrete_fields if f.attname not in _NOT_CONTENT)
    if model._meta.model_name == "judgment":
        return own
    return tuple(name for name in own if name not in ("id", "judgment_id"))


def _content(row: models.Model) -> dict:
    values = ((name, getattr(row, name)) for name in _columns(type(row)))
    return {name: _plain(v) for name, v in values if v is not None and v != "" and v != []}


def judgment_digest(judgment: Judgment, rows: Iterable[models.Model]) -> bytes:
    """Of a judgment and its typed rows, in any order, as they stand (withdrawal included)."""
    digest = _stored_digest(judgment, rows)
    if judgment.withdrawn_at is not None:
        digest = hashlib.sha256(digest + moment(judgment.withdrawn_at).encode()).digest()
    return digest


def _stored_digest(judgment: Judgment, rows: Iterable[models.Model]) -> bytes:
    typed = sorted(canonical([row._meta.model_name, _content(row)]).decode() for row in rows)
    return hashlib.sha256(canonical([_content(judgment), typed])).digest()


def task_digest(task: Task, candidates: Iterable[Candidate]) -> bytes:
    """Of what people are shown of a task: its kind, prompt and candidates."""
    shown = sorted([c.position, c.pk, c.content, settled(c.parts)] for c in candidates)
    return shown_digest(task.pk, task.project_id, task.kind, task.prompt, shown)


def shown_digest(pk: int, project_id: int, kind: str, prompt: list, shown: list[list]) -> bytes:
    """As `task_digest`; `shown` are [position, id, content, settled parts] of the candidates."""
    content = [pk, project_id, kind, settled(prompt), shown]
    return hashlib.sha256(canonical(content)).digest()


# Writing ------------------------------------------------------------------------------------


def entry_for_judgment(
    judgment: Judgment,
    rows: Iterable[models.Model],
    *,
    actor: str = "",
    action: str = LogEntry.Action.STORED,
) -> LogEntry:
    """The entry that says so, not saved. `rows` are all typed rows of the judgment."""
    return _entry(judgment, action, judgment_digest(judgment, rows), actor)


def _entry(row: Judgment | Task, action: str, digest: bytes, actor: str) -> LogEntry:
    return LogEntry(
        project_id=row.project_id,
        action=action,
        subject=row._meta.model_name,
        subject_id=str(row.pk),
        actor=actor,
        digest=digest,
        at=timezone.now(),
    )


def history_of(
    judgment: Judgment,
    rows: Iterable[models.Model],
    *,
    actor: str = "",
    is_superseded: bool = False,
) -> list[LogEntry]:
    """The entries of a judgment that arrives with its past: stored, taken back, superseded."""
    digest = _stored_digest(judgment, rows)
    made = [_entry(judgment, LogEntry.Action.STORED, digest, actor)]
    if judgment.withdrawn_at is not None:
        digest = judgment_digest(judgment, rows)
        made.append(_entry(judgment, LogEntry.Action.WITHDRAWN, digest, actor))
    if is_superseded:
        made.append(_entry(judgment, LogEntry.Action.SUPERSEDED, digest, actor))
    return made


def entry_for_task(task: Task, candidates: Iterable[Candidate], *, actor: str = "") -> LogEntry:
    """The entry of a new task, not saved."""
    return LogEntry(
        project_id=task.project_id,
        action=LogEntry.Action.CREATED,
        subject="task",
        subject_id=str(task.pk),
        actor=actor,
        digest=task_digest(task, candidates),
        at=timezone.now(),
    )


def noted(
    *, project_id: int, action: str, subject: str, subject_id: object, content: object, actor: str
) -> None:
    """Say what became of something that is neither judgment nor task: a project's settings, a
    membership, a principle. The digest is that of `content`."""
    LogEntry.objects.create(
        project_id=project_id,
        action=action,
        subject=subject,
        subject_id=str(subject_id),
        actor=actor,
        digest=hashlib.sha256(canonical(content)).digest(),
        at=timezone.now(),
    )


def stored(judgment: Judgment, rows: Iterable[models.Model], *, actor: str) -> None:
    """Say that a judgment was stored: one INSERT, in the caller's transaction."""
    entry_for_judgment(judgment, rows, actor=actor).save(force_insert=True)


def changed(judgment: Judgment, rows: Iterable[models.Model], *, actor: str) -> None:
    """Say that a judgment's row was changed in place; `rows` are all its typed rows."""
    entry_for_judgment(judgment, rows, actor=actor, action=LogEntry.Action.CHANGED).save(
        force_insert=True
    )


def withdrawn(judgment: Judgment, *, actor: str) -> None:
    """Say that a judgment was taken back, at its `withdrawn_at`."""
    _follow(
        judgment,
        LogEntry.Action.WITHDRAWN,
        actor,
        "sha256(digest || convert_to(%s, 'UTF8'))",
        [moment(judgment.withdrawn_at)],
    )


def superseded(judgment: Judgment, *, actor: str) -> None:
    """Say that a newer judgment stands in place of this one, whose row is unchanged."""
    _follow(judgment, LogEntry.Action.SUPERSEDED, actor, "digest", [])


def _follow(judgment: Judgment, action: str, actor: str, digest: str, values: list) -> None:
    """An entry that starts from the last one about the same judgment."""
    with connection.cursor() as cursor:
        cursor.execute(
            _FOLLOW.format(digest=digest),
            [action, actor, *values, timezone.now(), str(judgment.pk)],
        )


def erased(rows: Iterable[Judgment | Task], *, actor: str) -> None:
    """Say, before they are deleted, that judgments or tasks are erased; the log keeps no content
    of them. A task's judgments are named besides the task."""
    LogEntry.objects.bulk_create(
        (_entry(row, LogEntry.Action.ERASED, ZERO, actor) for row in rows), batch_size=2000
    )


# Sealing ------------------------------------------------------------------------------------


def link(before: bytes, position: int, entry: LogEntry) -> bytes:
    """The chain hash of an entry at a position: SHA-256(chain before, canonical entry)."""
    content = [
        position,
        entry.project_id,
        entry.action,
        entry.subject,
        entry.subject_id,
        entry.actor,
        bytes(entry.digest).hex(),
        moment(entry.at),
    ]
    return hashlib.sha256(before + canonical(content)).digest()


def head() -> Head:
    """The last sealed position and its chain hash; position 0 and zeros before the first."""
    last = (
        LogEntry.objects.exclude(position=None)
        .order_by("-position")
        .values_list("position", "chain")
        .first()
    )
    return Head(last[0], bytes(last[1])) if last else Head(0, ZERO)


def seal() -> int:
    """Give every entry that is committed its place in the chain; returns how many there were.

    One sealer at a time (advisory lock); a batch a transaction. An entry committed late takes the
    next place, so positions follow the order in which changes became visible.
    """
    sealed = 0
    while (done := _seal_batch()) > 0:
        sealed += done
        if done < BATCH:
            break
    return sealed


@transaction.atomic
def _seal_batch() -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_SEALING}")
        position, chain = head()
        entries = list(LogEntry.objects.filter(position=None).order_by("id")[:BATCH])
        places, chains = [], []
        for entry in entries:
            position += 1
            chain = link(chain, position, entry)
            places.append(position)
            chains.append(chain)
        if entries:
            cursor.execute(
                "UPDATE annotation_logentry e SET position = u.position, chain = u.chain"
                " FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[])"
                " AS u(id, position, chain) WHERE e.id = u.id",
                [[entry.pk for entry in entries], places, chains],
            )
    return len(entries)


def sealed_entries() -> Iterator[LogEntry]:
    """Every sealed entry by position, in constant memory."""
    return LogEntry.objects.exclude(position=None).order_by("position").iterator(chunk_size=BATCH)
