"""Label Studio beside the product: installed, served and driven as the product is.

    python -m tests.bench annotation --peer label-studio

The first run installs it, pinned, into a virtual environment of its own under `var/peers`. It is
served as its own container image does (uWSGI, that image's settings, two processes for two cores)
but without the nginx before it, which spares it a little work. Its PostgreSQL is the machine's
own, where that has the extension pg_trgm, or else the embedded one, without the search indexes
that need it (a setting of its own), which spares it their upkeep; in a cluster of its own and with
the product's settings either way. What it would send out by itself (telemetry, a look for newer
versions) is off.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from tests.bench.instance import ROOT, Served, wait_for
from tests.bench.wire import Client, WireError

REQUIREMENTS = ("label-studio==1.23.2", "uwsgi==2.0.31", "psycopg2-binary==2.9.13")
VENV = ROOT / "var" / "peers" / "label-studio"
PASSWORD = "only-for-measuring"
BATCH = 1000

_CONFIG = (
    '<View><Header value="$prompt"/><Pairwise name="pw" toName="a,b"/>'
    '<Text name="a" value="$a"/><Text name="b" value="$b"/></View>'
)
_SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
    "DJANGO_DB": "default",
    "POSTGRE_NAME": "label_studio",
    "POSTGRE_USER": "preferendum",
    "POSTGRE_PASSWORD": "",
    "POSTGRE_PORT": "5432",
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "JSON_LOG": "1",
}
_UWSGI = (
    "--module core.wsgi:application --master --single-interpreter --processes 2 --threads 1"
    " --need-app --vacuum --die-on-term --buffer-size 65535 --http-timeout 300 --ignore-sigpipe"
    " --ignore-write-errors --disable-write-exception --harakiri 120 --post-buffering 4096"
    " --disable-logging --log-5xx --enable-threads --thunder-lock --lazy-apps --max-requests 5000"
    " --reload-on-rss 2048"
)


def install() -> Path:
    """Its virtual environment, made where there is none."""
    if not (VENV / "bin" / "uwsgi").exists():
        print(f"Installing {', '.join(REQUIREMENTS)} into {VENV} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(VENV / "bin" / "pip"), "install", "--quiet", *REQUIREMENTS]
        subprocess.run(pip, check=True)
    return VENV


@contextmanager
def serving_label_studio() -> Iterator[Served]:
    """Start it in a fresh folder with a database of its own, and clean up."""
    from config.embedded import locations
    from config.embedded.processes import read_pid
    from config.embedded.services import running

    venv = install()
    folder = Path(tempfile.mkdtemp(prefix="preferendum-peer-"))
    [site] = (venv / "lib").glob("python3.*/site-packages/label_studio")
    where = locations(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {
        **os.environ,
        **_SETTINGS,
        "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
        "POSTGRE_HOST": str(where.socket_dir),
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "LABEL_STUDIO_BASE_URL": f"http://127.0.0.1:{port}",
        "CSRF_TRUSTED_ORIGINS": f"http://127.0.0.1:{port}",
    }
    environ.pop("DATABASE_URL", None)
    own = own_postgres()
    if own is None:
        environ |= {"SKIP_TRIGRAM_EXTENSION": "full", "SKIP_BTREE_GIN_EXTENSION": "full"}
    try:
        with (
            running(where) if own is None else _running(own, where),
            open(folder / "served.log", "ab") as log,
        ):
            _make_database(where.maintenance_url)
            quiet = {"cwd": site, "env": environ, "stdout": log, "stderr": log}
            migrate = [str(venv / "bin" / "python"), "manage.py", "migrate"]
            subprocess.run(migrate, check=True, **quiet)
            line = [str(venv / "bin" / "uwsgi"), *_UWSGI.split(), "--http", f"127.0.0.1:{port}"]
            web = subprocess.Popen(line, **quiet)
            try:
                wait_for(f"http://127.0.0.1:{port}/health/", web)
                database = read_pid(where.postgres_data / "postmaster.pid")
                yield Served(port=port, web=web.pid, database=database)
            finally:
                web.terminate()
                web.wait(30)
    finally:
        shutil.rmtree(where.socket_dir, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def own_postgres() -> Path | None:
    """The programs of the machine's own PostgreSQL, if it has what Label Studio's tables ask."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        version = folder.parent.name
        if Path(f"/usr/share/postgresql/{version}/extension/pg_trgm.control").exists():
            return folder
    return None


@contextmanager
def _running(programs: Path, where) -> Iterator[None]:
    """A cluster of the machine's own PostgreSQL, with the settings of the embedded one."""
    from config.embedded import postgres
    from config.embedded.folders import make_folders, make_socket_folder

    make_folders(where)
    who = postgres.account(where)
    make_socket_folder(where, os.getuid() if who is None else who.pw_uid)
    where.var_dir.chmod(0o755)
    where.postgres_data.mkdir(mode=0o700)
    if who is not None:
        os.chown(where.postgres_data, who.pw_uid, who.pw_gid)
    as_who = {"cwd": "/", "stdout": subprocess.DEVNULL, **postgres.as_user(who)}
    make = ["initdb", "-D", where.postgres_data, "-U", "preferendum", "--auth=trust", "-EUTF8"]
    subprocess.run([programs / make[0], *make[1:], "--locale=C.UTF-8"], check=True, **as_who)
    _, *options = postgres.command(where)
    with open(where.log_dir / "postgres.log", "ab") as log:
        server = subprocess.Popen([programs / "postgres", *options], stderr=log, **as_who)
    try:
        postgres.wait_until_ready(where, alive=lambda: server.poll() is None)
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def _make_database(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE label_studio")


class Annotator:
    """Someone who is logged in by the session cookie, as browsers are."""

    def __init__(self, name: str, port: int):
        self.name = name
        self.client = Client(port, kept=False)
        self.id = 0

    @property
    def pseudonym(self) -> str:
        return self.name

    async def log_in(self) -> None:
        """Make the account and enter."""
        page = "/user/signup/"
        await self.client.raw("GET", page)
        form = {
            "email": f"{self.name}@bench.local",
            "password": PASSWORD,
            "csrfmiddlewaretoken": self.client.cookies["csrftoken"],
        }
        kind = "application/x-www-form-urlencoded"
        await self.client.raw("POST", page, urlencode(form).encode(), kind=kind)
        self.client.headers["X-CSRFToken"] = self.client.cookies["csrftoken"]
        self.id = (await self.client.call("GET", "/api/current-user/whoami"))["id"]


class LabelStudio:
    """What the driver asks of it."""

    name = "label-studio"

    def __init__(self, served: Served):
        self.served = served
        self.root = Annotator("root", served.port)
        self.names: dict[int, str] = {}
        self.project = 0

    async def crew(self, count: int) -> list[Annotator]:
        """Annotators, logged in."""
        made = [Annotator(f"bench{n:03d}", self.served.port) for n in range(count)]
        for person in (self.root, *made):
            await person.log_in()
            self.names[person.id] = person.name
        return made

    async def new_project(self, slug: str, crew: list[Annotator]) -> None:
        """A pairwise project with overlap 1; everyone of the organisation works in it."""
        made = await self.root.client.call(
            "POST",
            "/api/projects/",
            {
                "title": slug,
                "label_config": _CONFIG,
                "maximum_annotations": 1,
                "sampling": "Sequential sampling",
            },
        )
        self.project = made["id"]

    async def fill(self, slug: str, lines: bytes) -> None:
        """Import tasks, a thousand a request."""
        tasks = []
        for line in map(json.loads, lines.splitlines()):
            first, second = (c["content"] for c in line["candidates"])
            prompt = line["prompt"][0]["content"]
            tasks.append({"key": line["external_id"], "prompt": prompt, "a": first, "b": second})
        path = f"/api/projects/{self.project}/import"
        for start in range(0, len(tasks), BATCH):
            batch = tasks[start : start + BATCH]
            answer = await self.root.client.call("POST", path, batch)
            if answer["task_count"] != len(batch):
                raise WireError(f"import: {answer}")

    async def claim(self, slug: str, person: Annotator) -> tuple[str, object, list] | None:
        """Its key, its handle, what one may choose."""
        path = f"/api/projects/{self.project}/next"
        status, answer = await person.client.raw("GET", path)
        if status == 404:
            return None
        if status != 200:
            raise WireError(f"next: {status} {answer[:200]!r}")
        task = json.loads(answer)
        return task["data"]["key"], task["id"], ["left", "right"]

    async def submit(self, person: Annotator, handle: object, choice: str) -> None:
        """Store a label."""
        result = {
            "id": "r1",
            "from_name": "pw",
            "to_name": "a,b",
            "type": "pairwise",
            "value": {"selected": choice},
        }
        path = f"/api/tasks/{handle}/annotations/?project={self.project}"
        await person.client.call("POST", path, {"lead_time": 3.5, "result": [result]})

    async def export(self, slug: str) -> tuple[int, list[tuple[str, str, str]]]:
        """Bytes, and (task, who, what) of every label."""
        path = f"/api/projects/{self.project}/export?exportType=JSON&download_all_tasks=true"
        status, blob = await self.root.client.raw("GET", path)
        if status != 200:
            raise WireError(f"export: {status} {blob[:200]!r}")
        found = []
        for task in json.loads(blob):
            for one in task["annotations"]:
                who = one["completed_by"]
                who = self.names[who["id"] if isinstance(who, dict) else who]
                found.append((task["data"]["key"], who, one["result"][0]["value"]["selected"]))
        return len(blob), found
