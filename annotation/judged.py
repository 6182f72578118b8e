"""Judgments of every kind as they stood, task by task: what a snapshot is drawn from.

Plain rows in batches, so that memory does not grow with their number. The order is that of task
ids, then of time, and stays the same whenever the same position of the log is asked for.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, connections

from annotation.formats.lines import loads

BATCH = 2000

#: A candidate as (id, text, name of its model).
Answer = tuple[int, str, str]


@dataclass(slots=True)
class Said:
    """One judgment that counts. `parts` holds its typed rows by table name (see `PARTS`);
    `created_at` is UTC text with microseconds, as `datetime.isoformat` gives it."""

    judgment_id: str
    annotator: str
    kind: str
    shown: list[int]
    source: str
    rationale: str
    flags: list[str]
    created_at: str
    parts: dict[str, list[tuple]] = field(default_factory=dict)


@dataclass(slots=True)
class JudgedTask:
    """A task with the judgments on it that count; never without one."""

    task_id: int
    prompt: list[dict]
    prompt_hash: str
    candidates: list[Answer]
    said: list[Said]


#: The typed rows of judgments: what of each row is read, in this order, and from where.
PARTS = {
    "pairwise": ("outcome, preferred_id, strength", "annotation_pairwisejudgment"),
    "dimension": ("dimension, outcome, preferred_id", "annotation_dimensionchoice"),
    "place": ("candidate_id, place", "annotation_rankingplace"),
    "span": (
        'candidate_id, start, "end", quote, category, severity, comment',
        "annotation_spanmark",
    ),
    "missing": ("candidate_id, category, comment", "annotation_missingmark"),
    "verdict": (
        "candidate_id, p.key, p.version, p.text, verdict, evidence_start, evidence_end",
        "annotation_principleverdict r JOIN annotation_principle p ON p.id = r.principle_id",
    ),
    "rating": ("candidate_id, attribute, value", "annotation_rating"),
    "critique": ("candidate_id, critique, corrected", "annotation_critique"),
    "harm": ("candidate_id, level", "annotation_harmmark"),
    "step": ("candidate_id, step, value, comment", "annotation_stepmark"),
    "triplet": ("anchor_id, closer_id", "annotation_tripletchoice"),
}

#: Which of them a judgment of a kind may have.
_OF_KIND = {
    "pairwise": ("pairwise", "dimension"),
    "listwise": ("place",),
    "span": ("span", "missing"),
    "principle": ("verdict",),
    "rating": ("rating",),
    "critique": ("critique",),
    "safety": ("dimension", "harm"),
    "step": ("step",),
    "triplet": ("triplet",),
}

_TASKS = """
SELECT t.id, t.prompt, t.prompt_hash, t.kind, t.also FROM annotation_task t
WHERE t.project_id = %s AND t.id > %s AND NOT t.is_calibration
  AND EXISTS (SELECT 1 FROM annotation_judgment j WHERE j.task_id = t.id)
ORDER BY t.id LIMIT %s
"""
_CANDIDATES = """
SELECT task_id, id, content, model FROM annotation_candidate
WHERE task_id = ANY(%s::bigint[]) ORDER BY task_id, position
"""
_JUDGMENTS = """
SELECT j.task_id, j.id::text, u.pseudonym, j.kind, j.shown, j.source, j.rationale, j.flags,
       to_char(j.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
FROM annotation_judgment j JOIN config_user u ON u.id = j.annotator_id
WHERE j.task_id = ANY(%(tasks)s::bigint[]) AND NOT j.surplus AND {standing}
ORDER BY j.task_id, j.created_at, j.id
"""
_NOW = (
    "j.withdrawn_at IS NULL AND NOT EXISTS"
    " (SELECT 1 FROM annotation_judgment n WHERE n.supersedes_id = j.id)"
)
_AT_POSITION = """
(SELECT bool_or(l.action = 'stored')
        AND NOT bool_or(l.action IN ('withdrawn', 'superseded', 'erased'))
 FROM annotation_logentry l WHERE l.subject = 'judgment' AND l.subject_id = j.id::text
 AND l.position <= %(position)s)
"""
_UNTIL = """
(j.created_at <= %(until)s AND (j.withdrawn_at IS NULL OR j.withdrawn_at > %(until)s)
 AND NOT EXISTS (SELECT 1 FROM annotation_judgment n
                 WHERE n.supersedes_id = j.id AND n.created_at <= %(until)s))
"""


def judged_tasks(
    *,
    project_ids: Iterable[int],
    parts: Collection[str] = tuple(PARTS),
    until: datetime | None = None,
    position: int | None = None,
) -> Iterator[JudgedTask]:
    """Every task that was judged, newcomers' exercises left out, with its judgments that count.

    With `until`, as they stood at that moment: later ones left out, ones undone later still in.
    With `position`, as they stood at that position of the log, until someone's data is erased.
    Where a reviewer has decided on a task, the verdict stands alone. Only the typed rows named in
    `parts` are read.
    """
    wanted = [name for name in PARTS if name in parts]
    standing = [_AT_POSITION] if position is not None else [] if until is not None else [_NOW]
    standing += [_UNTIL] if until is not None else []
    judgments = _JUDGMENTS.format(standing=" AND ".join(standing))
    given = {"position": position, "until": until}
    database = connections[DEFAULT_DB_ALIAS]  # this thread's, with its transaction

    def read(project_id: int, after: int) -> tuple[list[JudgedTask], int | None]:
        with database.cursor() as cursor:
            cursor.execute(_TASKS, [project_id, after, BATCH])
            rows = cursor.fetchall()
            batch = _load(cursor, rows, judgments, given, wanted)
        return batch, rows[-1][0] if len(rows) == BATCH else None

    # The next batch is read while the caller works on this one: waiting costs no processor.
    database.inc_thread_sharing()
    try:
        with ThreadPoolExecutor(1) as ahead:
            for project_id in project_ids:
                after: int | None = 0
                coming = ahead.submit(read, project_id, after)
                while after is not None:
                    batch, after = coming.result()
                    if after is not None:
                        coming = ahead.submit(read, project_id, after)
                    yield from batch
    finally:
        database.dec_thread_sharing()


def _load(cursor, rows, judgments: str, given: dict, wanted: list[str]) -> list[JudgedTask]:
    if not rows:
        return []
    ids = _array(row[0] for row in rows)
    kinds = {kind for *_, kind, also in rows for kind in (kind, *also)}
    there = {part for kind in kinds for part in _OF_KIND[kind]}
    said: dict[int, list[Said]] = defaultdict(list)
    cursor.execute(judgments, given | {"tasks": ids})
    for task_id, *row in cursor.fetchall():
        said[task_id].append(Said(*row))
    for task_id, found in said.items():
        verdicts = [one for one in found if one.source == "review"]
        if verdicts:
            said[task_id] = verdicts
    by_id = {one.judgment_id: one for found in said.values() for one in found}
    if by_id:
        keys = _array(by_id)
        for name in wanted:
            if name not in there:
                continue
            columns, table = PARTS[name]
            cursor.execute(
                f"SELECT judgment_id::text, {columns} FROM {table}"  # noqa: S608
                " WHERE judgment_id = ANY(%s::uuid[])",
                [keys],
            )
            for row in cursor.fetchall():
                by_id[row[0]].parts.setdefault(name, []).append(row[1:])
    answers: dict[int, list[Answer]] = defaultdict(list)
    cursor.execute(_CANDIDATES, [_array(said)])
    for row in cursor.fetchall():
        answers[row[0]].append(row[1:])
    return [
        JudgedTask(pk, loads(prompt), prompt_hash, answers[pk], said[pk])
        for pk, prompt, prompt_hash, *_ in rows
        if pk in said
    ]


def _array(values: Iterable[object]) -> str:
    """An array as PostgreSQL writes it; faster by far than a list given as such."""
    return f"{{{','.join(map(str, values))}}}"
