"""Reaction events through the door browsers use, and how soon a dashboard knows of them.

    python -m tests.bench feedback-events --seconds 15

People send reactions in batches, as a browser does that was away, and one by one; each on an
answer of its own. Meanwhile a dashboard folds and reads once a second. Stored events are counted
afterwards: every one that was acknowledged, once.
"""

import asyncio
import json
import random
import threading
import time
import uuid

from tests.bench.instance import busy_cpu, cpu_of, serving
from tests.bench.wire import Client

PEOPLE = 16
LOOK_SECONDS = 1.0
ANSWERS = """
INSERT INTO feedback_message (id, conversation_id, role, text, state, error, model_version_id,
    sampling, first_token_ms, duration_ms, created_at, finished_at)
SELECT gen_random_uuid(), %(talk)s, 'assistant', 'Paris.', 'complete', '', %(version)s, '{}',
    100, 600, now(), now()
FROM generate_series(1, %(answers)s) RETURNING id
"""


def run(arguments) -> list[dict]:
    """The part `feedback-events`: batches of 20, then single events."""
    results = []
    with serving() as served:
        for batch in (20, 1):
            result = asyncio.run(measure(served, batch, arguments.seconds))
            results.append({"part": "feedback-events", **result})
            print(json.dumps(results[-1]), flush=True)
    return results


async def measure(served, batch: int, seconds: float) -> dict:
    from feedback.models import Event

    project, crew = _crew(served, f"events{batch}", answers=int(3000 * seconds) // PEOPLE)
    acknowledged: list[tuple[float, int]] = []  # when, and how many had been by then
    took: list[float] = []
    count = 0
    ends = time.perf_counter() + seconds

    async def tell(client: Client, ids: list) -> None:
        nonlocal count
        while ids and time.perf_counter() < ends:
            chosen, ids = ids[:batch], ids[batch:]
            events = [
                {"id": str(uuid.uuid4()), "kind": "reaction", "reaction": "like",
                 "message": str(one)}
                for one in chosen
            ]  # fmt: skip
            begun = time.perf_counter()
            answer = await client.call("POST", "/api/events/", {"events": events})
            took.append(time.perf_counter() - begun)
            count += sum(one["state"] == "stored" for one in answer["results"])
            acknowledged.append((time.perf_counter(), count))

    watch = Dashboard(project)
    watch.start()
    cpu = {"web": cpu_of(served.web), "database": cpu_of(served.database)}
    begun, busy = time.perf_counter(), busy_cpu()
    await asyncio.gather(*(tell(client, ids) for client, ids in crew))
    spent = time.perf_counter() - begun
    cpu = {"web": cpu_of(served.web) - cpu["web"],
           "database": cpu_of(served.database) - cpu["database"]}  # fmt: skip
    cores = (busy_cpu() - busy) / spent
    await asyncio.to_thread(watch.stop)
    stored = await asyncio.to_thread(
        Event.objects.filter(message__conversation__project_id=project, kind="reaction").count
    )
    for client, _ in crew:
        await client.close()
    return {
        "batch": batch,
        "events_per_s": round(count / spent),
        "acknowledged": count,
        "stored": stored,
        "request_ms_p50": round(1000 * sorted(took)[len(took) // 2], 1),
        "request_ms_p95": round(1000 * sorted(took)[int(0.95 * len(took))], 1),
        "cpu_ms_per_event": {name: round(1000 * s / max(1, count), 3) for name, s in cpu.items()},
        "dashboard": watch.told(acknowledged),
        "machine_busy_cores": round(cores, 2),
    }


class Dashboard(threading.Thread):
    """Folds and reads once a second, as an open dashboard does."""

    def __init__(self, project: int):
        super().__init__(daemon=True)
        self.project = project
        self.seen: list[tuple[float, float, int]] = []  # asked at, read at, reactions shown
        self._stop_asked = threading.Event()

    def run(self) -> None:
        from django.db import connection

        while not self._stop_asked.wait(LOOK_SECONDS):
            self.look()
        self.look()
        connection.close()

    def look(self) -> None:
        from datetime import timedelta

        from django.utils import timezone

        from feedback.services import rollups

        asked = time.perf_counter()
        rollups.fold()
        since = timezone.now() - timedelta(hours=1)
        (total,) = rollups.totals(project_ids=[self.project], since=since)
        self.seen.append((asked, time.perf_counter(), total["like"]))

    def stop(self) -> None:
        self._stop_asked.set()
        self.join(60)

    def told(self, acknowledged: list[tuple[float, int]]) -> dict:
        """How old the newest figure was at worst: an event acknowledged at t is late until the
        first look that shows it is drawn."""
        worst, at = 0.0, 0
        for when, count in acknowledged:
            while at < len(self.seen) and self.seen[at][2] < count:
                at += 1
            if at == len(self.seen):
                return {"worst_lag_s": None, "shown_in_the_end": self.seen[-1][2]}
            worst = max(worst, self.seen[at][1] - when)
        looks = [read - asked for asked, read, _ in self.seen]
        return {
            "worst_lag_s": round(worst, 2),
            "slowest_fold_and_read_s": round(max(looks), 2),
            "shown_in_the_end": self.seen[-1][2],
        }


def _crew(served, slug: str, *, answers: int) -> tuple[int, list[tuple[Client, list]]]:
    """People with a key and answers to react to."""
    from django.db import connection

    from annotation.services.projects import create_project
    from config.models import AccessKey, User
    from feedback.models import Conversation
    from inference.models import ModelVersion

    project = create_project(slug=slug, kinds=["pairwise"])
    version = ModelVersion.objects.create(name=slug, kind="policy", location="-", digest="0" * 64)
    crew = []
    for n in range(PEOPLE):
        user = User.objects.create_user(f"{slug}-{n}")
        _, secret = AccessKey.objects.issue(user=user, scopes=["feedback"])
        talk = Conversation.objects.create(project=project, owner=user)
        with connection.cursor() as cursor:
            cursor.execute(ANSWERS, {"talk": talk.pk, "version": version.pk, "answers": answers})
            ids = [row[0] for row in cursor.fetchall()]
        random.Random(n).shuffle(ids)
        headers = {"Authorization": f"Bearer {secret}"}
        crew.append((Client(served.port, headers=headers), ids))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    from feedback.services import rollups

    rollups.fold()
    return project.pk, crew
