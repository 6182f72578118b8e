"""Judgments of every kind as they stood, task by task: what a snapshot is drawn from.

Plain rows in batches, so that memory does not grow with their number. The order is that of task
ids, then of time, and stays the same whenever the same position of the log is asked for.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import connection

from annotation.formats.lines import loads

BATCH = 2000

#: A candidate as (id, text, name of its model).
Answer = tuple[int, str, str]


@dataclass(slots=True)
class Said:
    """One judgment that counts. `parts` holds its typed rows by table name (see `PARTS`)."""

    judgment_id: UUID
    annotator: str
    kind: str
    shown: list[int]
    source: str
    rationale: str
    flags: list[str]
    created_at: datetime
    parts: dict[str, list[tuple]] = field(default_factory=dict)


@dataclass(slots=True)
class JudgedTask:
    """A task with the judgments on it that count; never without one."""

    task_id: int
    prompt: list[dict]
    prompt_hash: str
    candidates: list[Answer]
    said: list[Said]


#: The typed rows of judgments: what of each row is read, in this order.
PARTS = {
    "pairwise": "SELECT judgment_id, outcome, preferred_id, strength"
    " FROM annotation_pairwisejudgment",
    "dimension": "SELECT judgment_id, dimension, outcome, preferred_id"
    " FROM annotation_dimensionchoice",
    "place": "SELECT judgment_id, candidate_id, place FROM annotation_rankingplace",
    "span": 'SELECT judgment_id, candidate_id, start, "end", quote, category, severity, comment'
    " FROM annotation_spanmark",
    "missing": "SELECT judgment_id, candidate_id, category, comment FROM annotation_missingmark",
    "verdict": "SELECT judgment_id, candidate_id, p.key, p.version, p.text, verdict,"
    " evidence_start, evidence_end FROM annotation_principleverdict r"
    " JOIN annotation_principle p ON p.id = r.principle_id",
    "rating": "SELECT judgment_id, candidate_id, attribute, value FROM annotation_rating",
    "critique": "SELECT judgment_id, candidate_id, critique, corrected FROM annotation_critique",
    "harm": "SELECT judgment_id, candidate_id, level FROM annotation_harmmark",
    "step": "SELECT judgment_id, candidate_id, step, value, comment FROM annotation_stepmark",
    "triplet": "SELECT judgment_id, anchor_id, closer_id FROM annotation_tripletchoice",
}

_TASKS = """
SELECT t.id, t.prompt, t.prompt_hash FROM annotation_task t
WHERE t.project_id = %s AND t.id > %s AND NOT t.is_calibration
  AND EXISTS (SELECT 1 FROM annotation_judgment j WHERE j.task_id = t.id)
ORDER BY t.id LIMIT %s
"""
_CANDIDATES = """
SELECT task_id, id, content, model FROM annotation_candidate
WHERE task_id = ANY(%s) ORDER BY task_id, position
"""
_JUDGMENTS = """
SELECT j.task_id, j.id, u.pseudonym, j.kind, j.shown, j.source, j.rationale, j.flags, j.created_at
FROM annotation_judgment j JOIN config_user u ON u.id = j.annotator_id
WHERE j.task_id = ANY(%(tasks)s) AND NOT j.surplus AND {standing}
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
    for project_id in project_ids:
        after = 0
        while True:
            with connection.cursor() as cursor:
                cursor.execute(_TASKS, [project_id, after, BATCH])
                rows = cursor.fetchall()
                batch = _load(cursor, rows, judgments, given, wanted)
            yield from batch
            if len(rows) < BATCH:
                break
            after = rows[-1][0]


def _load(cursor, rows, judgments: str, given: dict, wanted: list[str]) -> list[JudgedTask]:
    if not rows:
        return []
    ids = [row[0] for row in rows]
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
        keys = list(by_id)
        for name in wanted:
            cursor.execute(f"{PARTS[name]} WHERE judgment_id = ANY(%s) ORDER BY 1, 2, 3", [keys])
            for key, *row in cursor.fetchall():
                by_id[key].parts.setdefault(name, []).append(tuple(row))
    answers: dict[int, list[Answer]] = defaultdict(list)
    cursor.execute(_CANDIDATES, [list(said)])
    for task_id, *row in cursor.fetchall():
        answers[task_id].append(tuple(row))
    return [
        JudgedTask(pk, loads(prompt), prompt_hash, answers[pk], said[pk])
        for pk, prompt, prompt_hash in rows
        if pk in said
    ]
