"""A thousand idle chat sockets and fifty busy ones beside people who label, in one web process.

    python -m tests.bench feedback-sockets --idle 1000 --active 50 --seconds 20

The generation server is a script that writes twenty pieces a second and costs next to nothing, so
that what is seen is the web process. Memory is the resident memory of the web process before and
after the idle windows open; labelling is one person who claims and submits, first alone, then
beside all the sockets.
"""

import asyncio
import json
import os
import time
import uuid

from tests.bench.annotation import task_lines
from tests.bench.instance import busy_cpu, cpu_of, memory_of, serving
from tests.bench.wire import Client

PIECES = 40
PIECE_SECONDS = 0.05


def run(arguments) -> list[dict]:
    """The part `feedback-sockets`."""
    result = asyncio.run(_run(arguments.idle, arguments.active, arguments.seconds))
    print(json.dumps(result), flush=True)
    return [result]


async def _run(idle: int, active: int, seconds: float) -> dict:
    engine = await asyncio.start_server(_engine, "127.0.0.1", 0)
    port = engine.sockets[0].getsockname()[1]
    os.environ.update(
        ENGINE_URL=f"http://127.0.0.1:{port}", ENGINE_KIND="transformers",
        ENGINE_RUNNING=str(active), CHAT_PROJECT="demo",
    )  # fmt: skip
    serve = serving()
    served = await asyncio.to_thread(serve.__enter__)
    try:
        return await _measure(served, idle, active, seconds)
    finally:
        engine.close()
        await asyncio.to_thread(serve.__exit__, None, None, None)


async def _measure(served, idle: int, active: int, seconds: float) -> dict:
    key, people, annotator = await asyncio.to_thread(_set_up, idle + active)
    labeller = Client(served.port, headers={"Authorization": f"Bearer {annotator}"})
    filler = Client(served.port, headers={"Authorization": f"Bearer {key}"})
    await filler.raw(
        "POST", "/api/projects/demo/tasks/", task_lines(4000), kind="application/x-ndjson"
    )
    await _label(labeller, 3)
    alone = await _label(labeller, seconds)
    # A few windows first: what the first ones load is not what a window costs.
    first = [await _open(served.port, one) for one in people[:active]]
    await asyncio.sleep(1)
    before = memory_of(served.web)
    windows = []
    for at in range(active, len(people), 25):
        windows += await asyncio.gather(*(_open(served.port, one) for one in people[at : at + 25]))
    await asyncio.sleep(2)
    each_kb = (memory_of(served.web) - before) * 1024 / max(1, idle)
    beside_idle = await _label(labeller, seconds)
    told: list[float] = []
    stop = asyncio.Event()
    chats = [asyncio.create_task(_chat(one, stop, told)) for one in first]
    await asyncio.sleep(3)
    cpu, busy, begun = cpu_of(served.web), busy_cpu(), time.perf_counter()
    beside_all = await _label(labeller, seconds)
    spent = time.perf_counter() - begun
    web_cores, cores = (cpu_of(served.web) - cpu) / spent, (busy_cpu() - busy) / spent
    stop.set()
    answers = await asyncio.gather(*chats)
    for socket in (*first, *windows):
        await socket.close()
    return {
        "part": "feedback-sockets",
        "idle": idle,
        "active": active,
        "memory_per_idle_socket_kB": round(each_kb, 1),
        "label_p50_p95_ms": {
            "alone": alone, "beside_idle_sockets": beside_idle, "beside_all": beside_all,
        },
        "p95_ratio": round(beside_all[1] / alone[1], 2),
        "answers_while_measured": sum(answers),
        "first_piece_ms_p50": round(1000 * sorted(told)[len(told) // 2], 1) if told else None,
        "web_cores": round(web_cores, 2),
        "machine_busy_cores": round(cores, 2),
    }  # fmt: skip


async def _label(client: Client, seconds: float) -> tuple[float, float]:
    """Claim and submit for a while; median and 95th percentile of a request, ms."""
    await client.close()  # the server ends connections that were idle for seconds
    took = []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        begun = time.perf_counter()
        lease = await client.call("POST", "/api/projects/demo/assignments/")
        middle = time.perf_counter()
        await client.call(
            "POST",
            f"/api/assignments/{lease['id']}/judgment/",
            {"outcome": "tie", "seconds": 3.0, "token": lease["token"]},
            headers={"Idempotency-Key": lease["id"]},
        )
        took += [middle - begun, time.perf_counter() - middle]
        await asyncio.sleep(0.02)
    took.sort()
    return round(1000 * took[len(took) // 2], 1), round(1000 * took[int(0.95 * len(took))], 1)


async def _open(port: int, person: tuple[str, str]):
    """A window on a conversation, with its snapshot read."""
    from websockets.asyncio.client import connect

    conversation, cookie = person
    socket = await connect(
        f"ws://127.0.0.1:{port}/ws/chat/{conversation}/",
        origin=f"http://127.0.0.1:{port}",
        additional_headers={"Cookie": f"guest={cookie}"},
        compression=None,
        ping_interval=None,
        proxy=None,
    )
    assert json.loads(await socket.recv())["type"] == "snapshot"
    return socket


async def _chat(socket, stop: asyncio.Event, told: list[float]) -> int:
    """Ask again and again until told to stop; how many answers came whole."""
    answers = 0
    while not stop.is_set():
        begun, heard = time.perf_counter(), False
        await socket.send(
            json.dumps({"type": "send", "id": str(uuid.uuid4()), "text": "How do I make tea?"})
        )
        while True:
            frame = json.loads(await asyncio.wait_for(socket.recv(), 30))
            if frame["type"] == "delta" and not heard:
                heard = True
                told.append(time.perf_counter() - begun)
            if frame["type"] in ("error", "busy"):
                raise RuntimeError(frame)
            if frame["type"] == "done":
                answers += 1
                break
        await asyncio.sleep(1.0)
    return answers


async def _engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A generation server in the least of HTTP: it writes at its pace and thinks of nothing."""

    def chunk(text: str) -> bytes:
        raw = text.encode()
        return b"%x\r\n%b\r\n" % (len(raw), raw)

    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(
                line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if line
            )
            await reader.readexactly(int(fields.get("content-length", 0)))
            path = head.split(b" ", 2)[1]
            if path == b"/health":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                continue
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            if path == b"/load_model":
                writer.write(chunk('data: {"status": "ready"}\n\n') + chunk(""))
                continue
            for n in range(PIECES):
                piece = {"choices": [{"index": 0, "delta": {"content": f"word{n} "}}]}
                writer.write(chunk(f"data: {json.dumps(piece)}\n\n"))
                await writer.drain()
                await asyncio.sleep(PIECE_SECONDS)
            usage = {"prompt_tokens": 9, "completion_tokens": PIECES, "total_tokens": 9 + PIECES}
            end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}
            writer.write(chunk(f"data: {json.dumps(end)}\n\n") + chunk("data: [DONE]\n\n"))
            writer.write(chunk(""))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def _set_up(people: int) -> tuple[str, list[tuple[str, str]], str]:
    """A project that chats and labels: a researcher's key, guests with a conversation each, and
    an annotator's key."""
    from annotation.models import Project
    from annotation.services import projects
    from config.models import AccessKey, User
    from feedback.models import Conversation
    from feedback.people import guest_cookie, new_guest
    from inference.models import ModelVersion
    from inference.services import deployments

    projects.create_project(slug="demo", kinds=["pairwise"], overlap=1)
    project = Project.objects.get(slug="demo")
    version = ModelVersion.objects.create(
        name="first", kind="policy", location="/nowhere", digest="0" * 64
    )
    deployments.deploy(project="demo", model_version=version)
    researcher = User.objects.create_user("bench-r", role="researcher")
    _, key = AccessKey.objects.issue(user=researcher, scopes=["research"])
    annotator = User.objects.create_user("bench-a", role="annotator")
    projects.add_member(project=project, user=annotator)
    _, own = AccessKey.objects.issue(user=annotator, scopes=["annotate"])
    guests = [new_guest() for _ in range(people)]
    talks = [Conversation(project=project, guest=one.guest) for one in guests]
    Conversation.objects.bulk_create(talks)
    windows = [(str(talk.pk), guest_cookie(one)) for talk, one in zip(talks, guests, strict=True)]
    return key, windows, own
