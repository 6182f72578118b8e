"""What a round costs besides sampling, training and scoring: snapshots, and everything together.

    python -m tests.bench snapshot --records 1000000
    python -m tests.bench round

Rows are made inside the database; a snapshot is taken by the command that people use, in a process
of its own whose memory is read from the system.
"""

import json
import os
import resource
import subprocess
import sys
import time

from tests.bench.annotation import new_project
from tests.bench.instance import serving
from tests.bench.scale import fill

EACH = 2  # judgments of a task, by different people
_JUDGMENTS = """
INSERT INTO annotation_judgment
    (id, project_id, task_id, annotator_id, kind, source, shown, rationale, flags, surplus,
     created_at)
SELECT gen_random_uuid(), t.project_id, t.id, (%(who)s::bigint[])[1 + (t.id + turn) %% %(n)s],
       'pairwise', 'web', ARRAY(SELECT c.id FROM annotation_candidate c WHERE c.task_id = t.id),
       '', '{}', false, now() + t.id * interval '1 ms'
FROM annotation_task t, generate_series(1, %(each)s) turn WHERE t.project_id = %(project)s
"""
_PAIRS = """
INSERT INTO annotation_pairwisejudgment (judgment_id, outcome, preferred_id, strength)
SELECT j.id, 'preferred', j.shown[1 + (hashtext(j.id::text) %% 5 = 0)::int], 1 + (j.task_id %% 3)
FROM annotation_judgment j WHERE j.project_id = %s
"""
_LOG = """
INSERT INTO annotation_logentry
    (project_id, action, subject, subject_id, actor, digest, at, position, chain)
SELECT project_id, 'stored', 'judgment', id::text, '', sha256(''), now(),
       row_number() OVER () + (SELECT coalesce(max(position), 0) FROM annotation_logentry),
       sha256('') FROM annotation_judgment WHERE project_id = %s
"""


def judge(project: int, who: list[int]) -> None:
    """Every task judged by EACH people, four times in five for the first answer; all sealed."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        given = {"who": who, "n": len(who), "each": EACH, "project": project}
        cursor.execute(_JUDGMENTS, given)
        cursor.execute(_PAIRS, [project])
        cursor.execute(_LOG, [project])
        cursor.execute("RESET session_replication_role")
        cursor.execute(
            "VACUUM ANALYZE annotation_judgment, annotation_pairwisejudgment, annotation_logentry"
        )


def snapshot(arguments) -> list[dict]:
    """The part `snapshot`: so many records drawn by the command; seconds and memory."""
    with serving():
        from config.models import User

        who = [User.objects.create_user(f"judge-{n}").pk for n in range(20)]
        new_project("many", [])
        begun = time.perf_counter()
        judge(fill("many", arguments.records // EACH), who)
        filled = time.perf_counter() - begun
        line = [sys.executable, "manage.py", "snapshot", "--project", "many", "--json"]
        begun = time.perf_counter()
        done = subprocess.run(line, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - begun
        counts = json.loads(done.stdout.splitlines()[-1])["counts"]["preference"]
        run = {
            "records": counts["records"],
            "pairs": counts["pairs"],
            "fill_s": round(filled, 1),
            "seconds": round(seconds, 1),
            "records_per_s": round(counts["records"] / seconds),
            # The largest of the children of this process: the web server is smaller by far.
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
            "load": os.getloadavg()[0],
        }
        print(json.dumps(run), flush=True)
    return [run]
