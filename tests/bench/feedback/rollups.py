"""Dashboard queries over an event table of ten million rows.

    python -m tests.bench feedback-rollups --events 10000000

Fills the tables by generate_series, counts everything anew, times the reads of a dashboard, and
then lets 20,000 new events arrive and times the fold that takes them up. For contrast one query
reads the events themselves.
"""

import json
import sys
import time
from datetime import timedelta

from tests.bench.instance import busy_cpu, cpu_of, serving

ANSWERS_EACH = 10  # events per answer
REPEATS = 15

TALKS = """
INSERT INTO feedback_conversation
    (id, project_id, guest, source, title, consent, created_at, updated_at)
SELECT md5('c' || n)::uuid, %(project)s, md5('g' || n %% 20000), 'chat', '', true, now(), now()
FROM generate_series(1, %(talks)s) n
"""
ANSWERS = """
INSERT INTO feedback_message (id, conversation_id, role, text, state, error, model_version_id,
    deployment_id, sampling, prompt_tokens, completion_tokens, first_token_ms, duration_ms,
    created_at, finished_at)
SELECT md5('m' || n)::uuid, md5('c' || 1 + n %% %(talks)s)::uuid, 'assistant', 'Paris.',
    CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'complete' END, '',
    (%(versions)s)[1 + n %% 4], (%(deployments)s)[1 + n %% 4], '{}', 30, 20 + n %% 50,
    (40 * exp(1.5 * random()))::int, (400 * exp(1.5 * random()))::int, at, at
FROM generate_series(1, %(answers)s) n,
    LATERAL (SELECT now() - interval '30 days' * random() + interval '0 s' * n AS at) t
"""
EVENTS = """
INSERT INTO feedback_event (client_event, kind, message_id, guest, reaction, reasons, comment,
    duration_ms, share_seen, weight, client_time, server_time)
SELECT md5('e' || n)::uuid,
    (ARRAY['exposure', 'dwell', 'exposure', 'reaction', 'copy', 'dwell', 'regenerate',
        'reaction', 'retraction', 'report'])[1 + n / %(answers)s %% 10],
    md5('m' || 1 + n %% %(answers)s)::uuid, md5('g' || n %% 20000),
    CASE WHEN n / %(answers)s %% 10 IN (3, 8) THEN 'love'
        WHEN n / %(answers)s %% 10 = 7 THEN 'dislike' ELSE '' END, '{}', '',
    CASE WHEN n / %(answers)s %% 10 IN (0, 1, 2, 5) THEN 900 END, NULL, 1, now(), now()
FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
"""
RAW = """
SELECT m.model_version_id, count(*) FILTER (WHERE e.reaction = 'love') FROM feedback_event e
JOIN feedback_message m ON m.id = e.message_id
WHERE m.finished_at > now() - interval '30 days' GROUP BY 1
"""


def run(arguments) -> list[dict]:
    """The part `feedback-rollups`."""
    with serving() as served:
        result = measure(arguments.events, served)
    print(json.dumps(result), flush=True)
    return [result]


def measure(events: int, served) -> dict:
    from django.db import connection
    from django.utils import timezone

    from feedback.services import rollups

    project = _fill(events)
    begun, busy = time.monotonic(), cpu_of(served.database)
    rollups.rebuild()
    rebuilt, rebuilt_cpu = time.monotonic() - begun, cpu_of(served.database) - busy
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    ids, now = [project], timezone.now()
    keys = ("model_version", "arm")
    spans = {"6h": timedelta(hours=6), "7d": timedelta(days=7), "30d": timedelta(days=30)}
    reads = {}
    for name, span in spans.items():
        window = {"project_ids": ids, "since": now - span}
        reads |= {
            f"totals by version and arm, {name}": lambda w=window: rollups.totals(by=keys, **w),
            f"series by version and arm, {name}": lambda w=window: rollups.series(by=keys, **w),
            f"latency quantiles, {name}": lambda w=window: rollups.latencies(
                what="first", by=keys, **w
            ),
            f"active people by version, {name}": lambda w=window: rollups.people(by=keys, **w),
        }
    took = {name: _timed(read) for name, read in reads.items()}
    others = busy_cpu()
    begun = time.monotonic()
    _events(events, events + 20_000, events // ANSWERS_EACH, triggers=True)
    insert_s, begun = time.monotonic() - begun, time.monotonic()
    taken = rollups.fold()
    fold_s = time.monotonic() - begun
    with connection.cursor() as cursor:
        begun = time.monotonic()
        cursor.execute(RAW)
        cursor.fetchall()
        raw_s = time.monotonic() - begun
        cursor.execute("SELECT pg_total_relation_size('feedback_event'), count(*) FROM "
                       "feedback_rollup")  # fmt: skip
        size, rows = cursor.fetchone()
    return {
        "part": "feedback-rollups",
        "events": events,
        "event_table_MiB": round(size / 2**20),
        "rollup_rows": rows,
        "rebuild_s": round(rebuilt, 1),
        "rebuild_cpu_s": round(rebuilt_cpu, 1),
        "reads_ms": {name: [round(1000 * one, 1) for one in ms] for name, ms in took.items()},
        "slowest_median_ms": round(1000 * max(ms[0] for ms in took.values()), 1),
        "new_events": 20_000,
        "insert_s": round(insert_s, 2),
        "fold_notes": taken,
        "fold_s": round(fold_s, 2),
        "others_cpu_s": round(busy_cpu() - others, 1),
        "reading_the_events_instead_ms": round(1000 * raw_s),
    }


def _timed(read) -> tuple[float, float]:
    """Median and worst seconds of some repeats."""
    took = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        read()
        took.append(time.perf_counter() - begun)
    return sorted(took)[REPEATS // 2], max(took)


def _fill(events: int) -> int:
    """A project with so many events on a tenth as many answers over thirty days; its id."""
    from django.db import connection

    from annotation.services.projects import create_project
    from inference.models import Deployment, ModelVersion

    project = create_project(slug="big", kinds=["pairwise"])
    versions = [
        ModelVersion.objects.create(name=f"v{n}", kind="policy", location="-", digest="0" * 64)
        for n in range(4)
    ]
    arms = [
        Deployment.objects.create(
            project="big", model_version=version, weight=250, state="ended",
            arm="live" if n % 2 else "canary",
        )
        for n, version in enumerate(versions)
    ]  # fmt: skip
    answers = events // ANSWERS_EACH
    values = {
        "project": project.pk,
        "talks": max(1, answers // 10),
        "answers": answers,
        "versions": [one.pk for one in versions],
        "deployments": [one.pk for one in arms],
    }
    with connection.cursor() as cursor:
        # Nobody is told of these rows one by one: indexes are made at the end, as a restore does.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'feedback_event' "
            "AND indexname NOT LIKE '%%pkey' AND indexname NOT LIKE '%%_uniq%%' "
            "AND indexname NOT LIKE '%%_key'"
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        cursor.execute(TALKS, values)
        cursor.execute(ANSWERS, values)
    _events(0, events, answers)
    with connection.cursor() as cursor:
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("ANALYZE")
    return project.pk


def _events(first: int, last: int, answers: int, *, triggers: bool = False, step: int = 500_000):
    from django.db import connection

    for start in range(first, last, step):
        with connection.cursor() as cursor:
            cursor.execute(f"SET session_replication_role = {'origin' if triggers else 'replica'}")
            end = min(last, start + step)
            cursor.execute(EVENTS, {"answers": answers, "first": start, "last": end - 1})
        print(f"{end:,} events", file=sys.stderr)
