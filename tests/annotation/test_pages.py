"""The pages of annotation, with and without scripts."""

import gzip
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.staticfiles.finders import find
from django.utils import timezone

from annotation.models import Assignment, Judgment
from annotation.services import projects, queue
from annotation.services.tasks import CandidateIn, create_tasks
from tests.annotation.conftest import a_pair

pytestmark = pytest.mark.django_db


def page(client, project) -> str:
    answer = client.get(f"/annotate/{project.slug}/")
    assert answer.status_code == 200
    return answer.content.decode()


def fields(html: str) -> dict:
    """The hidden fields of the form, as a browser would send them."""
    return dict(re.findall(r'<input type="hidden" name="(assignment|key)" value="([^"]+)"', html))


@pytest.fixture
def desk(alice, signed_in, project, fill):
    fill(3)
    return signed_in(alice)


@pytest.fixture
def step(desk, project):
    def take(**body):
        return desk.post(f"/annotate/{project.slug}/step/", body, content_type="application/json")

    return take


# Who may look -------------------------------------------------------------------------------


def test_strangers_are_sent_to_the_log_in_page(client, project):
    for address in ("/annotate/", f"/annotate/{project.slug}/"):
        assert client.get(address).headers["Location"].startswith("/login/")


def test_members_without_the_role_are_refused_and_other_projects_not_found(
    alice, mallory, signed_in, project
):
    assert signed_in(mallory).get("/annotate/").status_code == 403
    projects.create_project(slug="other", kinds=["pairwise"])
    client = signed_in(alice)
    assert client.get("/annotate/other/").status_code == 404
    assert client.post("/annotate/other/step/", {"do": "next"}).status_code == 404
    assert "other" not in client.get("/annotate/").content.decode()


# The next task in advance ---------------------------------------------------------------------


def lease_in(html: str) -> str:
    return re.search(r'data-assignment="([^"]+)"', html)[1]


def test_a_page_gets_the_next_desk_before_it_asks_and_none_of_them_twice(desk, step, project):
    first = lease_in(page(desk, project))
    second = lease_in(step(do="ahead").json()["ahead"])
    assert len({first, second}) == 2
    sent = {"do": "submit", "assignment": first, "body": {"outcome": "tie"}, "ahead": second}
    answer = step(**sent).json()
    assert answer["html"] is None
    assert 0 < answer["seconds_left"] <= 900
    assert answer["judgment"] in answer["undo"]
    third = lease_in(answer["ahead"])
    assert third not in (first, second)
    last = step(do="submit", assignment=second, body={"outcome": "tie"}, ahead="").json()
    assert lease_in(last["html"]) == third  # a page that showed another one is put right
    assert last["ahead"] is None
    assert page(desk, project).count(third) == 2


def test_a_page_that_does_not_look_ahead_takes_nothing_in_advance(step, desk, project):
    page(desk, project)
    assert "ahead" not in step(do="next").json()
    assert Assignment.objects.count() == 1


# Without scripts ----------------------------------------------------------------------------


def test_the_list_shows_own_projects_with_progress(desk, project):
    html = desk.get("/annotate/").content.decode()
    assert project.name in html
    assert "0 of 3 judgments" in html


def test_a_pair_is_read_and_judged_with_the_plain_form(desk, project, alice):
    html = page(desk, project)
    lease = queue.claim(project=project.slug, by=alice)
    first, second = lease.task.in_order
    assert html.index(first.content) < html.index(second.content)
    sent = desk.post(
        f"/annotate/{project.slug}/",
        fields(html) | {"choice": f"{second.pk}:3", "rationale": "why", "flags": ["harmful"]},
    )
    assert sent.status_code == 302
    judgment = Judgment.objects.get()
    assert judgment.pairwise.preferred == second
    assert (judgment.pairwise.strength, judgment.rationale) == (3, "why")
    assert judgment.flags == ["harmful"]
    assert judgment.shown == [first.pk, second.pk]
    assert 'name="undo"' in page(desk, project)


@pytest.mark.parametrize(("choice", "outcome"), [("tie", "tie"), ("both_bad", "both_bad")])
def test_tie_and_both_bad_are_different(desk, project, choice, outcome):
    desk.post(f"/annotate/{project.slug}/", fields(page(desk, project)) | {"choice": choice})
    assert Judgment.objects.get().pairwise.outcome == outcome


def test_the_plain_form_sent_twice_is_stored_once(desk, project):
    form = fields(page(desk, project)) | {"choice": "tie"}
    for _ in range(2):
        assert desk.post(f"/annotate/{project.slug}/", form).status_code == 302
    assert Judgment.objects.count() == 1


def test_a_plain_form_without_a_choice_says_so_and_keeps_the_words(desk, project):
    form = fields(page(desk, project)) | {"rationale": "half a thought"}
    answer = desk.post(f"/annotate/{project.slug}/", form, follow=True)
    html = answer.content.decode()
    assert "Choose an answer first." in html
    assert "half a thought" in html
    assert not Judgment.objects.exists()


def test_skip_and_undo_work_with_the_plain_form(desk, project):
    form = fields(page(desk, project))
    desk.post(f"/annotate/{project.slug}/", form | {"skip": "not my field"})
    skipped = Assignment.objects.get(pk=form["assignment"])
    assert (skipped.state, skipped.skip_reason) == ("skipped", "not my field")
    desk.post(f"/annotate/{project.slug}/", fields(page(desk, project)) | {"choice": "tie"})
    last = Judgment.objects.get()
    desk.post(f"/annotate/{project.slug}/", {"undo": str(last.pk)})
    last.refresh_from_db()
    assert last.withdrawn_at is not None


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"choice": "1:9", "assignment": "nonsense"},
        {"undo": "nonsense"},
        {"skip": "x" * 301, "assignment": "nonsense"},
        {"choice": "²:²"},
        {"choice": "9" * 400 + ":3"},
        {"rationale": "a\x00b", "choice": "tie"},
    ],
)
def test_a_crooked_plain_form_is_answered_with_a_sentence(desk, project, form):
    good = fields(page(desk, project))
    answer = desk.post(f"/annotate/{project.slug}/", good | form, follow=True)
    assert answer.status_code == 200
    assert 'class="notice warning"' in answer.content.decode()


def test_the_page_is_blind(desk, project, alice):
    create_tasks(
        project=project,
        tasks=[
            a_pair(priority=9.0, candidates=[CandidateIn("x", model="secret-1"), CandidateIn("y")])
        ],
    )
    html = page(desk, project)
    assert ">x<" in html
    assert "secret" not in html


def test_hostile_text_is_shown_as_text(desk, project):
    bad = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    answers = [CandidateIn(bad), CandidateIn("e" + "\u0301" * 10_000 + "\u202e")]
    create_tasks(project=project, tasks=[a_pair(priority=9.0, prompt=bad, candidates=answers)])
    html = page(desk, project)
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "\u202e" not in html


def test_a_megabyte_of_text_is_shown(desk, project):
    answers = [CandidateIn("x" * 2**20), CandidateIn("")]
    create_tasks(project=project, tasks=[a_pair(priority=9.0, candidates=answers)])
    html = page(desk, project)
    assert "x" * 2**20 in html
    assert "This answer is empty." in html


def test_earlier_turns_are_folded_and_typed_parts_read(desk, project):
    prompt = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image"}]},
    ]
    create_tasks(project=project, tasks=[a_pair(priority=9.0, prompt=prompt)])
    html = page(desk, project)
    assert "One earlier message" in html
    assert "Be brief." in html
    assert "[image]" in html


def test_nothing_left_and_paused_are_said(desk, alice, project):
    project.tasks.all().update(state="withdrawn")
    assert "Nothing left to judge here" in page(desk, project)
    project.is_paused = True
    project.save()
    assert "The project is paused." in page(desk, project)


# With scripts -------------------------------------------------------------------------------


def test_one_request_stores_the_judgment_and_brings_the_next_task(desk, step, project, alice):
    lease = queue.claim(project=project.slug, by=alice)
    answer = step(
        do="submit", assignment=str(lease.pk), key="k", body={"outcome": "tie", "seconds": 3}
    )
    assert answer.status_code == 200
    data = answer.json()
    assert data["judgment"] == str(Judgment.objects.get().pk)
    assert (data["today"], data["given"], data["surplus"]) == (1, 1, False)
    following = queue.claim(project=project.slug, by=alice)
    assert f'data-assignment="{following.pk}"' in data["html"]
    assert following.pk != lease.pk
    again = step(do="submit", assignment=str(lease.pk), key="k", body={"outcome": "tie"})
    assert again.json()["judgment"] == data["judgment"]


def test_undo_lays_what_was_said_on_the_desk_again(desk, step, project, alice):
    lease = queue.claim(project=project.slug, by=alice)
    preferred = lease.shown[0]
    body = {"outcome": "preferred", "preferred": preferred, "strength": 3, "rationale": "so"}
    sent = step(do="submit", assignment=str(lease.pk), key="k", body=body).json()
    html = step(do="undo", judgment=sent["judgment"]).json()["html"]
    assert f'value="{preferred}:3" required checked' in html
    assert ">so</textarea>" in html


def test_undo_is_offered_only_within_the_window(desk, step, project, alice):
    lease = queue.claim(project=project.slug, by=alice)
    step(do="submit", assignment=str(lease.pk), key="k", body={"outcome": "tie"})
    Judgment.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert 'name="undo"' not in page(desk, project)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"do": "dance"},
        {"do": ["submit"]},
        {"do": "submit"},
        {"do": "submit", "assignment": "x"},
        {"do": "undo", "judgment": 3},
        {"do": "skip", "assignment": "x", "reason": 3},
    ],
)
def test_a_crooked_step_is_a_400(step, body):
    answer = step(**body)
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_a_bad_body_is_refused_by_field(step, project, alice):
    lease = queue.claim(project=project.slug, by=alice)
    answer = step(do="submit", assignment=str(lease.pk), key="k", body={"outcome": "best"})
    assert answer.status_code == 400
    assert "outcome" in answer.json()["fields"]
    missing = step(do="submit", assignment=str(lease.pk), key="k", body=None)
    assert missing.status_code == 400


def test_script_and_style_of_the_desk_weigh_at_most_120_kilobytes(desk, project):
    html = page(desk, project)
    addresses = re.findall(r'<link rel="(?:stylesheet|modulepreload)" href="/static/([^"]+)"', html)
    addresses += re.findall(r'<script type="module" src="/static/([^"]+)"', html)
    assert len(addresses) == len(set(addresses)) > 30
    weight = sum(len(gzip.compress(Path(find(path)).read_bytes())) for path in addresses)
    assert weight < 120 * 1024
