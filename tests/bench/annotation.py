"""The labelling loop: import, many people claiming and submitting, export, and the books checked.

    python -m tests.bench annotation --people 1,10,50 --seconds 20 --tasks 10000
    python -m tests.bench annotation --peer label-studio ...      beside it, in turns

Closed loop without think time: each person claims, submits, claims ... CPU seconds per label of
the web process and of PostgreSQL (all of its processes) are the steady figures; labels per second
and latencies depend on what else the machine does, which `others` tells in cores.
"""

import asyncio
import json
import random
import re
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack

from tests.bench.instance import Served, busy_cpu, cpu_of, memory_of, serving
from tests.bench.peers import LabelStudio, serving_label_studio
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


class Preferendum:
    """What the driver asks of the product, through the REST doors that programs use."""

    name = "preferendum"

    def __init__(self, served: Served, *, login: str = "key", joined: bool = False):
        self.served, self.login, self.joined = served, login, joined
        self.root = researcher(served)

    async def crew(self, count: int) -> list[Person]:
        """Annotators, logged in."""
        return people(self.served, count, login=self.login)

    async def new_project(self, slug: str, crew: list[Person]) -> None:
        """An empty pairwise project with overlap 1 for these people."""
        new_project(slug, crew)

    async def fill(self, slug: str, lines: bytes) -> None:
        """Import tasks."""
        await self.root.close()  # the server ends connections that were idle for seconds
        path = f"/api/projects/{slug}/tasks/"
        status, answer = await self.root.raw("POST", path, lines, kind="application/x-ndjson")
        if status != 201:
            raise WireError(f"import: {status} {answer[:300]!r}")

    async def claim(self, slug: str, person: Person) -> tuple | None:
        """Its key, its handle, what one may choose; None when there is none left."""
        path = f"/api/projects/{slug}/assignments/"
        return _leased(await person.client.call("POST", path))

    async def submit(self, person: Person, handle: dict, choice: int) -> tuple | None:
        """Store a label; what `claim` would give next, where the same answer tells it."""
        answer = await person.client.call(
            "POST",
            f"/api/assignments/{handle['id']}/judgment/" + ("?next=1" if self.joined else ""),
            {
                "outcome": "preferred",
                "preferred": choice,
                "strength": 2,
                "seconds": 3.5,
                "token": handle["token"],
            },
            headers={"Idempotency-Key": handle["id"]},
        )
        return _leased(answer["next"]) if self.joined else None

    async def export(self, slug: str) -> tuple[int, list[tuple]]:
        """Bytes, and (task, who, what) of every label."""
        from annotation.models import Task

        await self.root.close()
        path = f"/api/projects/{slug}/export/?format=preferendum"
        _, fields, reader = await self.root.send("GET", path)
        size, rest, rows = 0, b"", []
        async for part in body_of(fields, reader):
            size += len(part)
            *whole, rest = (rest + part).split(b"\n")
            for line in map(json.loads, whole):
                rows += [
                    (line["external_id"], one["annotator"], one["preferred"])
                    for one in line["judgments"]
                ]
        tasks = Task.objects.filter(project__slug=slug).values_list("external_id", "id")
        numbers = dict(tasks)
        return size, [(numbers[name], *rest) for name, *rest in rows]


def _leased(lease: dict | None) -> tuple | None:
    if lease is None:
        return None
    return lease["task"]["id"], lease, [one["id"] for one in lease["task"]["candidates"]]


class PreferendumPage(Preferendum):
    """The same through the page's own door: one request sends a judgment, and brings the desk
    after the one that is here already, as HTML. Needs sessions."""

    def __init__(self, served: Served, *, login: str = "session", joined: bool = True):
        super().__init__(served, login="session", joined=True)
        self.tasks: dict[int, int] = {}  # candidate -> task, which the page does not say
        self.ahead: dict[str, tuple | None] = {}
        self.path = ""

    async def claim(self, slug: str, person: Person) -> tuple | None:
        from annotation.models import Candidate

        self.path = f"/annotate/{slug}/step/"
        if not self.tasks:
            rows = Candidate.objects.filter(task__project__slug=slug)
            self.tasks = dict(rows.values_list("id", "task_id"))
        answer = await person.client.call("POST", self.path, {"do": "next", "ahead": ""})
        return self._shown(person, answer, None)

    async def submit(self, person: Person, handle: dict, choice: int) -> tuple | None:
        shown = self.ahead[person.name]
        body = {"outcome": "preferred", "preferred": choice, "strength": 2, "seconds": 3.5}
        step = {"do": "submit", **handle, "body": body}
        step["ahead"] = shown[1]["assignment"] if shown else ""
        answer = await person.client.call("POST", self.path, step)
        return self._shown(person, answer, shown)

    def _shown(self, person: Person, answer: dict, shown: tuple | None) -> tuple | None:
        self.ahead[person.name] = self._form(answer["ahead"])
        return shown if answer["html"] is None else self._form(answer["html"])

    def _form(self, html: str | None) -> tuple | None:
        assignment = re.search(r'data-assignment="([^"]+)"', html or "")
        key = re.search(r'data-key-of-send="([^"]+)"', html or "")
        ids = sorted({int(found) for found in re.findall(r'value="(\d+):2"', html or "")})
        if not (assignment and key and ids):
            return None
        return self.tasks[ids[0]], {"assignment": assignment[1], "key": key[1]}, ids


class Loop:
    """One run: what was handed out, what was accepted, how long each call took."""

    def __init__(self, product, slug: str, *, warm: float, seconds: float):
        self.product, self.slug = product, slug
        self.warm, self.seconds = warm, seconds
        self.handed: dict[object, set[str]] = defaultdict(set)
        self.accepted: dict[tuple, object] = {}
        self.unsure: set[tuple] = set()
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

    async def work(self, person) -> None:
        """Claim, submit, claim ... until the time is up or nothing is left."""
        chance = random.Random(person.name)
        lease = None
        while time.perf_counter() < self.ends:
            try:
                if lease is None:
                    lease = await self.timed("claim", self.product.claim(self.slug, person))
                if lease is None:
                    return
                lease = await self.judge(person, lease, chance)
            except (WireError, OSError, asyncio.IncompleteReadError) as exc:
                self.errors[str(exc)[:120]] += 1
                await person.client.close()
                lease = None

    async def judge(self, person, lease: tuple, chance: random.Random) -> tuple | None:
        task, handle, choices = lease
        self.handed[task].add(person.name)
        choice = chance.choice(choices)
        mine = (task, person.pseudonym)
        self.unsure.add(mine)
        following = await self.timed("submit", self.product.submit(person, handle, choice))
        self.accepted[mine] = choice
        self.unsure.discard(mine)
        return following


def spread(times: list[float]) -> dict:
    """Milliseconds: the median and the tail."""
    ranked = sorted(times)

    def at(share: float) -> float:
        return round(1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))], 1)

    return {"n": len(ranked), **({"p50": at(0.5), "p95": at(0.95)} if ranked else {})}


async def one_run(product, crew: list, slug: str, *, tasks: bytes, **options) -> dict:
    """Import, label, export, check."""
    count = tasks.count(b"\n") + 1
    served = product.served
    figures: dict = {"product": product.name, "people": len(crew), "tasks": count}
    await product.new_project(slug, crew)
    with Meter(served) as meter:
        await product.fill(slug, tasks)
    figures["import"] = {"tasks_per_s": round(count / meter.seconds), **meter.figures()}
    loop = Loop(product, slug, **options)
    with Meter(served) as meter:
        loop.begin()
        await asyncio.gather(*(loop.work(person) for person in crew))
    labels = len(loop.accepted)
    each = 1000 / max(1, labels)
    figures["labelling"] = {
        "labels": labels,
        "labels_per_s": round(len(loop.took["submit"]) / (loop.ends - loop.opens), 1),
        "claim_ms": spread(loop.took["claim"]),
        "submit_ms": spread(loop.took["submit"]),
        "web_cpu_ms_per_label": round(meter.web * each, 2),
        "database_cpu_ms_per_label": round(meter.database * each, 2),
        "errors": dict(loop.errors.most_common(5)),
        **meter.figures(),
    }
    with Meter(served) as meter:
        size, rows = await product.export(slug)
    figures["export"] = {"bytes": size, **meter.figures()}
    figures["check"] = checked(rows, loop)
    return figures


def checked(rows: list[tuple], loop: Loop) -> dict:
    """What the export says, as (task, who, what), beside what the server had accepted."""
    given = {(task, who): what for task, who, what in rows}
    people_of = Counter(task for task, _, _ in rows)
    both = set(loop.accepted) & set(given)
    return {
        "exported": len(rows),
        "over_collected": sum(n > 1 for n in people_of.values()),
        "handed_to_two": sum(len(who) > 1 for who in loop.handed.values()),
        "lost": len(set(loop.accepted) - set(given)),
        "unasked": len(set(given) - set(loop.accepted) - loop.unsure),
        "wrong": sum(given[key] != loop.accepted[key] for key in both),
    }


class Meter:
    """CPU of the web processes, of PostgreSQL and of everything else over a block of code, and
    the web processes' memory before it and at its highest."""

    def __init__(self, served: Served):
        self.served = served

    def __enter__(self) -> "Meter":
        self.memory = self.peak = memory_of(self.served.web)
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()
        self._begun = time.perf_counter()
        self._at = self._read()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.peak = max(self.peak, memory_of(self.served.web))

    def __exit__(self, *_) -> None:
        self.seconds = time.perf_counter() - self._begun
        web, database, own, busy = (b - a for a, b in zip(self._at, self._read(), strict=True))
        self.web, self.database, self.own = web, database, own
        self._over.set()
        self._looking.join()
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
            "seconds": round(self.seconds, 2),
            "web_memory_mib": [round(self.memory), round(self.peak)],
            "web_cpu_s": round(self.web, 2),
            "database_cpu_s": round(self.database, 2),
            "driver_cpu_s": round(self.own, 2),
            "others_cores": round(self.others, 2),
        }


async def _all(products: list, sizes: list[int], tasks: int, **options) -> list[dict]:
    lines, runs = task_lines(tasks), []
    crews = [await product.crew(max(sizes)) for product in products]
    for number, size in enumerate(sizes):
        for product, crew in zip(products, crews, strict=True):
            run = await one_run(product, crew[:size], f"bench-{number}", tasks=lines, **options)
            runs.append(run)
            print(json.dumps(run), flush=True)
            for person in crew:
                await person.client.close()
    return runs


def run(arguments) -> list[dict]:
    """The part `annotation` of the benchmarks."""
    sizes = [int(size) for size in arguments.people.split(",")]
    door = PreferendumPage if arguments.door == "page" else Preferendum
    with ExitStack() as stack:
        served = stack.enter_context(serving())
        products = [door(served, login=arguments.login, joined=arguments.joined)]
        if arguments.peer:
            products.append(LabelStudio(stack.enter_context(serving_label_studio())))
        options = {"warm": arguments.warm, "seconds": arguments.seconds}
        runs = asyncio.run(_all(products, sizes, arguments.tasks, **options))
    if arguments.peer:
        print(side_by_side(runs), flush=True)
    return runs


#: Of each run: what the figure is called, where it is, and whether more is better.
_ROWS = (
    ("labels/s", lambda r: r["labelling"]["labels_per_s"], True),
    ("CPU ms/label", lambda r: r["labelling"]["web_cpu_ms_per_label"]
     + r["labelling"]["database_cpu_ms_per_label"], False),
    ("claim p95 ms", lambda r: r["labelling"]["claim_ms"].get("p95", 0), False),
    ("submit p95 ms", lambda r: r["labelling"]["submit_ms"].get("p95", 0), False),
    ("import s", lambda r: r["import"]["seconds"], False),
    ("import CPU s", lambda r: r["import"]["web_cpu_s"] + r["import"]["database_cpu_s"], False),
    ("export s", lambda r: r["export"]["seconds"], False),
    ("export CPU s", lambda r: r["export"]["web_cpu_s"] + r["export"]["database_cpu_s"], False),
    ("import grew MiB", lambda r: r["import"]["web_memory_mib"][1]
     - r["import"]["web_memory_mib"][0], None),
    ("export grew MiB", lambda r: r["export"]["web_memory_mib"][1]
     - r["export"]["web_memory_mib"][0], None),
    ("over-collected", lambda r: r["check"]["over_collected"], None),
    ("lost", lambda r: r["check"]["lost"], None),
    ("others' cores", lambda r: r["labelling"]["others_cores"], None),
)  # fmt: skip


def side_by_side(runs: list[dict]) -> str:
    """A table of the runs by people and product, and how many times better the product is."""
    lines = ["| people | figure | preferendum | label-studio | times |", "|---|---|---|---|---|"]
    for ours, theirs in zip(runs[::2], runs[1::2], strict=True):
        for name, of, more in _ROWS:
            mine, other = of(ours), of(theirs)
            above, below = (mine, other) if more else (other, mine)
            times = "" if more is None or not below else f"{above / below:.1f}"
            lines.append(f"| {ours['people']} | {name} | {mine:.4g} | {other:.4g} | {times} |")
    return "\n".join(lines)
