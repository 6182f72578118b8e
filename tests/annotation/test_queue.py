"""The queue: who is given what, what counts, and what can be taken back."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation.models import Assignment, Judgment, Project
from annotation.services import parts, projects, queue
from annotation.services.tasks import CandidateIn, create_tasks
from config.errors import Conflict, Invalid
from tests.annotation.conftest import a_pair

pytestmark = pytest.mark.django_db


def statements(queries: CaptureQueriesContext) -> int:
    """SQL statements but for the savepoints and transactions around them."""
    words = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")
    return sum(not q["sql"].startswith(words) for q in queries.captured_queries)


# Claiming -----------------------------------------------------------------------------------


def test_a_claim_leases_the_task_of_the_highest_priority(alice, fill, claim):
    fill(2)
    urgent = fill(1, priority=5.0)[0]
    assignment = claim(alice)
    assert assignment.task == urgent
    assert assignment.expires_at > timezone.now() + timedelta(seconds=800)
    urgent.refresh_from_db()
    assert (urgent.taken, urgent.done) == (1, 0)


def test_a_second_claim_gives_the_same_lease_again(alice, fill, claim):
    fill(2)
    first, second = claim(alice), claim(alice)
    assert (first.pk, first.token, first.shown) == (second.pk, second.token, second.shown)


def test_a_task_is_held_by_no_more_people_than_its_overlap(alice, ben, plain_task, claim):
    assert claim(alice).task == plain_task
    assert claim(ben) is None


def test_a_person_is_never_given_the_same_task_twice(alice, fill, claim, submit):
    fill(1, overlap=2)
    submit(claim(alice))
    assert claim(alice) is None


def test_a_person_is_never_given_their_own_text(alice, ben, project, claim):
    own = [CandidateIn("mine", author=alice), CandidateIn("other")]
    create_tasks(project=project, tasks=[a_pair(candidates=own)])
    assert claim(alice) is None
    assert claim(ben) is not None


def test_the_order_shown_is_shuffled_and_recorded(alice, project, fill, claim, submit):
    project.overlap = 1
    tasks = fill(24)
    straight = 0
    for _ in tasks:
        assignment = claim(alice)
        ids = [c.pk for c in assignment.task.candidates.order_by("position")]
        assert sorted(assignment.shown) == ids
        assert [c.pk for c in assignment.task.in_order] == assignment.shown
        straight += assignment.shown == ids
        judgment, _ = submit(assignment)
        assert judgment.shown == assignment.shown
    assert 0 < straight < 24  # both by chance: once in eight million


def test_a_stranger_does_not_find_the_project(mallory, plain_task, claim):
    with pytest.raises(Project.DoesNotExist):
        claim(mallory)


def test_a_researcher_may_judge_without_being_a_member(remy, plain_task, claim):
    assert claim(remy).task == plain_task


@pytest.mark.parametrize("field", ["is_paused", "archived_at"])
def test_a_paused_or_archived_project_hands_out_nothing(field, alice, project, fill, claim):
    fill(1)
    setattr(project, field, timezone.now() if field == "archived_at" else True)
    project.save()
    with pytest.raises(Conflict):
        claim(alice)


def test_a_paused_person_is_handed_nothing_and_others_are(alice, ben, project, fill, claim):
    fill(1)
    project.memberships.filter(user=alice).update(is_paused=True)
    with pytest.raises(Conflict, match="paused your work"):
        claim(alice)
    assert claim(ben) is not None


def test_the_database_itself_refuses_to_over_collect(plain_task):
    with pytest.raises(IntegrityError, match="task_never_over_collected"), transaction.atomic():
        type(plain_task).objects.filter(pk=plain_task.pk).update(taken=2)


# Leases that end ----------------------------------------------------------------------------


def test_a_lease_that_ran_out_goes_to_someone_else(alice, ben, plain_task, claim, run_out):
    lost = claim(alice)
    run_out(lost)
    assert claim(ben).task == plain_task
    lost.refresh_from_db()
    assert lost.state == Assignment.State.EXPIRED
    plain_task.refresh_from_db()
    assert plain_task.taken == 1


def test_a_lease_that_ran_out_unnoticed_runs_on_for_its_holder(alice, plain_task, claim, run_out):
    lost = claim(alice)
    run_out(lost)
    again = claim(alice)
    assert again.pk == lost.pk
    assert again.expires_at > timezone.now()


def test_the_sweep_ends_late_leases_and_leaves_the_others(alice, ben, fill, claim, run_out):
    fill(2)
    late, current = claim(alice), claim(ben)
    run_out(late)
    assert queue.sweep_expired() == 1
    assert queue.sweep_expired() == 0
    assert Assignment.objects.get(pk=current.pk).state == Assignment.State.LEASED


def test_work_sent_late_counts_while_there_is_room(alice, plain_task, claim, submit, run_out):
    assignment = claim(alice)
    run_out(assignment)
    queue.sweep_expired()
    judgment, created = submit(assignment)
    assert created
    assert not judgment.surplus
    plain_task.refresh_from_db()
    assert (plain_task.taken, plain_task.done, plain_task.state) == (1, 1, "done")


def test_work_sent_after_others_took_the_task_is_kept_as_surplus(
    alice, ben, plain_task, claim, submit, run_out
):
    late = claim(alice)
    run_out(late)
    submit(claim(ben))
    judgment, created = submit(late)
    assert created
    assert judgment.surplus
    plain_task.refresh_from_db()
    assert (plain_task.taken, plain_task.done) == (1, 1)


def test_a_heartbeat_extends_the_lease(alice, plain_task, claim, run_out):
    assignment = claim(alice)
    run_out(assignment)
    assert queue.heartbeat(assignment_id=assignment.pk, by=alice).expires_at > timezone.now()


def test_a_heartbeat_takes_an_ended_lease_up_again_only_while_there_is_room(
    alice, ben, plain_task, claim, run_out
):
    lost = claim(alice)
    run_out(lost)
    queue.sweep_expired()
    assert queue.heartbeat(assignment_id=lost.pk, by=alice).state == Assignment.State.LEASED
    run_out(lost)
    claim(ben)
    with pytest.raises(Conflict, match="it is kept"):
        queue.heartbeat(assignment_id=lost.pk, by=alice)


def test_a_released_task_is_free_again_and_may_come_back(alice, ben, plain_task, claim):
    queue.release(assignment_id=claim(alice).pk, by=alice)
    assert claim(ben).task == plain_task
    queue.release(assignment_id=claim(ben).pk, by=ben)
    assert claim(alice).task == plain_task


def test_a_skipped_task_goes_to_others_and_never_back(alice, ben, plain_task, claim, submit):
    assignment = claim(alice)
    queue.skip(assignment_id=assignment.pk, by=alice, reason="I do not know the field.")
    assert claim(alice) is None
    assert claim(ben).task == plain_task
    assert Assignment.objects.get(pk=assignment.pk).skip_reason == "I do not know the field."
    with pytest.raises(Conflict, match="skipped"):
        submit(assignment)


# Submitting ---------------------------------------------------------------------------------


def test_the_same_key_stores_once_and_gives_what_was_stored(alice, plain_task, claim, submit):
    assignment = claim(alice)
    first, created = submit(assignment, key="k1")
    again, created_again = submit(assignment, key="k1", outcome="tie")
    assert (created, created_again) == (True, False)
    assert again.pk == first.pk
    assert Judgment.objects.count() == 1


def test_another_key_for_a_judged_task_is_refused(alice, plain_task, claim, submit):
    assignment = claim(alice)
    submit(assignment, key="k1")
    with pytest.raises(Conflict, match="judged this task already"):
        submit(assignment, key="k2")


def test_a_key_serves_one_task_only(alice, fill, claim, submit):
    fill(2)
    submit(claim(alice), key="k1")
    with pytest.raises(Conflict, match="another task"):
        submit(claim(alice), key="k1")


@pytest.mark.parametrize("key", ["", "x" * 81, "a\x00b", "a\nb"])
def test_a_key_that_cannot_be_kept_is_refused(key, alice, plain_task, claim, submit):
    with pytest.raises(Invalid, match="Idempotency-Key"):
        submit(claim(alice), key=key)


def test_nobody_can_send_for_another_person(alice, ben, plain_task, claim):
    assignment = claim(alice)
    with pytest.raises(Assignment.DoesNotExist):
        queue.submit(assignment_id=assignment.pk, by=ben, body={"outcome": "tie"})


def test_a_body_with_the_token_of_an_earlier_lease_is_refused(
    alice, plain_task, claim, submit, run_out
):
    before = claim(alice)
    queue.release(assignment_id=before.pk, by=alice)
    after = claim(alice)
    assert after.pk == before.pk
    with pytest.raises(Conflict, match="handed out again"):
        submit(before, outcome="tie", token=str(before.token))
    assert submit(before, outcome="tie", token=str(after.token)).created


def test_a_bad_body_keeps_the_lease_and_stores_nothing(alice, plain_task, claim, submit):
    assignment = claim(alice)
    with pytest.raises(Invalid) as refused:
        submit(assignment, outcome="preferred", preferred=10**9)
    assert refused.value.fields == {"preferred": "must be the id of a candidate of this task"}
    assert claim(alice).pk == assignment.pk
    assert not Judgment.objects.exists()


def test_a_draft_outlives_the_lease_and_ends_with_the_submit(
    alice, ben, plain_task, claim, submit, run_out
):
    assignment = claim(alice)
    queue.save_draft(assignment_id=assignment.pk, by=alice, body={"rationale": "so f"})
    run_out(assignment)
    queue.sweep_expired()
    again = claim(alice)
    assert again.draft.body == {"rationale": "so f"}
    submit(again)
    assert not type(again.draft).objects.exists()


def test_a_draft_is_only_for_its_owner(alice, ben, plain_task, claim):
    assignment = claim(alice)
    with pytest.raises(Assignment.DoesNotExist):
        queue.save_draft(assignment_id=assignment.pk, by=ben, body={})


# Undo ---------------------------------------------------------------------------------------


def test_undo_gives_the_lease_back_and_frees_nothing(alice, ben, plain_task, claim, submit):
    assignment = claim(alice)
    judgment, _ = submit(assignment, key="k1")
    back = queue.undo(judgment_id=judgment.pk, by=alice)
    assert back.pk == assignment.pk
    assert back.token != assignment.token
    assert claim(ben) is None
    assert claim(alice).pk == assignment.pk
    submit(back, key="k2")
    assert Judgment.objects.standing().count() == 1
    assert Judgment.objects.count() == 2


def test_undo_is_for_the_last_judgment_only(alice, fill, claim, submit):
    fill(2)
    first, _ = submit(claim(alice))
    last, _ = submit(claim(alice))
    with pytest.raises(Conflict, match="last judgment"):
        queue.undo(judgment_id=first.pk, by=alice)
    queue.undo(judgment_id=last.pk, by=alice)
    queue.undo(judgment_id=first.pk, by=alice)


def test_undo_ends_with_the_window(alice, plain_task, claim, submit):
    judgment, _ = submit(claim(alice))
    Judgment.objects.update(created_at=timezone.now() - timedelta(seconds=601))
    with pytest.raises(Conflict, match="10 minutes"):
        queue.undo(judgment_id=judgment.pk, by=alice)


def test_a_judgment_is_undone_once_and_by_its_author(alice, ben, plain_task, claim, submit):
    judgment, _ = submit(claim(alice))
    with pytest.raises(Judgment.DoesNotExist):
        queue.undo(judgment_id=judgment.pk, by=ben)
    queue.undo(judgment_id=judgment.pk, by=alice)
    with pytest.raises(Conflict, match="undone already"):
        queue.undo(judgment_id=judgment.pk, by=alice)


def test_a_key_of_an_undone_judgment_is_spent(alice, plain_task, claim, submit):
    judgment, _ = submit(claim(alice), key="k1")
    back = queue.undo(judgment_id=judgment.pk, by=alice)
    with pytest.raises(Conflict, match="was undone"):
        submit(back, key="k1")


def test_undoing_surplus_work_takes_no_place(alice, ben, plain_task, claim, submit, run_out):
    late = claim(alice)
    run_out(late)
    submit(claim(ben))
    judgment, _ = submit(late)
    queue.undo(judgment_id=judgment.pk, by=alice)
    plain_task.refresh_from_db()
    assert (plain_task.taken, plain_task.done, plain_task.state) == (1, 1, "done")
    again, _ = submit(late, outcome="tie")
    assert again.surplus


# Cost ---------------------------------------------------------------------------------------


def test_a_claim_takes_three_statements(alice, fill, claim):
    fill(3)
    for _ in range(2):  # a new lease, and the same one again
        with CaptureQueriesContext(connection) as queries:
            claim(alice)
        # The next task, its assignment, its candidates.
        assert statements(queries) == 3


def test_a_submit_takes_two_statements(alice, fill, claim, submit):
    fill(1)
    assignment = claim(alice)
    with CaptureQueriesContext(connection) as queries:
        judgment, _ = submit(assignment, key="k1")
        parts.answer_of(judgment)  # what the doors answer with costs nothing more
    # What was asked; the judgment with its row, its log entry and the counts of its task.
    assert statements(queries) == 2


def test_a_submit_of_another_kind_takes_one_more(alice, claim, submit):
    project = projects.create_project(slug="rated", kinds=["rating"])
    projects.add_member(project=project, user=alice)
    create_tasks(project=project, tasks=[a_pair(kind="rating", candidates=[CandidateIn("one")])])
    lease = queue.claim(project="rated", by=alice)
    ratings = [{"candidate": lease.shown[0], "attribute": "helpfulness", "value": 3}]
    with CaptureQueriesContext(connection) as queries:
        judgment, _ = submit(lease, ratings=ratings)
        assert parts.answer_of(judgment) == {"ratings": ratings}
    assert statements(queries) == 3


def test_a_project_of_another_slug_is_not_touched(alice, project, fill, claim):
    other = projects.create_project(slug="other", kinds=["pairwise"])
    create_tasks(project=other, tasks=[a_pair()])
    assert claim(alice) is None
