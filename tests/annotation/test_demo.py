"""The demo project and its content."""

import pytest

from annotation import demo, selectors
from annotation.models import Candidate, Project
from annotation.services import queue

pytestmark = pytest.mark.django_db


def test_the_demo_has_pairs_to_judge_and_prompts_and_is_made_once(make_user):
    ana = make_user("ana", "annotator")
    assert "48 pairs" in demo.prepare()[0]
    project = Project.objects.get(slug="demo")
    counts = selectors.counts(project)
    assert (counts["open"], counts["wanted"]) == (48, 96)
    assert counts["prompts"] > 300
    assert queue.claim(project="demo", by=ana) is not None
    assert "as it was" in demo.prepare()[0]
    assert selectors.counts(project)["tasks"] == 48


def test_the_two_answers_of_a_demo_pair_differ(db):
    demo.prepare()
    answers = {}
    for candidate in Candidate.objects.all():
        answers.setdefault(candidate.task_id, set()).add(candidate.content)
    assert sum(len(texts) == 2 for texts in answers.values()) >= 46
