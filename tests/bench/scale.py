"""How the queue and the export bear numbers: 10 thousand tasks beside a million; many judgments.

    python -m tests.bench queue-size --sizes 10000,1000000
    python -m tests.bench export --judgments 100000

The rows are made inside the database, since how fast they are imported is measured elsewhere.
"""

import asyncio
import json
import time

from tests.bench.annotation import (
    Loop,
    Meter,
    Preferendum,
    new_project,
    people,
    researcher,
    spread,
)
from tests.bench.instance import Served, memory_of, serving
from tests.bench.wire import body_of

_TASKS = """
INSERT INTO annotation_task
    (project_id, external_id, kind, also, prompt, prompt_hash, overlap, taken, done, priority,
     state, gold_note, is_calibration, skills, source, metadata, created_at)
SELECT %s, 't' || n, 'pairwise', '{}', jsonb_build_array(jsonb_build_object(
           'role', 'user', 'content', repeat('question ' || n || ' ', 12))),
       md5(n::text) || md5(n::text), 1, 0, 0, 0, 'open', '', false, '{}', 'import', '{}', now()
FROM generate_series(1, %s) n
"""
_CANDIDATES = """
INSERT INTO annotation_candidate (task_id, position, content, model, sampling)
SELECT t.id, place, repeat('answer ' || place || ' of ' || t.id || ' ', 12), '', '{}'
FROM annotation_task t, generate_series(0, 1) place WHERE t.project_id = %s
"""
_JUDGMENTS = """
INSERT INTO annotation_judgment
    (id, project_id, task_id, annotator_id, kind, source, shown, rationale, flags, surplus,
     created_at)
SELECT gen_random_uuid(), t.project_id, t.id, %s, 'pairwise', 'web',
       ARRAY(SELECT c.id FROM annotation_candidate c WHERE c.task_id = t.id), '', '{}', false,
       now() FROM annotation_task t WHERE t.project_id = %s
"""
_PAIRS = """
INSERT INTO annotation_pairwisejudgment (judgment_id, outcome, preferred_id, strength)
SELECT j.id, 'preferred', j.shown[1], 2 FROM annotation_judgment j WHERE j.project_id = %s
"""


def fill(slug: str, count: int) -> int:
    """A project's tasks, and the statistics a server has a moment after an import."""
    from django.db import connection

    from annotation.models import Project

    project = Project.objects.get(slug=slug).pk
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # their keys are right as made
        cursor.execute(_TASKS, [project, count])
        cursor.execute(_CANDIDATES, [project])
        cursor.execute("RESET session_replication_role")
        cursor.execute("VACUUM ANALYZE annotation_task, annotation_candidate")
    return project


def queue_size(arguments) -> list[dict]:
    """The part `queue-size`: the labelling loop of ten people at each size."""
    runs = []
    sizes = [int(size) for size in arguments.sizes.split(",")]
    with serving() as served:
        crew = people(served, 10, login=arguments.login)
        for number, size in enumerate(sizes):
            slug = f"size-{number}"
            new_project(slug, crew)
            begun = time.perf_counter()
            fill(slug, size)
            filled = time.perf_counter() - begun
            run = asyncio.run(_label(served, slug, crew, arguments))
            runs.append({"tasks": size, "fill_s": round(filled, 1), **run})
            print(json.dumps(runs[-1]), flush=True)
    first, last = runs[0], runs[-1]
    slower = {
        "database_cpu_change": round(
            last["database_cpu_ms_per_label"] / first["database_cpu_ms_per_label"] - 1, 3
        ),
        "labels_per_s_change": round(last["labels_per_s"] / first["labels_per_s"] - 1, 3),
    }
    print(json.dumps(slower), flush=True)
    return [*runs, slower]


async def _label(served: Served, slug: str, crew: list, arguments) -> dict:
    product = Preferendum(served, login=arguments.login, joined=arguments.joined)
    loop = Loop(product, slug, warm=0, seconds=arguments.warm)
    await asyncio.gather(*(loop.work(person) for person in crew))  # connections and plans
    with Meter(served) as meter:
        loop = Loop(product, slug, warm=0, seconds=arguments.seconds)
        await asyncio.gather(*(loop.work(person) for person in crew))
    for person in crew:
        await person.client.close()
    labels = max(1, len(loop.accepted))
    return {
        "labels": len(loop.accepted),
        "labels_per_s": round(len(loop.accepted) / meter.seconds, 1),
        "claim_ms": spread(loop.took["claim"]),
        "submit_ms": spread(loop.took["submit"]),
        "web_cpu_ms_per_label": round(1000 * meter.web / labels, 2),
        "database_cpu_ms_per_label": round(1000 * meter.database / labels, 2),
        "errors": dict(loop.errors.most_common(5)),
        **meter.figures(),
    }


def export(arguments) -> list[dict]:
    """The part `export`: many judgments streamed, and what the web process grew by meanwhile."""
    from django.db import connection

    with serving() as served:
        crew = people(served, 1, login="key")
        new_project("many", crew)
        project = fill("many", arguments.judgments)
        with connection.cursor() as cursor:
            from config.models import User

            who = User.objects.get(username=crew[0].name).pk
            cursor.execute(_JUDGMENTS, [who, project])
            cursor.execute(_PAIRS, [project])
            cursor.execute("VACUUM ANALYZE annotation_judgment, annotation_pairwisejudgment")
        run = asyncio.run(_export(served, "many"))
        print(json.dumps(run), flush=True)
    return [run]


async def _export(served: Served, slug: str) -> dict:
    root = researcher(served)
    path = f"/api/projects/{slug}/export/?format=preferendum"
    before = peak = memory_of(served.web)
    lines = size = 0
    looked = time.perf_counter()
    with Meter(served) as meter:
        status, fields, reader = await root.send("GET", path)
        async for part in body_of(fields, reader):
            lines, size = lines + part.count(b"\n"), size + len(part)
            if time.perf_counter() - looked > 0.2:
                peak, looked = max(peak, memory_of(served.web)), time.perf_counter()
    await root.close()
    return {
        "status": status,
        "lines": lines,
        "bytes": size,
        "seconds": round(meter.seconds, 1),
        "lines_per_s": round(lines / meter.seconds),
        "web_memory_mib": {"before": round(before), "peak": round(peak)},
        "grew_mib": round(peak - before),
        **meter.figures(),
    }
