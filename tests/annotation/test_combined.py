"""Several kinds asked on one page and answered in one judgment."""

import io

import pytest

from annotation.models import DimensionChoice, Judgment, Rating
from annotation.services import exports, imports, parts, projects, queue
from annotation.services.tasks import CandidateIn, TaskIn, create_tasks
from config.errors import Invalid

pytestmark = pytest.mark.django_db

KINDS = ["pairwise", "rating", "safety", "step", "critique"]


@pytest.fixture
def combined(alice):
    made = projects.create_project(
        slug="both", kinds=KINDS, attributes=["truth"], dimensions=["style", "safer"]
    )
    projects.add_member(project=made, user=alice)
    candidates = [CandidateIn("one\n\ntwo"), CandidateIn("three")]
    task = TaskIn("pairwise", "Which?", candidates, also=KINDS[1:])
    create_tasks(project=made, tasks=[task])
    return made


def full_body(lease) -> dict:
    a, b = lease.shown
    return {
        "outcome": "preferred",
        "preferred": a,
        "strength": 1,
        "dimensions": [{"dimension": "style", "outcome": "tie", "preferred": None}],
        "also": {
            "rating": {
                "ratings": [{"candidate": c, "attribute": "truth", "value": 3} for c in (a, b)]
            },
            "safety": {
                "helpful": {"outcome": "preferred", "preferred": b},
                "safer": {"outcome": "tie", "preferred": None},
                "harm": [{"candidate": c, "level": 1} for c in (a, b)],
            },
            "step": {"steps": [{"candidate": a, "step": 0, "value": 1, "comment": ""}]},
            "critique": {"candidate": b, "critique": "short", "corrected": ""},
        },
    }


@pytest.fixture
def judged(combined, alice):
    lease = queue.claim(project="both", by=alice)
    body = full_body(lease)
    judgment = queue.submit(assignment_id=lease.pk, by=alice, body=body).judgment
    return judgment, body


def test_one_submit_stores_every_kind_and_gives_it_back(judged):
    judgment, body = judged
    assert Judgment.objects.count() == 1
    assert Rating.objects.filter(judgment=judgment).count() == 2
    assert DimensionChoice.objects.filter(judgment=judgment).count() == 3
    assert parts.answer_of(Judgment.objects.get()) == body


def test_a_missing_kind_is_refused_and_nothing_is_stored(combined, alice):
    lease = queue.claim(project="both", by=alice)
    body = full_body(lease)
    del body["also"]["safety"]
    with pytest.raises(Invalid) as refused:
        queue.submit(assignment_id=lease.pk, by=alice, body=body)
    assert list(refused.value.fields) == ["also.safety"]
    assert not Judgment.objects.exists()


def test_the_page_asks_every_kind_and_its_plain_form_answers_them(combined, alice, signed_in):
    client = signed_in(alice)
    html = client.get("/annotate/both/").content.decode()
    lease = queue.claim(project="both", by=alice)
    a, b = lease.shown
    form = {
        "choice": f"{b}:2", "dim-0": "tie", f"rate-0-{a}": "4", f"rate-0-{b}": "0",
        "helpful": str(a), "safer": "both_bad", f"harm-{a}": "0", f"harm-{b}": "3",
        f"step-{b}-0": "-1", "candidate": str(a), "critique": "why",
    }  # fmt: skip
    for name in form:
        assert f'name="{name}"' in html
    assert 'data-name="safer"' not in html, "asked once, as a question of safety"
    sent = client.post("/annotate/both/", form | {"assignment": str(lease.pk)})
    assert sent.status_code == 302
    answer = parts.answer_of(Judgment.objects.get())
    assert answer["preferred"] == b
    assert answer["also"]["safety"]["safer"]["outcome"] == "both_bad"
    assert answer["also"]["critique"] == {"candidate": a, "critique": "why", "corrected": ""}


def test_rest_says_what_else_is_asked(combined, alice, api):
    task = api(alice).post("/api/projects/both/assignments/").json()["task"]
    assert task["also"] == KINDS[1:]
    offsets = {len(steps["offsets"]) for steps in task["steps"]}
    assert offsets == {1, 2}


def test_export_and_import_keep_every_kind(judged):
    written = exports.lines(project=judged[0].project, form=exports.find("preferendum"))
    file = io.BytesIO(b"".join(written))
    there = projects.create_project(
        slug="there", kinds=KINDS, attributes=["truth"], dimensions=["style"]
    )
    imports.import_stream(project=there, stream=file, format="preferendum")
    copy = Judgment.objects.get(project=there)
    answer = parts.answer_of(copy)
    assert copy.task.also == KINDS[1:]
    assert answer["also"].keys() == judged[1]["also"].keys()
    assert answer["also"]["safety"]["safer"]["outcome"] == "tie"


def test_a_kind_that_the_project_does_not_ask_is_refused(combined):
    task = TaskIn("pairwise", "?", [CandidateIn("a"), CandidateIn("b")], also=["span"])
    with pytest.raises(Invalid, match="'span' is not asked"):
        create_tasks(project=combined, tasks=[task])


def test_a_kind_that_does_not_fit_the_candidates_is_refused(combined):
    task = TaskIn("rating", "?", [CandidateIn("a")], also=["pairwise"])
    with pytest.raises(Invalid, match="a pairwise task has 2 candidates"):
        create_tasks(project=combined, tasks=[task])
