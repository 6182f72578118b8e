"""Proving the log: the chain link by link, then every row against what the log last said of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import connection, models, transaction

from annotation.models import Candidate, Judgment, LogEntry, Project, Task
from annotation.models.judgments import Part
from annotation.services import log
from config.errors import Invalid

BATCH = 2000
MOST_NAMED = 100
NOTHING = log.Head(0, log.ZERO)

_LATEST = """
SELECT DISTINCT ON (subject_id) subject_id, action, digest FROM annotation_logentry
WHERE subject = %s AND subject_id = ANY(%s) ORDER BY subject_id, id DESC
"""

_GONE = """
SELECT e.subject_id FROM (
    SELECT DISTINCT ON (subject_id) subject_id, action FROM annotation_logentry
    WHERE subject = %s AND (%s::bigint IS NULL OR project_id = %s)
    ORDER BY subject_id, id DESC
) e
WHERE e.action <> 'erased'
  AND NOT EXISTS (SELECT 1 FROM {table} r WHERE r.id::text = e.subject_id)
ORDER BY e.subject_id
"""


@dataclass
class Found:
    """What a check found. The names are cut at MOST_NAMED of a sort, the counts are not."""

    entries: int = 0
    head: log.Head = NOTHING
    broken: dict | None = None
    rows: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)

    @property
    def intact(self) -> bool:
        return self.broken is None and not self.counts

    def note(self, sort: str, subject: str, key: object) -> None:
        self.counts[sort] = self.counts.get(sort, 0) + 1
        names = self.named.setdefault(sort, [])
        if len(names) < MOST_NAMED:
            names.append(f"{subject} {key}")

    def summary(self) -> dict:
        """As `verify_log --json` prints it."""
        return {
            "intact": self.intact,
            "entries": self.entries,
            "head": str(self.head),
            "broken": self.broken,
            "rows": self.rows,
            **{sort: self.counts.get(sort, 0) for sort in ("altered", "missing", "unlogged")},
            "named": self.named,
        }


def verify(*, project: Project | None = None, expect: str = "") -> Found:
    """Seal what is open, then check the chain and the rows (of one project) at one moment.

    `expect` is a head noted earlier (`position:hash`), which must still be in the chain.
    Raises Invalid when it is none.
    """
    noted = _noted(expect) if expect else None
    log.seal()
    found = Found()
    alone = not connection.in_atomic_block  # otherwise the caller's transaction decides
    with transaction.atomic():
        if alone:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        _chain(found, noted)
        _rows(found, project)
    return found


def _noted(text: str) -> log.Head:
    position, _, chain = text.partition(":")
    try:
        head = log.Head(int(position), bytes.fromhex(chain))
        # A place before the first entry would never be met, and so prove nothing.
        if head.position < 0 or (head.position == 0 and head.chain != log.ZERO):
            raise ValueError
        return head
    except ValueError:
        raise Invalid(
            "A head of the log is written position:hash.", fields={"expect": "is no head"}
        ) from None


def _chain(found: Found, noted: log.Head | None) -> None:
    at, chain = 0, log.ZERO
    for entry in log.sealed_entries():
        at += 1
        if entry.position != at:
            found.broken = {"position": at, "reason": "the entry of this position is missing"}
            return
        chain = log.link(chain, at, entry)
        if chain != bytes(entry.chain):
            found.broken = {"position": at, "reason": "the entry is not what was sealed here"}
            return
        if noted is not None and at == noted.position and chain != noted.chain:
            found.broken = {"position": at, "reason": "the chain is not the one noted"}
            return
        found.entries = at
    found.head = log.Head(at, chain)
    if noted is not None and at < noted.position:
        found.broken = {"position": at + 1, "reason": "the log ends before the head noted"}


def _rows(found: Found, project: Project | None) -> None:
    for judgments, typed in _judgments(project):
        latest = _latest("judgment", [str(row.pk) for row in judgments])
        for row in judgments:
            digest = log.judgment_digest(row, typed.get(row.pk, ()))
            _compare(found, "judgment", row.pk, digest, latest)
    for tasks, candidates in _tasks(project):
        latest = _latest("task", [str(row.pk) for row in tasks])
        for row in tasks:
            digest = log.task_digest(row, candidates.get(row.pk, ()))
            _compare(found, "task", row.pk, digest, latest)
    one = project.pk if project is not None else None
    for subject, model in (("judgment", Judgment), ("task", Task)):
        with connection.cursor() as cursor:
            cursor.execute(_GONE.format(table=model._meta.db_table), [subject, one, one])
            for (key,) in cursor:
                found.note("missing", subject, key)


def _latest(subject: str, keys: list[str]) -> dict[str, tuple[str, bytes]]:
    with connection.cursor() as cursor:
        cursor.execute(_LATEST, [subject, keys])
        return {key: (action, bytes(digest)) for key, action, digest in cursor}


def _compare(found: Found, subject: str, key: object, digest: bytes, latest: dict) -> None:
    found.rows += 1
    said = latest.get(str(key))
    if said is None:
        found.note("unlogged", subject, key)
    elif said[0] == LogEntry.Action.ERASED or said[1] != digest:
        found.note("altered", subject, key)


def _pages(rows: models.QuerySet) -> Iterator[list]:
    """A queryset by primary key, a page in memory at a time."""
    rows, last = rows.order_by("pk"), None
    while page := list(rows.filter(pk__gt=last)[:BATCH] if last else rows[:BATCH]):
        last = page[-1].pk
        yield page


def _judgments(project: Project | None) -> Iterator[tuple[list[Judgment], dict]]:
    rows = Judgment.objects.all()
    for page in _pages(rows.filter(project=project) if project else rows):
        typed: dict = {}
        keys = [row.pk for row in page]
        for model in Part.__subclasses__():
            for part in model.objects.filter(judgment__in=keys):
                typed.setdefault(part.judgment_id, []).append(part)
        yield page, typed


def _tasks(project: Project | None) -> Iterator[tuple[list[Task], dict]]:
    rows = Task.objects.only("pk", "project_id", "kind", "prompt")
    for page in _pages(rows.filter(project=project) if project else rows):
        candidates: dict = {}
        for row in Candidate.objects.filter(task__in=[t.pk for t in page]):
            candidates.setdefault(row.task_id, []).append(row)
        yield page, candidates
