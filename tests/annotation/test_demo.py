"""The demo project and its content."""

import pytest

from annotation import demo, demo_kinds, selectors
from annotation.models import Candidate, Project
from annotation.models.projects import Kind
from annotation.services import queue
from inference.starter.manners import is_right

pytestmark = pytest.mark.django_db


def test_the_demo_has_pairs_to_judge_and_prompts_and_is_made_once(make_user):
    ana = make_user("ana", "annotator")
    assert "48 pairs" in demo.prepare()[0]
    project = Project.objects.get(slug="demo")
    counts = selectors.counts(project)
    assert (counts["open"], counts["wanted"]) == (48, 96 + 240)
    assert counts["judgments"] == 240
    assert counts["prompts"] > 300
    assert queue.claim(project="demo", by=ana) is not None
    assert "as it was" in demo.prepare()[0]
    assert selectors.counts(project)["tasks"] == 48 + 240


def test_the_two_answers_of_a_demo_pair_differ(db):
    demo.prepare()
    answers = {}
    for candidate in Candidate.objects.all():
        answers.setdefault(candidate.task_id, set()).add(candidate.content)
    assert sum(len(texts) == 2 for texts in answers.values()) >= 46 + 235


def test_the_judged_pairs_prefer_right_to_wrong(db):
    demo.prepare()
    gap = 0
    for record in selectors.preferences(project_ids=[Project.objects.get(slug="demo").pk]):
        if record.outcome == "preferred":
            right = {ident: is_right(record.prompt, text) for ident, text, _ in record.candidates}
            chosen = right.pop(record.preferred)
            (other,) = right.values()
            gap += bool(chosen) - bool(other)
    assert gap > 30


def test_every_kind_has_a_task_to_look_at_and_is_made_once(make_user):
    ana = make_user("ana", "annotator")
    demo_kinds.prepare()
    project = Project.objects.get(slug="every-kind")
    assert set(project.tasks.values_list("kind", flat=True)) == set(Kind.values)
    assert project.tasks.exclude(also=[]).count() == 1
    assert queue.claim(project="every-kind", by=ana) is not None
    assert demo_kinds.prepare() == []
