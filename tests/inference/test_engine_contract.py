"""The same promises, kept by the real `transformers serve` and by real vLLM alike.

`pytest -m engine` runs it against transformers serve, `pytest -m vllm` against vLLM in
.venv-vllm. Where the server cannot be started the tests fail; they do not skip.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx
import numpy as np
import pytest
from django.conf import settings as django_settings
from safetensors.numpy import save_file

from config.embedded.processes import dies_with_parent
from inference import client
from inference.errors import EngineDown, EngineRefused
from inference.models import ModelVersion

STARTER = django_settings.BASE_DIR / "inference" / "starter" / "weights"
VLLM_PYTHON = django_settings.BASE_DIR / ".venv-vllm" / "bin" / "python"
START_SECONDS = 800
QUESTION = [{"role": "user", "content": "How do I boil an egg?"}]
GREEDY = {"temperature": 0.0, "max_tokens": 40}


@dataclass(frozen=True)
class Engine:
    """A running server with a version it serves and one it can take while serving."""

    url: str
    first: ModelVersion
    second: ModelVersion


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("transformers", marks=[pytest.mark.engine, pytest.mark.timeout(1000)]),
        pytest.param("vllm", marks=[pytest.mark.vllm, pytest.mark.timeout(1000)]),
    ],
)
def engine(request, tmp_path_factory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp(request.param)
    first = policy("first", STARTER)
    if request.param == "transformers":
        second = policy("second", copy_of_starter(folder / "second"))
        yield from serving(transformers_command, {}, folder / "log", first, second)
    else:
        if not VLLM_PYTHON.exists():
            pytest.fail(f"vLLM is not installed in {VLLM_PYTHON.parent.parent.name}.")
        second = policy("second", adapter(folder / "second"), form="adapter")
        environment = {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_NO_USAGE_STATS": "1",
        }
        yield from serving(vllm_command, environment, folder / "log", first, second)


def transformers_command(port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "transformers.cli.transformers", "serve"),
        *("--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"),
    ]


def vllm_command(port: int) -> list[str]:
    return [
        *(str(VLLM_PYTHON), "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(STARTER), "--served-model-name", "first", "--dtype", "float32"),
        *("--enable-lora", "--max-lora-rank", "8", "--enforce-eager"),
        *("--max-model-len", "512", "--host", "127.0.0.1", "--port", str(port)),
    ]


def serving(command, environment, log_path, first, second) -> Iterator[Engine]:
    """Run a server until the tests of this module are over."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command(port),
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**variables, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **environment},
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGKILL),
        )
        try:
            until = monotonic() + START_SECONDS
            while not is_well(url):
                if process.poll() is not None or monotonic() > until:
                    pytest.fail(f"The server did not start:\n{log_path.read_text()[-3000:]}")
                sleep(0.2)
            yield Engine(url, first, second)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_well(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def policy(name: str, folder: Path, form: str = "full") -> ModelVersion:
    return ModelVersion(name=name, kind="policy", form=form, location=str(folder))


def copy_of_starter(folder: Path) -> Path:
    """Full weights that say other things: the starter with the sign of its last norm turned."""
    shutil.copytree(STARTER, folder)
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    size = int.from_bytes(raw[:8], "little")
    begin, end = json.loads(raw[8 : 8 + size])["model.norm.weight"]["data_offsets"]
    for high_byte in range(8 + size + begin + 1, 8 + size + end, 2):  # bfloat16, little-endian
        raw[high_byte] ^= 0x80
    path.write_bytes(raw)
    return folder


def adapter(folder: Path) -> Path:
    """A LoRA adapter of rank 8 on the output projections, strong enough to be noticed."""
    folder.mkdir()
    shape = json.loads((STARTER / "config.json").read_text())
    size = shape["hidden_size"]
    draw = np.random.default_rng(0)
    tensors = {}
    for layer in range(shape["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{layer}.self_attn.o_proj"
        tensors[f"{name}.lora_A.weight"] = draw.normal(0, 1.0, (8, size)).astype(np.float32)
        tensors[f"{name}.lora_B.weight"] = draw.normal(0, 1.0, (size, 8)).astype(np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 8, "lora_alpha": 16,
        "lora_dropout": 0.0, "bias": "none", "target_modules": ["o_proj"],
        "base_model_name_or_path": str(STARTER),
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def run(engine, settings):
    """Run a coroutine in a loop of its own against the engine."""
    settings.ENGINE_URL = engine.url
    settings.ENGINE_KIND = "auto"

    def play(work):
        async def whole():
            try:
                return await asyncio.wait_for(work, 120)
            finally:
                await client.close()

        return asyncio.run(whole())

    return play


async def pieces_of(version: ModelVersion, **sampling) -> list[client.Piece]:
    stream = client.stream(
        model_version=version, messages=QUESTION, sampling={**GREEDY, **sampling}
    )
    async with aclosing(stream):
        return [piece async for piece in stream]


def text_of(pieces: list[client.Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def test_an_answer_streams_in_pieces_with_its_end_and_its_usage(engine, run):
    pieces = run(pieces_of(engine.first))
    assert len([piece for piece in pieces if piece.text]) >= 2
    assert all(piece.finish_reason is None for piece in pieces[:-1])
    assert pieces[-1].finish_reason in {"stop", "length"}
    assert pieces[-1].usage.prompt_tokens > 5
    assert 1 < pieces[-1].usage.completion_tokens <= 40
    whole = run(client.complete(model_version=engine.first, messages=QUESTION, sampling=GREEDY))
    assert whole.text == text_of(pieces)
    assert whole.usage == pieces[-1].usage


def test_the_token_limit_is_kept_and_named(engine, run):
    last = run(pieces_of(engine.first, max_tokens=3))[-1]
    assert last.finish_reason == "length"
    assert last.usage.completion_tokens == 3


def test_an_answer_ends_before_its_stop_string(engine, run):
    whole = text_of(run(pieces_of(engine.first)))
    stop = whole[len(whole) // 2 :][:4]
    pieces = run(pieces_of(engine.first, stop=[stop]))
    assert text_of(pieces) == whole[: whole.find(stop)]
    assert pieces[-1].finish_reason == "stop"


def test_sampling_parameters_reach_the_model(engine, run):
    texts = {text_of(run(pieces_of(engine.first, temperature=1.5, seed=seed))) for seed in range(4)}
    assert len(texts) > 1
    greedy = {text_of(run(pieces_of(engine.first, seed=seed))) for seed in range(2)}
    assert len(greedy) == 1


def test_the_turns_of_a_chat_are_told_apart(engine, run):
    chat = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello! How can I help?"},
        *QUESTION,
    ]
    told = run(client.complete(model_version=engine.first, messages=chat, sampling=GREEDY))
    alone = run(client.complete(model_version=engine.first, messages=QUESTION, sampling=GREEDY))
    assert told.usage.prompt_tokens > alone.usage.prompt_tokens


def test_a_reader_that_leaves_does_not_hold_up_the_next(engine, run):
    async def leave_and_come_back():
        for _ in range(3):
            stream = client.stream(
                model_version=engine.first, messages=QUESTION,
                sampling={"temperature": 1.0, "max_tokens": 400},
            )  # fmt: skip
            async with aclosing(stream):
                async for piece in stream:
                    if piece.text:
                        break
        assert client.connection().line.running == 0
        return await pieces_of(engine.first)

    assert run(leave_and_come_back())[-1].finish_reason


def test_a_model_nobody_has_is_an_error_and_the_engine_goes_on(engine, run):
    nobody = policy("nobody", Path("/nowhere/at/all"))
    with pytest.raises((EngineDown, EngineRefused)):
        run(pieces_of(nobody))
    assert text_of(run(pieces_of(engine.first)))


def test_a_version_taken_in_while_another_streams_disturbs_nothing(engine, run):
    async def deploy_while_streaming():
        alone = text_of(await pieces_of(engine.first))
        stream = client.stream(model_version=engine.first, messages=QUESTION, sampling=GREEDY)
        async with aclosing(stream):
            begun = await anext(stream)
            await client.load(engine.second, again=True)
            other = await pieces_of(engine.second)
            rest = [piece async for piece in stream]
        await client.unload(engine.second)
        return alone, [begun, *rest], other

    alone, during, other = run(deploy_while_streaming())
    assert text_of(during)[:8] == alone[:8]
    assert during[-1].finish_reason in {"stop", "length"}
    assert during[-1].usage.completion_tokens > 3
    assert other[-1].usage.completion_tokens > 0
    assert text_of(other)[:8] != alone[:8]  # it is the other version that answered


def test_many_answers_at_once_are_each_whole(engine, run):
    async def crowd():
        return await asyncio.gather(*(pieces_of(engine.first) for _ in range(6)))

    answers = run(crowd())
    assert all(pieces[-1].finish_reason for pieces in answers)
    # Beyond the first words rounding may decide between answers that are equally likely.
    assert len({text_of(pieces)[:8] for pieces in answers}) == 1


def test_a_switch_under_32_running_streams_breaks_none_and_takes_effect_in_time(
    engine, run, settings
):
    """The decision: load the new version, and send the next question to it."""
    # An adapter is read while others speak; full weights stop all streams of transformers serve.
    streams, seconds = (32, 5.0) if engine.second.form == "adapter" else (4, 30.0)
    settings.ENGINE_RUNNING = 64

    async def switch():
        began = asyncio.Semaphore(0)

        async def talk() -> list[client.Piece]:
            pieces = []
            stream = client.stream(
                model_version=engine.first,
                messages=QUESTION,
                sampling={"temperature": 1.0, "max_tokens": 300},
            )
            async with aclosing(stream):
                async for piece in stream:
                    if not pieces:
                        began.release()
                    pieces.append(piece)
            return pieces

        running = [asyncio.create_task(talk()) for _ in range(streams)]
        for _ in range(streams):
            await began.acquire()
        decided = monotonic()
        await client.load(engine.second, again=True)
        stream = client.stream(model_version=engine.second, messages=QUESTION, sampling=GREEDY)
        async with aclosing(stream):
            await anext(stream)
            took = monotonic() - decided
        still = sum(not one.done() for one in running)
        ended = await asyncio.gather(*running)
        await client.unload(engine.second)
        return took, still, ended

    took, still, ended = run(switch())
    print(f"first word of the new version after {took:.2f} s, {still} of {streams} still ran")
    assert took < seconds
    assert all(pieces[-1].finish_reason in {"stop", "length"} for pieces in ended)
    assert all(pieces[-1].usage.completion_tokens > 0 for pieces in ended)
