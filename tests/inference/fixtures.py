"""Shared by the tests of inference and of feedback: the engine double and small artefacts."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inference.models import ModelVersion
from inference.services import registry
from tests.inference.double import EngineDouble


@pytest.fixture
def engine_double(settings) -> Iterator[EngineDouble]:
    """A generation server in this process, to which ENGINE_URL points."""
    with EngineDouble().serving() as double:
        settings.ENGINE_URL = double.url
        yield double


@pytest.fixture
def artefact(tmp_path: Path) -> Callable[..., Path]:
    """A folder that looks like weights: `artefact("one")`; `window` sets its context size."""

    def make(name: str, *, window: int | None = None, weights: bytes = b"") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(weights or name.encode())
        config = {} if window is None else {"max_position_embeddings": window}
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return make


@pytest.fixture
def make_policy(artefact) -> Callable[..., ModelVersion]:
    """A registered policy without real weights: `make_policy("one")`."""

    def make(name: str, *, window: int | None = None) -> ModelVersion:
        return registry.register(name=name, kind="policy", location=artefact(name, window=window))

    return make
