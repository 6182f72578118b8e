"""Running a project in the browser: pages say what is so, and refuse at the field."""

import json
from datetime import timedelta

import pytest
from django.db.models.expressions import RawSQL
from django.urls import reverse
from django.utils import timezone

from annotation import progress
from annotation.models import Assignment, Draft, Judgment, LogEntry, Project, Task
from annotation.models.projects import Kind
from annotation.services import projects

pytestmark = pytest.mark.django_db


def html(answer) -> str:
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


@pytest.fixture
def page(remy, signed_in, project):
    """A page of the project as its researcher sees it: `page("settings/")`."""
    client = signed_in(remy)

    def get(tail: str = "", **query):
        return client.get(f"/manage/projects/{project.slug}/{tail}", query)

    get.client = client
    get.post = lambda tail, body: client.post(f"/manage/projects/{project.slug}/{tail}", body)
    return get


def form_of(project, **changes) -> dict:
    """The settings form as the browser would send it back."""
    given = {
        "name": project.name,
        "guidelines": project.guidelines,
        "kinds": project.kinds,
        "overlap": project.overlap,
        "order": project.order,
        "lease_seconds": "15",
        "undo_seconds": "10",
        "gold_rate": "0",
        "repeat_rate": "0",
        "calibration_size": "0",
        "calibration_pass": "70",
        "languages": "",
        "dimensions": "",
        "attributes": "",
        "categories": "",
        "missing_categories": "",
    }
    return given | changes


# The list -----------------------------------------------------------------------------------


def test_the_list_shows_how_far_each_project_is(
    page, project, fill, alice, claim, submit, make_user
):
    fill(4)
    submit(claim(alice))
    text = html(page.client.get("/manage/"))
    assert project.name in text
    assert "1 of 4" in text
    assert "Too early to say" in text or "no end is in sight" in text


def test_a_lead_sees_only_their_projects_and_may_not_create(project, make_user, signed_in):
    lena = make_user("lena", "annotator")
    projects.add_member(project=project, user=lena, role="researcher")
    projects.create_project(slug="other", kinds=["pairwise"])
    client = signed_in(lena)
    text = html(client.get("/manage/"))
    assert project.name in text
    assert "other" not in text.lower().replace("another", "")
    assert client.get("/manage/new/").status_code == 403
    assert client.get("/manage/projects/other/").status_code == 404


def test_the_list_asks_as_much_of_the_database_for_many_projects_as_for_one(
    page, project, django_assert_num_queries
):
    with django_assert_num_queries(5) as few:
        page.client.get("/manage/")
    for n in range(12):
        projects.create_project(slug=f"more-{n}", kinds=["pairwise"])
    with django_assert_num_queries(len(few)):
        page.client.get("/manage/")


def test_archived_projects_are_listed_apart(page, project):
    projects.archive(project=project)
    assert project.name not in html(page.client.get("/manage/"))
    assert project.name in html(page.client.get("/manage/?archived=1"))


# Making -------------------------------------------------------------------------------------


def test_the_picker_shows_every_kind_and_makes_the_project_from_its_template(page):
    text = html(page.client.get("/manage/new/"))
    for kind in Kind:
        assert f'value="{kind}"' in text
    sent = page.client.post(
        "/manage/new/", {"name": "Ärzte & Co", "slug": "", "kinds": ["rating"], "overlap": 3}
    )
    made = Project.objects.get(name="Ärzte & Co")
    assert sent.headers["Location"] == f"/manage/projects/{made.slug}/settings/"
    assert (made.kinds, made.overlap) == (["rating"], 3)
    assert made.attributes


def test_a_taken_address_or_no_kind_is_said_beside_the_field(page, project):
    sent = page.client.post(
        "/manage/new/", {"name": "x", "slug": project.slug, "kinds": ["pairwise"], "overlap": 1}
    )
    assert sent.status_code == 400
    assert 'id="id_slug_error"' in sent.content.decode()
    sent = page.client.post("/manage/new/", {"name": "x", "slug": "x", "overlap": 1})
    assert sent.status_code == 400
    assert not Project.objects.filter(slug="x").exists()


# Settings -----------------------------------------------------------------------------------


def test_settings_come_back_as_they_were_and_are_saved(page, project):
    text = html(page("settings/"))
    assert 'name="lease_seconds" value="15"' in text
    sent = page.post(
        "settings/",
        form_of(
            project,
            guidelines="# Mine\r\n- one",
            gold_rate="12.5",
            lease_seconds="1.5",
            languages="en, AR",
            dimensions="tone\nfacts",
        ),
    )
    assert sent.status_code == 302
    project.refresh_from_db()
    assert project.guidelines == "# Mine\n- one"
    assert (project.gold_rate, project.lease_seconds) == (0.125, 90)
    assert (project.languages, project.dimensions) == (["en", "ar"], ["tone", "facts"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gold_rate", "60"),
        ("gold_rate", "nan"),
        ("overlap", "0"),
        ("overlap", "1e3"),
        ("lease_seconds", "0.1"),
        ("lease_seconds", "1e300"),
        ("languages", "klingon please"),
        ("name", ""),
        ("calibration_pass", "101"),
        ("attributes", "x" * 61),
        ("order", "random"),
        ("kinds", ["listwise", "nothing"]),
    ],
)
def test_a_refusal_stands_beside_its_field_and_keeps_the_rest(page, project, field, value):
    sent = page.post("settings/", form_of(project, guidelines="Kept words", **{field: value}))
    text = sent.content.decode()
    assert sent.status_code == 400
    assert "field__error" in text
    if field != "kinds":
        assert f'id="id_{field}_error"' in text
    assert "Kept words" in text
    project.refresh_from_db()
    assert project.guidelines != "Kept words"


def test_overlap_reaches_open_tasks_only_when_ticked(page, project, fill):
    fill(2)
    page.post("settings/", form_of(project, overlap=3))
    assert set(project.tasks.values_list("overlap", flat=True)) == {1}
    page.post("settings/", form_of(project, overlap=3, apply_to_open="on"))
    assert set(project.tasks.values_list("overlap", flat=True)) == {3}


def test_guidelines_are_rendered_through_the_sanitiser(page):
    answer = page.client.post(
        "/manage/markdown/", {"text": "**bold** <script>alert(1)</script> [x](javascript:alert(1))"}
    ).json()
    assert "<strong>bold</strong>" in answer["html"]
    assert "<script" not in answer["html"]
    assert "<a" not in answer["html"]


def test_principles_are_edited_as_versions(page, project):
    projects.change_project(project=project, kinds=["pairwise", "principle"])
    assert "Is everything it states true" in html(page("principles/"))
    sent = page.post("principles/", {"key": "true", "text": "Is every claim true?"})
    assert sent.status_code == 302
    text = html(page("principles/"))
    assert "Is every claim true?" in text
    assert "true v1" in text
    assert page.post("principles/", {"key": "A B", "text": "x"}).status_code == 400
    page.post("principles/", {"retire": "kind"})
    assert not project.principles.filter(key="kind", is_active=True).exists()


# Pause, archive, clone ----------------------------------------------------------------------


def test_a_project_is_paused_and_archived_and_comes_back(page, project):
    for do, paused, archived in [
        ("pause", True, False),
        ("resume", False, False),
        ("archive", False, True),
        ("restore", True, False),
    ]:
        assert page.post("state/", {"do": do}).status_code == 302
        project.refresh_from_db()
        assert (project.is_paused, project.archived_at is not None) == (paused, archived)
    assert page.post("state/", {"do": "burn"}).status_code == 404


def test_a_clone_is_made_in_the_browser(page, project, fill):
    fill(2)
    sent = page.post("clone/", {"name": "Again", "slug": "again", "with_tasks": "on"})
    assert sent.headers["Location"] == "/manage/projects/again/"
    assert Project.objects.get(slug="again").tasks.count() == 2
    taken = page.post("clone/", {"name": "Again", "slug": "again"})
    assert taken.status_code == 400
    assert "id_slug_error" in taken.content.decode()


def test_only_researchers_of_the_house_make_clones(project, make_user, signed_in):
    lena = make_user("lena", "annotator")
    projects.add_member(project=project, user=lena, role="researcher")
    sent = signed_in(lena).post(
        f"/manage/projects/{project.slug}/clone/", {"name": "Again", "slug": "again"}
    )
    assert sent.status_code == 400
    assert not Project.objects.filter(slug="again").exists()


# The estimate -------------------------------------------------------------------------------


def test_the_range_of_the_estimate_is_that_of_its_formula():
    # Ten a day without scatter: 95 left take ten days, and there is no doubt about it.
    even = progress.estimate(left=95, days=[10] * 14)
    assert (even.soonest, even.latest, even.a_day) == (10, 10, 10.0)
    # Mean 10, s^2 = 1400/13: solved by hand for T with z = 1.2816 (10 T +- z s sqrt(T + T^2/14)).
    uneven = progress.estimate(left=200, days=[0, 20] * 7)
    n, mean = 13, 140 / 13  # the first empty day is before the work began
    variance = sum((x - mean) ** 2 for x in [20, *[0, 20] * 6]) / (n - 1)
    for days, sign in ((uneven.soonest, 1), (uneven.latest, -1)):

        def given(t, sign=sign):
            return mean * t + sign * progress.Z * (variance * (t + t * t / n)) ** 0.5

        assert given(days) >= 200 > given(days - 1)
    assert uneven.soonest < 200 / mean < uneven.latest


@pytest.mark.parametrize(
    ("left", "days", "reason"),
    [(0, [5] * 14, "done"), (9, [0] * 14, "idle"), (9, [0] * 12 + [4, 4], "early")],
)
def test_where_nothing_can_be_said_nothing_is_said(left, days, reason):
    found = progress.estimate(left=left, days=days)
    assert (found.soonest, found.latest, found.reason) == (None, None, reason)


def test_work_of_today_alone_is_early_not_idle():
    assert progress.estimate(left=9, days=[0] * 14, today=5).reason == "early"


def test_a_pace_that_may_be_nothing_has_no_latest_day():
    found = progress.estimate(left=500, days=[90, 0, 0, 0, 0])
    assert found.soonest
    assert found.latest is None


def test_the_overview_says_the_range(page, project, fill, alice):
    task = fill(1, overlap=50)[0]
    now = timezone.now()
    for day in range(1, 8):
        for n in range(3):
            user = alice if n == 0 else None
            Judgment.objects.create(
                project=project,
                task=task,
                annotator=user or _guest(day * 10 + n),
                kind="pairwise",
                created_at=now - timedelta(days=day),
                withdrawn_at=None if n else now,
            )
    Task.objects.update(taken=14, done=14)
    text = html(page())
    assert "14" in text
    assert "of 50 wanted" in text
    assert "Ends in about 18 days." in text  # two a day stand, 36 are left


def _guest(n: int):
    from config.models import User

    return User.objects.create(username=f"guest-{n}", password="!")


# Tasks --------------------------------------------------------------------------------------


def test_tasks_are_found_by_words_state_kind_and_id(page, fill):
    first, second, third = fill(3)
    Task.objects.filter(pk=third.pk).update(state="withdrawn", external_id="own-3")

    def shown(**query) -> set[int]:
        text = html(page("tasks/", **query))
        return {t.pk for t in (first, second, third) if f"/tasks/{t.pk}/" in text}

    assert shown() == {first.pk, second.pk, third.pk}
    assert shown(q="question 1") == {second.pk}
    assert shown(q="second 0") == {first.pk}
    assert shown(q="own-3") == {third.pk}
    assert shown(q=str(second.pk)) >= {second.pk}
    assert shown(state="withdrawn") == {third.pk}
    assert shown(kind="listwise") == set()
    assert shown(q="\x00", state="nonsense", before="x") == {first.pk, second.pk, third.pk}
    assert "No task is like that" in html(page("tasks/", q="zebra"))


def test_a_search_that_takes_too_long_is_given_up(page, fill, monkeypatch):
    task = fill(1)[0]
    monkeypatch.setattr("annotation.manage.tasks.SEARCH_MS", 1)
    slow = RawSQL("pg_sleep(0.2)::text", [])
    monkeypatch.setattr("annotation.manage.tasks.Cast", lambda *args: slow)
    assert "takes too long" in html(page("tasks/", q="bread"))
    assert f"/tasks/{task.pk}/" in html(page("tasks/")), "and the connection is as before"


def test_the_table_turns_pages_and_asks_no_more_for_more_rows(
    page, fill, django_assert_num_queries
):
    fill(2)
    with django_assert_num_queries(4) as few:
        page("tasks/")
    tasks = fill(60)
    with django_assert_num_queries(len(few)):
        text = html(page("tasks/"))
    assert "before=" in text
    older = html(page("tasks/", before=tasks[10].pk))
    assert f"/tasks/{tasks[9].pk}/" in older
    assert f"/tasks/{tasks[10].pk}/" not in older


def test_one_task_shows_what_was_said_under_pseudonyms(page, fill, alice, claim, submit):
    task = fill(1)[0]
    lease = claim(alice)
    submit(lease, outcome="preferred", preferred=lease.shown[0], strength=3, rationale="because")
    text = html(page(f"tasks/{task.pk}/"))
    assert alice.pseudonym in text
    assert "alice" not in text
    assert "much better" in text
    assert "because" in text


def test_one_task_asks_no_more_for_more_judgments(
    page, fill, alice, ben, claim, submit, django_assert_num_queries
):
    task = fill(1, overlap=5)[0]
    submit(claim(alice))
    with django_assert_num_queries(9) as few:
        page(f"tasks/{task.pk}/")
    submit(claim(ben))
    with django_assert_num_queries(len(few)):
        page(f"tasks/{task.pk}/")


def test_a_task_is_withdrawn_and_reopened_in_the_browser(page, fill):
    task = fill(1)[0]
    for do, state in (("withdraw", "withdrawn"), ("reopen", "open")):
        assert page.post(f"tasks/{task.pk}/", {"do": do}).status_code == 302
        task.refresh_from_db()
        assert task.state == state
    assert page.post(f"tasks/{task.pk}/", {"do": "eat"}).status_code == 404


def test_a_task_of_another_project_is_not_found(page, fill):
    other = projects.create_project(slug="other", kinds=["pairwise"])
    task = fill(1)[0]
    Task.objects.filter(pk=task.pk).update(project=other)
    assert page(f"tasks/{task.pk}/").status_code == 404
    assert page("preview/", task=task.pk).status_code == 404


# The preview --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind.values)
def test_every_kind_can_be_previewed_and_nothing_is_stored(page, project, kind):
    projects.change_project(project=project, kinds=["pairwise", kind])
    before = LogEntry.objects.count()
    text = html(page("preview/", kind=kind))
    assert f'data-kind="{kind}"' in text
    for model in (Task, Assignment, Judgment, Draft):
        assert not model.objects.exists()
    assert LogEntry.objects.count() == before


def test_a_real_task_is_previewed_without_a_lease(page, fill):
    task = fill(1)[0]
    assert "first 0" in html(page("preview/", task=task.pk))
    assert not Assignment.objects.exists()
    task.refresh_from_db()
    assert task.taken == 0


def test_an_answer_in_the_preview_is_checked_and_not_stored(page, project):
    address = f"/manage/projects/{project.slug}/preview/step/?kind=pairwise"

    def send(body):
        return page.client.post(address, json.dumps(body), content_type="application/json")

    stored = send({"do": "submit", "body": {"outcome": "preferred", "preferred": 1, "strength": 2}})
    assert stored.json()["stored"]["preferred"] == 1
    assert 'data-kind="pairwise"' in stored.json()["html"]
    refused = send({"do": "submit", "body": {"outcome": "preferred", "preferred": 9}})
    assert refused.status_code == 400
    assert "preferred" in refused.json()["fields"]
    assert send({"do": "skip"}).json()["stored"] is None
    assert send([]).status_code == 400
    assert not Judgment.objects.exists()


@pytest.mark.parametrize("query", [{"kind": "listwise"}, {"task": "x"}, {"task": "99999999"}])
def test_what_is_not_asked_cannot_be_previewed(page, query):
    assert page("preview/", **query).status_code == 404


# Data ---------------------------------------------------------------------------------------


def test_the_data_page_offers_every_format_with_what_it_leaves_out(page, fill):
    assert "nothing to export" in html(page("data/"))
    fill(1)
    text = html(page("data/"))
    assert 'value="preferendum"' in text
    assert "leases, skips and drafts" in text
    assert reverse("project-export", args=["helpful"]) in text
