"""Which prompts a round may sample answers for."""

import pytest

from alignment.services import pool
from annotation.formats.items import PromptIn, Read
from annotation.models import Project
from annotation.services.tasks import store

pytestmark = pytest.mark.django_db


def texts(project: Project, split: str) -> set[str]:
    rows = pool.choose(project, split=split, eval_share=0.25, limit=1000, seed="s")
    return {row["prompt"] for row in rows}


@pytest.fixture
def prompts(project: Project) -> Project:
    items = [
        PromptIn(prompt=f"{mark} question {n}", split=mark)
        for mark in ("train", "test", "Validation", "")
        for n in range(40)
    ]
    store(project=project, reads=[Read(n, item) for n, item in enumerate(items, 1)])
    return project


def test_what_the_source_held_back_is_never_trained_on(prompts):
    trained = texts(prompts, "train")
    assert trained
    assert not [text for text in trained if "test question" in text or "Validation" in text]
    held = texts(prompts, "eval")
    assert sum("test question" in text for text in held) == 40
    assert sum("Validation question" in text for text in held) == 40


def test_every_other_prompt_is_on_one_side_by_its_hash(prompts):
    trained, held = texts(prompts, "train"), texts(prompts, "eval")
    assert not trained & held
    assert len(trained | held) == 160
    assert any("train question" in text for text in held)
