"""How fast the console's pages are at 1,000 runs and 500 models.

python -m tests.bench console --judgments 100000
"""

import asyncio
import json
import time

from tests.bench.annotation import people, spread
from tests.bench.instance import serving
from tests.bench.wire import body_of

PAGES = (
    "",
    "models/",
    "models/?page=10",
    "models/bench-400/",
    "runs/",
    "runs/?page=20",
    "experiments/",
    "compose/",
    "compare-models/?model=bench-1&model=bench-400",
    "data/",
)
_MODELS = """
INSERT INTO inference_modelversion (id, name, kind, form, parent_id, location, digest, metadata,
                                    created_at)
SELECT gen_random_uuid(), 'bench-' || n, CASE WHEN n % 2 = 0 THEN 'policy' ELSE 'reward' END,
       'full', NULL, '/nowhere', md5(n::text) || md5(n::text),
       '{"metrics": {"accuracy": 0.7, "accuracy_ci": [0.6, 0.8]}}', now() - n * interval '1 minute'
FROM generate_series(1, 500) n
"""
_PARENTS = """
UPDATE inference_modelversion child SET parent_id = parent.id FROM inference_modelversion parent
WHERE child.name LIKE 'bench-%%' AND parent.name =
      'bench-' || (substring(child.name FROM 7)::int - 2)
"""


def fill(slug: str, runs: int) -> None:
    """Runs with curves, 500 models in chains, rounds with their decisions."""
    from django.db import connection

    from alignment.models import Decision, Round, Run
    from annotation.models import Project
    from inference.models import ModelVersion

    project = Project.objects.get(slug=slug)
    with connection.cursor() as cursor:
        cursor.execute(_MODELS)
        cursor.execute(_PARENTS)
    models = list(ModelVersion.objects.filter(name__startswith="bench-").order_by("name"))
    rounds = Round.objects.bulk_create(
        Round(project=project, number=n, state="released", config={"recipe": "online-dpo"})
        for n in range(1, 201)
    )
    curve = [{"step": n, "loss": 1 / (n + 1), "kl": n / 100, "accuracy": 0.5} for n in range(240)]
    metrics = {"win_rate": 0.6, "win_rate_ci": [0.5, 0.7], "kl": 1.0, "n_prompts": 64}
    tasks = ("reward", "sample", "policy", "evaluate", "ask")
    Run.objects.bulk_create(
        (
            Run(
                project=project,
                round=rounds[n // 5],
                task=tasks[n % 5],
                recipe="online-dpo",
                state="done",
                curve=curve,
                log="line\n" * 200,
                metrics=metrics,
                model=models[n // 2] if n % 5 in (0, 2) else None,
                base=models[0],
            )
            for n in range(runs)
        ),
        batch_size=200,
    )
    Decision.objects.bulk_create(
        Decision(project=project, round=turn, model=models[n], action="release", reason="better")
        for n, turn in enumerate(rounds)
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE alignment_run, alignment_round, inference_modelversion")


def run(arguments) -> list[dict]:
    """The part `console`: each page asked twenty times by a signed-in researcher."""
    from tests.bench.scale import fill as tasks

    rows = []
    with serving() as served:
        from annotation.services.projects import ensure_project
        from config.models import User

        reader = people(served, 1, login="session")[0]
        User.objects.filter(username=reader.name).update(role="researcher")
        ensure_project(slug="console", kinds=["pairwise"], name="Console")
        tasks("console", min(arguments.judgments, 1_000_000))
        fill("console", 1000)
        rows = asyncio.run(_ask(reader.client))
    for row in rows:
        print(json.dumps(row), flush=True)
    return rows


async def _ask(root) -> list[dict]:
    rows = []
    for page in PAGES:
        took, status, size = [], 0, 0
        for _ in range(20):
            begun = time.perf_counter()
            status, fields, reader = await root.send("GET", f"/console/console/{page}")
            size = 0
            async for part in body_of(fields, reader):
                size += len(part)
            took.append(time.perf_counter() - begun)
        rows.append({"page": page, "status": status, "bytes": size, "ms": spread(took[2:])})
    await root.close()
    return rows
