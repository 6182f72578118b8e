"""The exercise of newcomers: explained after one's own answer, passed or tried again."""

import pytest
from django.core.cache import cache

from annotation.models import Membership, Task
from annotation.services import calibration, projects, quality, queue, review, tending
from annotation.services.tasks import create_tasks
from config.errors import Conflict
from tests.annotation.conftest import a_pair

pytestmark = pytest.mark.django_db
NOTE = "The first one answers *what was asked*."


@pytest.fixture(autouse=True)
def _empty_cache():
    cache.clear()


@pytest.fixture
def exercise(project):
    """Four exercises, of which two make a round and both must be right; and one real task."""
    type(project).objects.filter(pk=project.pk).update(calibration_size=2, calibration_pass=1.0)
    project.refresh_from_db()
    gold = {"outcome": "preferred", "preferred": 0}
    create_tasks(project=project, tasks=[a_pair(n, gold=gold) for n in range(4)])
    Task.objects.filter(project=project).update(is_calibration=True, gold_note=NOTE)
    create_tasks(project=project, tasks=[a_pair(9)])
    return project


@pytest.fixture
def answer(submit):
    def give(lease, right: bool = True):
        chosen = lease.task.candidates.get(position=0 if right else 1)
        return submit(lease, outcome="preferred", preferred=chosen.pk).judgment

    return give


def membership(project, user):
    return Membership.objects.select_related("user", "project").get(project=project, user=user)


def test_who_passes_goes_on_to_the_real_work(exercise, alice, claim, answer):
    for _ in range(2):
        lease = claim(alice)
        assert lease.task.is_calibration
        answer(lease)
    after = claim(alice)
    assert not after.task.is_calibration
    assert membership(exercise, alice).calibrated_at is not None


def test_who_fails_is_told_and_tries_again_with_others(exercise, alice, claim, answer):
    seen = []
    for right in (True, False):
        lease = claim(alice)
        seen.append(lease.task_id)
        answer(lease, right)
    with pytest.raises(Conflict):
        claim(alice)
    row = membership(exercise, alice)
    at = calibration.progress(row)
    assert (at.done, at.right, at.size, at.left, at.is_over) == (2, 1, 2, 2, True)
    calibration.again(membership=row)
    for _ in range(2):
        lease = claim(alice)
        assert lease.task_id not in seen
        seen.append(lease.task_id)
        answer(lease)
    assert not claim(alice).task.is_calibration
    assert membership(exercise, alice).calibrated_at is not None


def test_a_round_cannot_be_left_half_done_nor_repeated_when_none_are_left(
    exercise, alice, claim, answer
):
    row = membership(exercise, alice)
    answer(claim(alice), right=False)
    with pytest.raises(Conflict, match="Finish"):
        calibration.again(membership=row)
    answer(claim(alice), right=False)
    calibration.again(membership=row)
    for _ in range(2):
        answer(claim(alice), right=False)
    with pytest.raises(Conflict, match="reviewer"):
        calibration.again(membership=row)
    calibration.let_in(membership=row)
    assert not claim(alice).task.is_calibration
    with pytest.raises(Conflict, match="passed"):
        calibration.again(membership=row)


def test_the_background_lets_in_who_never_asks_again(exercise, alice, claim, answer):
    for _ in range(2):
        answer(claim(alice))
    tending.tend(exercise)
    assert membership(exercise, alice).calibrated_at is not None


def test_the_explanation_comes_after_ones_own_answer_and_to_nobody_else(
    exercise, alice, ben, claim, answer, api
):
    lease = claim(alice)
    first = lease.task.candidates.get(position=0)
    assert "gold" not in str(api(alice).get("/api/projects/helpful/").json())
    judgment = answer(lease, right=False)
    found = api(alice).get(f"/api/judgments/{judgment.pk}/explanation/")
    assert found.status_code == 200
    assert found.json() == {
        "matched": False,
        "score": 0.0,
        "note": NOTE,
        "known": {"outcome": "preferred", "preferred": first.pk},
        "progress": {"done": 1, "right": 0, "size": 2, "wanted": 1.0, "passed": False, "left": 3},
    }
    assert api(ben).get(f"/api/judgments/{judgment.pk}/explanation/").status_code == 404
    assert api().get(f"/api/judgments/{judgment.pk}/explanation/").status_code == 401


def test_an_answer_is_not_taken_back_once_its_solution_may_be_known(
    exercise, alice, claim, answer, api
):
    judgment = answer(claim(alice))
    with pytest.raises(Conflict, match="its solution may be known"):
        queue.undo(judgment_id=judgment.pk, by=alice)
    assert api(alice).get(f"/api/judgments/{judgment.pk}/explanation/").status_code == 200


def test_ordinary_work_and_unseen_gold_are_never_explained(project, alice, claim, submit, api):
    gold = {"outcome": "preferred", "preferred": 0}
    create_tasks(project=project, tasks=[a_pair(1, gold=gold), a_pair(2)])
    for _ in range(2):
        judgment = submit(claim(alice)).judgment
        assert api(alice).get(f"/api/judgments/{judgment.pk}/explanation/").status_code == 404


def test_the_page_explains_and_offers_another_round(exercise, alice, claim, answer, signed_in):
    browser = signed_in(alice)
    for _ in range(2):
        answer(claim(alice), right=False)
    html = browser.get("/annotate/me/").content.decode()
    assert "did not match" in html
    assert "<em>what was asked</em>" in html
    assert "Try again with others" in html
    sent = browser.post("/annotate/me/", {"do": "again", "project": exercise.slug})
    assert sent.url == f"/annotate/{exercise.slug}/"
    assert claim(alice).task.is_calibration
    assert browser.post("/annotate/me/", {"do": "sing", "project": "helpful"}).status_code == 404
    assert browser.post("/annotate/me/", {"do": "again", "project": "no"}).status_code == 404


def test_members_who_do_more_than_annotate_need_no_exercise(exercise, rita, remy):
    projects.add_member(project=exercise, user=rita, role="reviewer")
    tending.tend(exercise)
    assert membership(exercise, rita).calibrated_at is None


def test_an_exercise_is_practice_that_nobody_measures_or_decides(
    exercise, alice, ben, claim, answer
):
    for person, right in ((alice, True), (ben, False)):
        answer(claim(person), right)
    tending.tend(exercise)
    assert review.waiting(exercise) == []
    assert quality.report(exercise)["judgments"] == 0
