"""A project that people have judged, a policy that serves it, and a trainer that is quick."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alignment import conf
from alignment.services import process
from annotation.models import Project
from annotation.services.projects import ensure_project
from annotation.services.tasks import CandidateIn, TaskIn, create_tasks
from inference.models import ModelVersion
from inference.services import deployments, registry
from tests.alignment.judging import judged_task

FAKE = Path(__file__).with_name("fake_trainer.py")


@pytest.fixture(autouse=True)
def folders(settings, tmp_path: Path) -> Path:
    """Artefacts and runs of this test alone."""
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    settings.RUNS_DIR = tmp_path / "runs"
    return tmp_path


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing generates in these tests, so nobody waits for an engine to load weights."""
    monkeypatch.setattr(deployments, "_prepare_engine", lambda version: None)


@pytest.fixture
def quick_trainer(monkeypatch: pytest.MonkeyPatch, folders: Path) -> Callable[..., None]:
    """The trainer that learns nothing; call it with `policy="crash"` to make it misbehave."""
    monkeypatch.setattr(conf, "LAUNCHER", "direct")
    monkeypatch.setattr(process, "command", lambda folder: [sys.executable, str(FAKE), str(folder)])

    def behave(**what: str) -> None:
        runs = folders / "runs"
        runs.mkdir(exist_ok=True)
        (runs / "behave.json").write_text(json.dumps(what))

    return behave


@pytest.fixture
def policy(db: None, tmp_path: Path) -> ModelVersion:
    """A first policy."""
    folder = tmp_path / "starter"
    folder.mkdir()
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    weights = len(header).to_bytes(8, "little") + header + b"\0\0\0\0"
    (folder / "model.safetensors").write_bytes(weights)
    return registry.register(name="first", kind="policy", location=folder)


@pytest.fixture
def project(policy: ModelVersion) -> Project:
    """A project with a live policy and no judgments yet."""
    made, _ = ensure_project(slug="taste", kinds=["pairwise"], name="Taste")
    deployments.deploy(project="taste", model_version=policy, reason="first policy")
    return made


@pytest.fixture
def judged(project: Project) -> Project:
    """The project after three people judged 150 pairs, one each, and a tie and a 'both bad'."""
    create_tasks(
        project=project,
        tasks=[judged_task(n, by=("p-one", "p-two", "p-three")[n % 3]) for n in range(150)],
    )
    return project


@pytest.fixture
def unjudged_task(project: Project) -> TaskIn:
    return TaskIn(
        kind="pairwise",
        prompt="What is left?",
        candidates=[CandidateIn("This."), CandidateIn("That.")],
    )


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Messages that would go to the workers, instead of going there."""
    from alignment import tasks

    messages: list[tuple[str, str]] = []
    for name in ("execute_round", "execute_run"):
        monkeypatch.setattr(
            getattr(tasks, name), "delay", lambda pk, name=name: messages.append((name, pk))
        )
    return messages
