"""The gateway against the engine it stands before: the same questions, asked of both in turns.

    python -m tests.bench feedback-gateway --streams 1,8,32 --engines transformers,vllm

Rounds alternate between the engine directly and `/v1/chat/completions`, so that what else the
machine does falls on both. Greedy answers: their text must be the same to the letter. Time to the
first token is that of the first text a client gets; throughput counts the engine's own tokens.
"""

import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.instance import ROOT, busy_cpu, cpu_of, serving
from tests.bench.wire import Client, body_of

STARTER = ROOT / "inference" / "starter" / "weights"
VLLM = ROOT / ".venv-vllm" / "bin" / "python"
TOKENS = 48
QUESTIONS = (
    "How do I boil an egg?", "What is the capital of France?", "How do I make tea?",
    "Tell me about the moon.", "How do I tie a tie?", "What is the largest ocean?",
    "How can I sleep better?", "What should I cook tonight?",
)  # fmt: skip


@dataclass
class Heard:
    """One streamed answer: seconds to its first text and to its end, the text, its tokens."""

    first: float
    whole: float
    text: str
    tokens: int


async def ask(client: Client, model: str, question: str) -> Heard:
    """Stream one greedy answer."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "max_tokens": TOKENS,
    }
    begun = time.perf_counter()
    status, fields, reader = await client.send(
        "POST", "/v1/chat/completions", json.dumps(body).encode()
    )
    first, held, texts, tokens = None, b"", [], 0
    async for part in body_of(fields, reader):
        now = time.perf_counter()
        held += part
        *lines, held = held.split(b"\n")
        for line in lines:
            if not line.startswith(b"data:") or line.strip() == b"data: [DONE]":
                continue
            chunk = json.loads(line[5:])
            if chunk.get("usage"):
                tokens = chunk["usage"]["completion_tokens"]
            for choice in chunk.get("choices", ()):
                if text := (choice.get("delta") or {}).get("content"):
                    first = first or now
                    texts.append(text)
    if status != 200 or first is None:
        raise RuntimeError(f"{status}: {held[:300]!r}")
    return Heard(first - begun, time.perf_counter() - begun, "".join(texts), tokens)


async def round_of(clients: list[Client], model: str) -> tuple[list[Heard], float]:
    """All clients ask at once; the answers and the seconds until the last has ended."""
    for client in clients:  # servers end connections that were idle for seconds
        await client.close()
    begun = time.perf_counter()
    asked = (ask(client, model, QUESTIONS[n % len(QUESTIONS)]) for n, client in enumerate(clients))
    return list(await asyncio.gather(*asked)), time.perf_counter() - begun


async def compare(
    streams: int, rounds: int, engine_port: int, model: str, web_port: int, key: str, web_pid: int
) -> dict:
    """Rounds of one number of streams, directly and through the gateway in turns."""
    direct = [Client(engine_port) for _ in range(streams)]
    through = [Client(web_port, headers={"Authorization": f"Bearer {key}"}) for _ in range(streams)]
    await round_of(direct, model)
    await round_of(through, "default")
    heard: dict[str, list[Heard]] = {"direct": [], "gateway": []}
    rates: dict[str, list[float]] = {"direct": [], "gateway": []}
    same, web_cpu, busy, begun = True, 0.0, busy_cpu(), time.perf_counter()
    for number in range(rounds):
        texts = {}
        order = ("direct", "gateway") if number % 2 else ("gateway", "direct")
        for side in order:
            before = cpu_of(web_pid)
            clients, name = (direct, model) if side == "direct" else (through, "default")
            answers, seconds = await round_of(clients, name)
            if side == "gateway":
                web_cpu += cpu_of(web_pid) - before
            heard[side] += answers
            rates[side].append(sum(one.tokens for one in answers) / seconds)
            texts[side] = [one.text for one in answers]
        same = same and texts["direct"] == texts["gateway"]
    for client in (*direct, *through):
        await client.close()
    first = {side: statistics.median(one.first for one in rows) for side, rows in heard.items()}
    rate = {side: statistics.median(rows) for side, rows in rates.items()}
    extra = [
        statistics.median(one.first for one in heard["gateway"][at : at + streams])
        - statistics.median(one.first for one in heard["direct"][at : at + streams])
        for at in range(0, rounds * streams, streams)
    ]
    return {
        "streams": streams,
        "rounds": rounds,
        "first_token_ms": {side: round(1000 * s, 1) for side, s in first.items()},
        "extra_first_token_ms": round(1000 * (first["gateway"] - first["direct"]), 1),
        "extra_first_token_ms_by_round": round(1000 * statistics.median(extra), 1),
        "tokens_per_s": {side: round(r, 1) for side, r in rate.items()},
        "throughput_ratio": round(rate["gateway"] / rate["direct"], 3),
        "throughput_ratio_by_round": round(
            statistics.median(
                g / d for g, d in zip(rates["gateway"], rates["direct"], strict=True)
            ),
            3,
        ),
        "text_identical": same,
        "web_cpu_ms_per_answer": round(1000 * web_cpu / (rounds * streams), 1),
        "machine_busy_cores": round((busy_cpu() - busy) / (time.perf_counter() - begun), 2),
    }


def run(arguments) -> list[dict]:
    """The part `feedback-gateway`."""
    results = []
    levels = [int(one) for one in arguments.streams.split(",")]
    for kind in arguments.engines.split(","):
        if kind == "vllm" and not VLLM.exists():
            print(json.dumps({"part": "feedback-gateway", "engine": kind, "left_out": "make "
                              "vllm-cpu has not been run"}), flush=True)  # fmt: skip
            continue
        with engine(kind) as (url, name):
            os.environ.update(ENGINE_URL=url, ENGINE_KIND=kind, ENGINE_RUNNING="64",
                              CHAT_PARALLEL="64", CHAT_PROJECT="demo")  # fmt: skip
            with serving() as served:
                key = set_up(name)
                port = int(url.rsplit(":", 1)[1])
                for streams in levels:
                    result = asyncio.run(
                        compare(streams, arguments.rounds, port, name, served.port, key,
                                served.web)
                    )  # fmt: skip
                    results.append({"part": "feedback-gateway", "engine": kind, **result})
                    print(json.dumps(results[-1]), flush=True)
    return results


def set_up(model: str) -> str:
    """A project that the starter serves, and a key for it."""
    from annotation.services.projects import create_project
    from config.models import AccessKey, User
    from inference.models import ModelVersion
    from inference.services import deployments

    create_project(slug="demo", kinds=["pairwise"])
    version = ModelVersion.objects.create(
        name="first", kind="policy", location=str(STARTER), digest="0" * 64
    )
    deployments.deploy(project="demo", model_version=version)
    user = User.objects.create_user("bench-gateway")
    _, secret = AccessKey.objects.issue(user=user, scopes=["feedback"], requests_per_minute=0)
    return secret


@contextmanager
def engine(kind: str) -> Iterator[tuple[str, str]]:
    """A generation server with the starter: its address, and what it calls the model."""
    from config.embedded.processes import dies_with_parent
    from inference.engine import command

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    if kind == "vllm":
        line = [
            *(str(VLLM), "-m", "vllm.entrypoints.openai.api_server"),
            *("--model", str(STARTER), "--served-model-name", "first", "--dtype", "float32"),
            *("--enforce-eager", "--max-model-len", "512", "--host", "127.0.0.1"),
            *("--port", str(port)),
        ]
        variables |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
        variables.pop("PYTHONPATH", None)
        name = "first"
    else:
        line, name = command(url), str(STARTER)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            line, stdout=log, stderr=subprocess.STDOUT, env=variables, cwd=Path("/"),
            start_new_session=True, preexec_fn=dies_with_parent(signal.SIGKILL),
        )  # fmt: skip
        try:
            _wait(process, url, log)
            yield url, name
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen, url: str, log) -> None:
    until = time.monotonic() + 600
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.3)
    log.seek(0)
    print(log.read()[-3000:].decode(errors="replace"), file=sys.stderr)
    raise RuntimeError("the generation server did not start")
