"""The labelling loop: import, many people claiming and submitting, export, and the books checked.

    python -m tests.bench annotation --people 1,10,50 --seconds 20 --tasks 10000

Closed loop without think time: each person claims, submits, claims ... CPU seconds per label of
the web process and of PostgreSQL (all of its processes) are the steady figures; labels per second
and latencies depend on what else the machine does, which `others` tells in cores.
"""

import asyncio
import json
import random
import re
import time
from collections import Counter, defaultdict

from tests.bench.instance import Served, busy_cpu, cpu_of, memory_of, serving
from tests.bench.wire import Client, WireError, body_of

WORDS = (
    "the a model answer reason step because table index value check result user server label "
    "review compare prompt short long clear wrong right maybe first second third number list when "
    "then after before each other same different simple careful example explain write read count"
).split()


def text(chance: random.Random, characters: int) -> str:
    """Words of about the wanted length."""
    return " ".join(chance.choices(WORDS, k=characters // 5))[:characters]


def task_lines(count: int, seed: int = 7) -> bytes:
    """Pairwise tasks in the format `preferendum`: a prompt of 300 characters, answers of 800."""
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        line = {
            "external_id": f"t{number:07d}",
            "kind": "pairwise",
            "prompt": [{"role": "user", "content": text(chance, chance.randint(250, 350))}],
            "candidates": [
                {"content": text(chance, chance.randint(700, 900)), "model": name}
                for name in ("one", "two")
            ],
        }
        lines.append(json.dumps(line))
    return "\n".join(lines).encode()


class Person:
    """An annotator of the benchmark: a client, and what the server accepted from them."""

    def __init__(self, name: str, pseudonym: str, client: Client):
        self.name, self.pseudonym, self.client = name, pseudonym, client


def people(served: Served, count: int, *, login: str) -> list[Person]:
    """Annotators with a key each, or (login "session") with the page's cookies."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore
    from django.middleware.csrf import _get_new_csrf_string

    from config.models import AccessKey, User

    made = []
    for n in range(count):
        user = User.objects.filter(username=f"bench{n:03d}").first() or User.objects.create_user(
            f"bench{n:03d}", role="annotator"
        )
        client = Client(served.port)
        if login == "key":
            _, secret = AccessKey.objects.issue(user=user, scopes=["annotate"])
            client.headers["Authorization"] = f"Bearer {secret}"
        else:
            session = SessionStore()
            session[SESSION_KEY] = str(user.pk)
            session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
            session[HASH_SESSION_KEY] = user.get_session_auth_hash()
            session.create()
            csrf = _get_new_csrf_string()
            client.cookies = {
                settings.SESSION_COOKIE_NAME: session.session_key,
                settings.CSRF_COOKIE_NAME: csrf,
            }
            client.headers["X-CSRFToken"] = csrf
        made.append(Person(user.username, user.pseudonym, client))
    return made


def new_project(slug: str, crew: list[Person]) -> None:
    """A pairwise project with overlap 1 in which the crew works."""
    from annotation.services import projects
    from config.models import User

    project = projects.create_project(slug=slug, kinds=["pairwise"], overlap=1)
    for user in User.objects.filter(username__in=[person.name for person in crew]):
        projects.add_member(project=project, user=user)


def researcher(served: Served) -> Client:
    """A client that may fill and export."""
    from config.models import AccessKey, User

    user = User.objects.filter(username="bench-r").first() or User.objects.create_user(
        "bench-r", role="researcher"
    )
    _, secret = AccessKey.objects.issue(user=user, scopes=["research"])
    return Client(served.port, headers={"Authorization": f"Bearer {secret}"})


def _candidates(slug: str):
    from annotation.models import Candidate

    return Candidate.objects.filter(task__project__slug=slug).values_list("id", "task_id")


class Loop:
    """One run: what was handed out, what was accepted, how long each call took."""

    def __init__(self, slug: str, *, warm: float, seconds: float, joined: bool):
        self.slug, self.joined = slug, joined
        self.warm, self.seconds = warm, seconds
        self.tasks: dict[int, int] = {}  # candidate -> task, where the page does not say
        self.handed: dict[str, set[str]] = defaultdict(set)
        self.accepted: dict[tuple[int, str], str] = {}
        self.unsure: set[tuple[int, str]] = set()
        self.took: dict[str, list[float]] = {"claim": [], "submit": []}
        self.errors: Counter = Counter()
        self.begin()

    def begin(self) -> None:
        """Start the clock."""
        start = time.perf_counter()
        self.opens, self.ends = start + self.warm, start + self.warm + self.seconds

    async def timed(self, kind: str, coroutine):
        begun = time.perf_counter()
        answer = await coroutine
        now = time.perf_counter()
        if self.opens <= now <= self.ends:
            self.took[kind].append(now - begun)
        return answer

    async def work(self, person: Person) -> None:
        chance = random.Random(person.name)
        lease = None
        while time.perf_counter() < self.ends:
            try:
                if lease is None:
                    lease = await self.timed(
                        "claim",
                        person.client.call("POST", f"/api/projects/{self.slug}/assignments/"),
                    )
                if lease is None:
                    return
                lease = await self.judge(person, lease, chance)
            except (WireError, OSError, asyncio.IncompleteReadError) as exc:
                self.errors[str(exc)[:120]] += 1
                await person.client.close()
                lease = None

    async def judge(self, person: Person, lease: dict, chance: random.Random) -> dict | None:
        task = lease["task"]["id"]
        self.handed[task].add(person.name)
        preferred = chance.choice(lease["task"]["candidates"])["id"]
        mine = (task, person.pseudonym)
        self.unsure.add(mine)
        answer = await self.timed(
            "submit",
            person.client.call(
                "POST",
                f"/api/assignments/{lease['id']}/judgment/" + ("?next=1" if self.joined else ""),
                {
                    "outcome": "preferred",
                    "preferred": preferred,
                    "strength": 2,
                    "seconds": 3.5,
                    "token": lease["token"],
                },
                headers={"Idempotency-Key": lease["id"]},
            ),
        )
        self.accepted[mine] = preferred
        self.unsure.discard(mine)
        return answer["next"] if self.joined else None


class PageLoop(Loop):
    """The same through the page's own door: one request sends a judgment and brings the next
    desk as HTML. Needs sessions."""

    def begin(self) -> None:
        super().begin()
        self.tasks = dict(_candidates(self.slug))

    async def work(self, person: Person) -> None:
        chance = random.Random(person.name)
        path = f"/annotate/{self.slug}/step/"
        try:
            desk = await self.timed("claim", person.client.call("POST", path, {"do": "next"}))
            while time.perf_counter() < self.ends:
                form = self._form(desk["html"])
                if form is None:
                    return
                preferred = chance.choice(form["candidates"])
                mine = (self.tasks[preferred], person.pseudonym)
                self.handed[mine[0]].add(person.name)
                self.unsure.add(mine)
                body = {"outcome": "preferred", "preferred": preferred, "strength": 2}
                step = {"do": "submit", "assignment": form["assignment"], "key": form["key"]}
                sent = person.client.call("POST", path, {**step, "body": body})
                desk = await self.timed("submit", sent)
                self.accepted[mine] = preferred
                self.unsure.discard(mine)
        except (WireError, OSError, asyncio.IncompleteReadError) as exc:
            self.errors[str(exc)[:120]] += 1
            await person.client.close()

    def _form(self, html: str) -> dict | None:
        assignment = re.search(r'data-assignment="([^"]+)"', html)
        key = re.search(r'data-key-of-send="([^"]+)"', html)
        ids = sorted({int(found) for found in re.findall(r'value="(\d+):2"', html)})
        if not (assignment and key and ids):
            return None
        return {
            "assignment": assignment[1],
            "key": key[1],
            "candidates": ids,
        }


def spread(times: list[float]) -> dict:
    """Milliseconds: the median and the tail."""
    ranked = sorted(times)

    def at(share: float) -> float:
        return round(1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))], 1)

    return {"n": len(ranked), **({"p50": at(0.5), "p95": at(0.95)} if ranked else {})}


async def one_run(
    served: Served, crew: list[Person], root: Client, slug: str, *, tasks: bytes, **options
) -> dict:
    """Import, label, export, check."""
    count = tasks.count(b"\n") + 1
    figures: dict = {"people": len(crew), "tasks": count}
    await root.close()
    with Meter(served) as meter:
        status, answer = await root.raw(
            "POST", f"/api/projects/{slug}/tasks/", tasks, kind="application/x-ndjson"
        )
        if status != 201:
            raise WireError(f"import: {status} {answer[:300]!r}")
    figures["import"] = {"tasks_per_s": round(count / meter.seconds), **meter.figures()}
    door = options.pop("door")
    loop = (PageLoop if door == "page" else Loop)(slug, **options)
    with Meter(served) as meter:
        loop.begin()
        await asyncio.gather(*(loop.work(person) for person in crew))
    labels = len(loop.accepted)
    figures["labelling"] = {
        "labels": labels,
        "labels_per_s": round(len(loop.took["submit"]) / (loop.ends - loop.opens), 1),
        "claim_ms": spread(loop.took["claim"]),
        "submit_ms": spread(loop.took["submit"]),
        "web_cpu_ms_per_label": round(1000 * meter.web / max(1, labels), 2),
        "database_cpu_ms_per_label": round(1000 * meter.database / max(1, labels), 2),
        "errors": dict(loop.errors.most_common(5)),
        **meter.figures(),
    }
    before = memory_of(served.web)
    with Meter(served) as meter:
        await root.close()  # the server ends connections that were idle for seconds
        peak, size, rows = before, 0, []
        status, fields, reader = await root.send(
            "GET", f"/api/projects/{slug}/export/?format=preferendum"
        )
        rest = b""
        async for part in body_of(fields, reader):
            peak, size = max(peak, memory_of(served.web)), size + len(part)
            *whole, rest = (rest + part).split(b"\n")
            rows += [json.loads(line) for line in whole]
    figures["export"] = {
        "seconds": round(meter.seconds, 2),
        "bytes": size,
        "web_memory_mib": [round(before), round(peak)],
        **meter.figures(),
    }
    figures["check"] = checked(rows, loop)
    return figures


def checked(rows: list[dict], loop: Loop) -> dict:
    """What the export says beside what the server had accepted."""
    given = {
        (row["external_id"], one["annotator"]): one for row in rows for one in row["judgments"]
    }
    from annotation.models import Task

    names = dict(Task.objects.filter(project__slug=loop.slug).values_list("id", "external_id"))
    accepted = {(names[task], who): choice for (task, who), choice in loop.accepted.items()}
    unsure = {(names[task], who) for task, who in loop.unsure}
    return {
        "exported": len(given),
        "over_collected": sum(len(row["judgments"]) > 1 for row in rows),
        "handed_to_two": sum(len(who) > 1 for who in loop.handed.values()),
        "lost": len(set(accepted) - set(given)),
        "unasked": len(set(given) - set(accepted) - unsure),
        "wrong": sum(
            given[key]["preferred"] != accepted[key] for key in set(accepted) & set(given)
        ),
    }


class Meter:
    """CPU of the web process, of PostgreSQL and of everything else over a block of code."""

    def __init__(self, served: Served):
        self.served = served

    def __enter__(self) -> "Meter":
        self._begun = time.perf_counter()
        self._at = self._read()
        return self

    def __exit__(self, *_) -> None:
        self.seconds = time.perf_counter() - self._begun
        web, database, own, busy = (b - a for a, b in zip(self._at, self._read(), strict=True))
        self.web, self.database, self.own = web, database, own
        self.others = max(0.0, busy - web - database - own) / self.seconds

    def _read(self) -> tuple[float, float, float, float]:
        return (
            cpu_of(self.served.web),
            cpu_of(self.served.database),
            time.process_time(),
            busy_cpu(),
        )

    def figures(self) -> dict:
        """As they go into the report."""
        return {
            "web_cpu_s": round(self.web, 2),
            "database_cpu_s": round(self.database, 2),
            "driver_cpu_s": round(self.own, 2),
            "others_cores": round(self.others, 2),
        }


async def _all(served: Served, sizes: list[int], tasks: int, login: str, **options) -> list[dict]:
    lines = task_lines(tasks)
    root, runs = researcher(served), []
    crew = people(served, max(sizes), login=login)
    for number, size in enumerate(sizes):
        slug = f"bench-{number}"
        new_project(slug, crew[:size])
        run = await one_run(served, crew[:size], root, slug, tasks=lines, **options)
        runs.append({"login": login, **run})
        print(json.dumps(runs[-1]), flush=True)
    for client in (root, *(person.client for person in crew)):
        await client.close()
    return runs


def run(arguments) -> list[dict]:
    """The part `annotation` of the benchmarks."""
    sizes = [int(size) for size in arguments.people.split(",")]
    with serving() as served:
        return asyncio.run(
            _all(
                served,
                sizes,
                arguments.tasks,
                arguments.login,
                warm=arguments.warm,
                seconds=arguments.seconds,
                joined=arguments.joined,
                door=arguments.door,
            )
        )
