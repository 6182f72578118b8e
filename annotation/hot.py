"""The short way (config.hot) for the two calls of the labelling loop: claim and submit.

Each takes two statements of the database. They answer as `annotation.api.views` does, with the
same words (`annotation.api.render`), and leave what does not go well to it.
"""

import logging
import re
from types import SimpleNamespace

import orjson
import psycopg

from annotation import bodies
from annotation.api import render
from annotation.models import Judgment
from annotation.services import parts
from annotation.services.questions import question
from annotation.services.storing import SUBMIT, known, only_pairwise, submit_values
from config.errors import Invalid
from config.hot import Answer, Hot, PassOn, Request

logger = logging.getLogger(__name__)

_CLAIM = re.compile(r"/api/projects/([-a-zA-Z0-9_]+)/assignments/")
_SUBMIT = re.compile(
    r"/api/assignments/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/judgment/"
)

_PROJECT = (
    "p.attributes, p.categories, p.missing_categories, p.dimensions, p.lease_seconds,"
    " p.undo_seconds, p.options, p.slug"
)
_PROJECT_NAMES = [name.strip().removeprefix("p.") for name in _PROJECT.split(",")]

_LEASE = f"""
SELECT a.id, a.token, a.shown, a.expires_at, d.body::text,
       t.id, t.kind, t.also, t.prompt::text, t.metadata::text,
       (SELECT json_agg(json_build_array(c.id, c.position, c.content, c.parts))::text
        FROM annotation_candidate c WHERE c.task_id = t.id),
       {_PROJECT}
FROM annotation_assignment a
JOIN annotation_task t ON t.id = a.task_id
JOIN annotation_project p ON p.id = t.project_id
LEFT JOIN annotation_draft d ON d.assignment_id = a.id
WHERE a.id = %s
"""  # noqa: S608

_ASKED = f"""
SELECT u.id, u.pseudonym, a.task_id, a.token, a.shown, t.kind, t.also, t.project_id, {_PROJECT}
FROM config_user u, annotation_assignment a
JOIN annotation_task t ON t.id = a.task_id
JOIN annotation_project p ON p.id = t.project_id
WHERE u.id = {{person}} AND a.annotator_id = u.id AND a.id = %s AND a.state = 'leased'
"""  # noqa: S608


async def claim(request: Request, connection: psycopg.AsyncConnection, slug: str) -> Answer:
    """POST /api/projects/{slug}/assignments/"""
    asker = await request.asker("annotate", connection)
    return 201, await _next(connection, slug, asker.person, asker.values)


async def submit(request: Request, connection: psycopg.AsyncConnection, pk: str) -> Answer:
    """POST /api/assignments/{id}/judgment/, with `?next=1` the next lease in the same answer."""
    body = request.json()
    key = request.header(b"idempotency-key")
    if key is not None and not (0 < len(key) <= 80 and key.isprintable()):
        raise PassOn
    asker = await request.asker("annotate", connection)
    row = await _row(connection, _ASKED.format(person=asker.person), [*asker.values, pk])
    if row is None:
        raise PassOn
    person, pseudonym, task_id, token, shown, kind, also, project_id, *settings = row
    project = SimpleNamespace(**dict(zip(_PROJECT_NAMES, settings, strict=True)))
    if body.get("token", str(token)) != str(token) or kind != "pairwise" or also:
        raise PassOn
    try:
        checked = bodies.read(
            question(kind=kind, project=project, candidates=tuple(shown), text=str, principles={}),
            body,
        )
    except Invalid:
        raise PassOn from None
    judgment = Judgment(
        project_id=project_id,
        task_id=task_id,
        assignment_id=pk,
        annotator_id=person,
        kind=kind,
        shown=shown,
        rationale=checked.rationale,
        flags=list(checked.flags),
        seconds=checked.seconds,
        idempotency_key=key,
    )
    typed = parts.rows(judgment, checked)
    if not only_pairwise(typed):
        raise PassOn
    values = submit_values(judgment, typed, pseudonym=pseudonym, token=token)
    stored = await _row(connection, SUBMIT, values)
    if not stored[0]:
        raise PassOn
    judgment._state.fields_cache |= {"task": SimpleNamespace(also=also), "project": project}
    answer = render.judgment(known(judgment, typed))
    if request.scope["query_string"]:
        answer["next"] = await _next_or_none(connection, project.slug, person)
    return 201, answer


async def _next_or_none(connection: psycopg.AsyncConnection, slug: str, person: int) -> dict | None:
    """A judgment that is stored must not look failed by what follows it: null asks to claim."""
    try:
        return await _next(connection, slug, "%s", [person])
    except PassOn:
        return None
    except Exception:
        logger.exception("The next task could not be told with the judgment")
        return None


async def _next(connection: psycopg.AsyncConnection, slug: str, person: str, values: list) -> dict:
    outcome, assignment = await _row(
        connection,
        f"SELECT outcome, assignment FROM annotation_claim(%s, {person}, false, false)",  # noqa: S608
        [slug, *values],
    )
    if outcome != "leased":
        raise PassOn
    lease = await _row(connection, _LEASE, [assignment])
    pk, token, shown, expires_at, draft, task_id, kind, also, prompt, metadata, rows, *rest = lease
    if "principle" in (kind, *also):
        raise PassOn  # its principles are a read of their own
    place = {candidate: n for n, candidate in enumerate(shown)}
    candidates = [
        SimpleNamespace(pk=one, position=position, content=content, parts=typed)
        for one, position, content, typed in orjson.loads(rows)
    ]
    candidates.sort(key=lambda c: place[c.pk])
    task = SimpleNamespace(
        pk=task_id,
        kind=kind,
        also=also,
        prompt=orjson.loads(prompt),
        metadata=orjson.loads(metadata),
        in_order=candidates,
        project=SimpleNamespace(**dict(zip(_PROJECT_NAMES, rest, strict=True))),
    )
    return render.assignment(
        SimpleNamespace(
            pk=pk,
            token=token,
            task=task,
            expires_at=expires_at,
            draft=SimpleNamespace(body=orjson.loads(draft)) if draft else None,
        )
    )


async def _row(connection: psycopg.AsyncConnection, statement: str, values: list):
    cursor = await connection.execute(statement, values, prepare=True)
    return await cursor.fetchone()


def _find(method: str, path: str):
    if method == "POST" and path.startswith("/api/"):
        if match := _SUBMIT.fullmatch(path):
            return submit, match[1]
        if match := _CLAIM.fullmatch(path):
            return claim, match[1]
    return None


def around(application) -> Hot:
    """The application with the short way before it."""
    return Hot(application, _find)
