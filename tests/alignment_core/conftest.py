"""Shared by the tests of the core: a tiny policy and a fitted reward model, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import tiny


@pytest.fixture(scope="session")
def policy_folder(tmp_path_factory) -> Path:
    """A random two-layer Llama."""
    return tiny.make_policy(tmp_path_factory.mktemp("policy") / "pi")


@pytest.fixture(scope="session")
def feature_cache(tmp_path_factory) -> Path:
    """One feature cache for all runs of the session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def reward_folder(tmp_path_factory, feature_cache) -> Path:
    """The run folder of a reward model that likes exclamation marks."""
    from alignment.trainer.__main__ import execute

    folder = tmp_path_factory.mktemp("reward") / "run"
    run = {"task": "reward", "pairs": "data/pairs.parquet", "cache": str(feature_cache)}
    tiny.write_run(folder, run, pairs=tiny.pair_rows(40))
    assert execute(folder) == 0
    return folder


@pytest.fixture
def run(tmp_path):
    """Write a run folder and execute it in this process: (exit code, report, folder)."""
    from alignment.trainer.__main__ import execute

    def go(values: dict, name: str = "run", force: bool = False, **tables):
        folder = tiny.write_run(tmp_path / name, values, **tables)
        code = execute(folder, force=force)
        return code, tiny.report(folder), folder

    return go
