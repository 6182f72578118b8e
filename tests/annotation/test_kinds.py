"""Every kind of task through its page and through REST."""

import html as html_module
import re

import pytest

from annotation.models import Judgment
from annotation.services import parts, projects, queue
from annotation.services.tasks import CandidateIn, TaskIn, create_tasks

pytestmark = pytest.mark.django_db

RAW = "Sydney 👩‍👩‍👧 is\r\nit. <b>مرحبا</b>"


@pytest.fixture
def asked(alice):
    """`asked("rating")` makes a project of one kind with one task and leases it to alice."""

    def ask(kind: str):
        answers = 3 if kind == "triplet" else 2
        made = projects.create_project(slug=kind, kinds=[kind])
        projects.add_member(project=made, user=alice)
        candidates = [CandidateIn(f"{RAW} {n}") for n in range(answers)]
        create_tasks(project=made, tasks=[TaskIn(kind, "Where?", candidates)])
        return queue.claim(project=kind, by=alice)

    return ask


def plain_forms(lease) -> dict[str, tuple[dict, dict]]:
    """Of each kind that works without scripts: what the form sends, and what is stored."""
    a, b = lease.shown[:2]
    anchor, other = min(lease.shown), max(lease.shown)
    principles = list(lease.task.project.principles.all())
    return {
        "listwise": ({f"place-{a}": "2", f"place-{b}": "1"}, {"ranking": [[b], [a]]}),
        "rating": (
            {f"rate-{n}-{c}": str(n) for n in range(5) for c in (a, b)},
            {"ratings": 10},
        ),
        "principle": (
            {f"verdict-{p.pk}-{c}": "na" for p in principles for c in (a, b)},
            {"verdicts": 12},
        ),
        "critique": (
            {"candidate": str(b), "critique": "no", "corrected": "Canberra"},
            {"candidate": b, "critique": "no", "corrected": "Canberra"},
        ),
        "safety": (
            {"helpful": "tie", "safer": str(b), f"harm-{a}": "3", f"harm-{b}": "0"},
            {
                "helpful": {"outcome": "tie", "preferred": None},
                "safer": {"outcome": "preferred", "preferred": b},
                "harm": 2,
            },
        ),
        "step": (
            {f"step-{a}-1": "-1", f"said-{a}-1": "why?", f"step-{b}-0": "1", "step-turn-x": "1"},
            {"steps": 2},
        ),
        "triplet": (
            {"anchor": str(anchor), "closer": str(other)},
            {"anchor": anchor, "closer": other},
        ),
    }


EVERY = ["listwise", "rating", "principle", "span", "critique", "safety", "step", "triplet"]
PLAIN = [kind for kind in EVERY if kind != "span"]


@pytest.mark.parametrize("kind", EVERY)
def test_the_page_of_every_kind_shows_the_answers(kind, alice, asked, signed_in):
    lease = asked(kind)
    answer = signed_in(alice).get(f"/annotate/{kind}/")
    assert answer.status_code == 200
    html = answer.content.decode()
    assert f'data-assignment="{lease.pk}"' in html
    assert html.count("Sydney") >= 2
    assert "<b>مرحبا" not in html


@pytest.mark.parametrize("kind", PLAIN)
def test_the_plain_form_of_a_kind_is_stored(kind, alice, asked, signed_in):
    lease = asked(kind)
    form, expected = plain_forms(lease)[kind]
    sent = signed_in(alice).post(f"/annotate/{kind}/", form | {"assignment": str(lease.pk)})
    assert sent.status_code == 302
    answer = parts.answer_of(Judgment.objects.get())
    for name, value in expected.items():
        found = answer[name]
        assert (
            len(found) if isinstance(found, list) and isinstance(value, int) else found
        ) == value


@pytest.mark.parametrize("kind", EVERY)
def test_an_empty_plain_form_of_a_kind_is_refused(kind, alice, asked, signed_in):
    lease = asked(kind)
    form = {"assignment": str(lease.pk), "place-x": "1", "rate-0-x": "9", f"place-{'9' * 30}": "1"}
    answer = signed_in(alice).post(f"/annotate/{kind}/", form, follow=True)
    assert answer.status_code == 200
    assert "notice warning" in answer.content.decode()
    assert not Judgment.objects.exists()


@pytest.mark.parametrize("kind", ["principle", "span"])
def test_text_for_marking_has_the_code_points_of_the_raw_text(kind, alice, asked, signed_in):
    lease = asked(kind)
    html = signed_in(alice).get(f"/annotate/{kind}/").content.decode()
    shown = re.findall(r"<div [^>]*data-raw[^>]*>(.*?)</div>", html, re.DOTALL)
    raw = [c.content for c in lease.task.in_order]
    # A reference to a carriage return stands for one; a browser would fold a bare one away.
    assert [html_module.unescape(s.replace("&#13;", "\r")) for s in shown] == raw
    assert all("\r" not in s for s in shown)


def test_rest_hands_out_what_each_kind_needs(alice, api, asked):
    client = api(alice)
    for kind, field in (
        ("principle", "principles"),
        ("rating", "attributes"),
        ("span", "categories"),
        ("step", "steps"),
        ("triplet", "anchor"),
    ):
        lease = asked(kind)
        task = client.post(f"/api/projects/{kind}/assignments/").json()["task"]
        assert task["id"] == lease.task.pk
        assert task[field]


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("listwise", {"ranking": [[0]]}, "ranking"),
        ("span", {"spans": [{"candidate": 0, "start": 0, "end": 99, "category": "unsafe"}]},
         "spans[0].end"),
        ("principle", {"verdicts": [{"candidate": 0, "principle": "wit", "verdict": "yes"}]},
         "verdicts[0].principle"),
        ("rating", {"ratings": [{"candidate": 0, "attribute": "correctness", "value": 5}]},
         "ratings[0].value"),
        ("critique", {"candidate": 0, "critique": ""}, "critique"),
        ("safety", {"helpful": {"outcome": "tie"}}, "safer"),
        ("step", {"steps": [{"candidate": 0, "step": 2, "value": 1}]}, "steps[0].step"),
        ("step", {"steps": [{"candidate": None, "step": 1, "value": 1}]}, "steps[0].step"),
        ("triplet", {"anchor": -1, "closer": None}, "anchor"),
    ],
)  # fmt: skip
def test_rest_refuses_a_bad_body_of_each_kind_by_field(kind, body, field, alice, api, asked):
    lease = asked(kind)
    first = lease.shown[0]

    def named(value):
        if isinstance(value, dict):
            return {k: first if k == "candidate" and v == 0 else named(v) for k, v in value.items()}
        return [first if v == 0 else named(v) for v in value] if isinstance(value, list) else value

    answer = api(alice).post(f"/api/assignments/{lease.pk}/judgment/", named(body), format="json")
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]
    assert not Judgment.objects.exists()


@pytest.mark.parametrize("kind", PLAIN)
def test_undo_lays_the_answer_of_a_kind_on_the_desk_again(kind, alice, asked, signed_in):
    lease = asked(kind)
    form, _ = plain_forms(lease)[kind]
    client = signed_in(alice)
    client.post(f"/annotate/{kind}/", form | {"assignment": str(lease.pk)})
    client.post(f"/annotate/{kind}/", {"undo": str(Judgment.objects.get().pk)})
    html = client.get(f"/annotate/{kind}/").content.decode()
    for name, value in form.items():
        if kind == "critique" or name.startswith(("said", "anchor")) or name.endswith("x"):
            assert value in html
        else:
            assert f'name="{name}" value="{value}" required checked' in html


@pytest.mark.parametrize(
    "draft",
    [
        {"outcome": "preferred"},
        {"helpful": 3, "safer": [], "harm": {"a": 1}},
        {"steps": [{"step": {}}, 7]},
        {"verdicts": [[]], "ratings": [{"attribute": "wit"}]},
        {"ranking": [3], "unusable": 4, "also": []},
        {"closer": {}, "candidate": [], "critique": {}},
    ],
)
@pytest.mark.parametrize("kind", EVERY)
def test_a_crooked_draft_does_not_keep_the_desk_from_showing(kind, draft, alice, asked, signed_in):
    lease = asked(kind)
    queue.save_draft(assignment_id=lease.pk, by=alice, body=draft)
    assert signed_in(alice).get(f"/annotate/{kind}/").status_code == 200


def test_the_anchor_of_a_triplet_stands_between_the_other_two(alice, asked, signed_in):
    lease = asked("triplet")
    html = signed_in(alice).get("/annotate/triplet/").content.decode()
    anchor = min(lease.shown)
    others = [pk for pk in lease.shown if pk != anchor]
    shown = [int(pk) for pk in re.findall(r'data-answer="(\d+)"', html)]
    assert shown == [others[0], anchor, others[1]]
