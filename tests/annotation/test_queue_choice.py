"""Which task comes next: gold, repeats, exercises, skills, order, what is kept for one person."""

from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation.models import Assignment, Judgment, LogEntry, Project, Task
from annotation.services import people, projects, queue, review
from annotation.services.tasks import CandidateIn, create_tasks
from config.errors import Conflict
from tests.annotation.conftest import a_pair

pytestmark = pytest.mark.django_db


@pytest.fixture
def set_up(project):
    """`set_up(gold_rate=0.5)` changes the project."""

    def change(**fields) -> Project:
        Project.objects.filter(pk=project.pk).update(**fields)
        project.refresh_from_db()
        return project

    return change


@pytest.fixture
def gold(fill):
    """`gold(3)` puts pairs with a known answer into the project."""

    def put(count: int, **fields) -> list[Task]:
        tasks = fill(count)
        Task.objects.filter(pk__in=[t.pk for t in tasks]).update(gold={"outcome": "tie"}, **fields)
        return tasks

    return put


@pytest.fixture
def work(claim, submit):
    """`work(alice, 10)` judges up to so many tasks and gives them, in order."""

    def judge(person, most: int = 1000) -> list[Task]:
        done = []
        while len(done) < most and (lease := claim(person)) is not None:
            submit(lease, outcome="tie")
            done.append(lease.task)
        return done

    return judge


# Gold -----------------------------------------------------------------------------------------


def test_gold_is_mixed_in_at_its_rate_and_never_twice_to_one_person(
    alice, ben, set_up, fill, gold, work
):
    set_up(gold_rate=0.3, overlap=1)
    fill(60)
    known = {task.pk for task in gold(40)}
    by_alice = [task.pk for task in work(alice, 60)]
    asked = [pk for pk in by_alice if pk in known]
    assert 8 <= len(asked) <= 30  # of 60 at 0.3: fewer or more once in ten thousand
    assert len(by_alice) == len(set(by_alice))
    by_ben = [task.pk for task in work(ben)]
    assert not set(by_ben) & set(by_alice) - known


def test_gold_has_room_for_everyone_and_the_promise_still_holds(
    alice, ben, rita, project, set_up, fill, gold, work
):
    set_up(gold_rate=0.5)
    projects.add_member(project=project, user=rita)
    fill(90)
    (one,) = gold(1)
    for person in (alice, ben, rita):
        assert one.pk in [task.pk for task in work(person, 30)]
    one.refresh_from_db()
    assert (one.overlap, one.taken, one.done) == (3, 3, 3)
    assert Judgment.objects.filter(task=one, surplus=False).count() == 3


def test_gold_looks_like_any_other_task(alice, set_up, fill, gold, api, project):
    from annotation.api import render

    set_up(gold_rate=0.5)
    fill(20)
    known = {task.pk for task in gold(20)}
    shapes = {}
    for _ in range(20):
        lease = queue.claim(project=project.slug, by=alice)
        shown = render.assignment(lease)
        assert "gold" not in str(shown)
        shapes.setdefault(lease.task.pk in known, set()).add(
            (tuple(shown), tuple(shown["task"]), tuple(map(tuple, shown["task"]["candidates"])))
        )
        queue.skip(assignment_id=lease.pk, by=alice)
    assert shapes[True] == shapes[False]


def test_gold_alone_is_no_work(alice, set_up, gold, claim):
    set_up(gold_rate=0.5)
    gold(3)
    assert claim(alice) is None


def test_without_a_rate_tasks_with_a_known_answer_are_ordinary_work(alice, ben, gold, work):
    gold(3)
    assert len(work(alice)) == 3
    assert work(ben) == []


# Repeats --------------------------------------------------------------------------------------


def test_a_task_is_asked_again_after_others_as_a_task_of_its_own(
    alice, ben, set_up, fill, work, claim
):
    set_up(repeat_rate=0.5)
    fill(40)
    done = work(alice, 60)
    repeats = [task for task in done if task.repeat_of_id]
    assert repeats
    place = {task.pk: n for n, task in enumerate(done)}
    for task in repeats:
        assert place[task.pk] - place[task.repeat_of_id] > 10
        assert task.reserved_for == alice
        assert task.prompt == task.repeat_of.prompt
        assert [c.content for c in task.candidates.order_by("position")] == [
            c.content for c in task.repeat_of.candidates.order_by("position")
        ]
    originals = Counter(task.repeat_of_id for task in repeats)
    assert set(originals.values()) == {1}
    assert not {t.pk for t in repeats} & {t.pk for t in work(ben)}


def test_a_repeat_is_told_to_the_log(alice, set_up, fill, work):
    set_up(repeat_rate=0.5)
    fill(30)
    repeats = [task for task in work(alice) if task.repeat_of_id]
    told = LogEntry.objects.filter(subject="task", subject_id__in=[str(t.pk) for t in repeats])
    assert told.count() == len(repeats) > 0


def test_nothing_is_asked_again_before_ten_others(alice, set_up, fill, work):
    set_up(repeat_rate=0.5)
    fill(10)
    assert not [task for task in work(alice) if task.repeat_of_id]


def test_a_repeat_given_back_comes_back_to_its_person_only(alice, ben, set_up, fill, claim, submit):
    set_up(repeat_rate=0.5)
    fill(60)
    while not (lease := claim(alice)).task.repeat_of_id:
        submit(lease)
    queue.release(assignment_id=lease.pk, by=alice)
    assert not claim(ben).task.repeat_of_id
    assert claim(alice).task == lease.task


# Skills ---------------------------------------------------------------------------------------


def test_a_task_goes_to_those_with_its_skills(alice, ben, project, fill, claim):
    (task,) = fill(1)
    Task.objects.filter(pk=task.pk).update(skills=["medicine", "lang:ar"])
    project.memberships.filter(user=alice).update(skills=["medicine"])
    project.memberships.filter(user=ben).update(skills=["lang:ar", "law", "medicine"])
    assert claim(alice) is None
    assert claim(ben).task == task


def test_who_is_no_member_has_no_skills(remy, fill, claim):
    (task,) = fill(1)
    Task.objects.filter(pk=task.pk).update(skills=["medicine"])
    assert claim(remy) is None


# Order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "expected"), [("depth", [0, 0, 1, 1]), ("breadth", [0, 1, 0, 1])]
)
def test_depth_finishes_a_task_and_breadth_starts_every_task(
    order, expected, alice, ben, rita, adam, project, set_up, fill, claim
):
    set_up(order=order)
    tasks = fill(2, overlap=2)
    crew = (alice, ben, rita, adam)
    for person in crew:
        projects.add_member(project=project, user=person)
    assert [claim(person).task for person in crew] == [tasks[n] for n in expected]


def test_priority_comes_before_breadth(alice, ben, set_up, fill, claim):
    set_up(order="breadth")
    fill(1)
    (urgent,) = fill(1, overlap=2, priority=1.0)
    assert [claim(alice).task, claim(ben).task] == [urgent, urgent]


# The exercise of newcomers --------------------------------------------------------------------


@pytest.fixture
def exercise(set_up, fill, gold):
    """Two exercise tasks of three before two ordinary ones."""
    set_up(calibration_size=2)
    return gold(3, is_calibration=True), fill(2)


def test_a_newcomer_whose_answers_match_goes_on_to_the_work(alice, ben, exercise, work):
    tasks, ordinary = exercise
    assert work(alice) == [*tasks[:2], *ordinary]
    assert work(ben) == tasks[:2]  # room for everyone


def test_a_newcomer_whose_answers_do_not_match_is_kept_from_the_work(
    alice, project, exercise, claim, submit
):
    tasks, ordinary = exercise
    for task in tasks[:2]:
        lease = claim(alice)
        assert lease.task == task
        submit(lease)
    with pytest.raises(Conflict, match="exercise"):
        claim(alice)
    project.memberships.filter(user=alice).update(calibrated_at=timezone.now())
    assert claim(alice).task == ordinary[0]


def test_without_exercise_tasks_nobody_is_kept_waiting(alice, set_up, fill, work):
    set_up(calibration_size=2)
    assert len(work(alice) if fill(2) else []) == 2


def test_an_exercise_is_never_ordinary_work(alice, gold, claim):
    gold(2, is_calibration=True)
    assert claim(alice) is None


# Kept for one person --------------------------------------------------------------------------


def test_a_task_kept_for_a_person_comes_first_and_only_to_them(alice, ben, fill, claim):
    fill(2, priority=9.0)
    (kept,) = fill(1)
    queue.reassign(task=kept, to=ben)
    assert claim(alice).task != kept
    assert claim(ben).task == kept


def test_reassigning_ends_the_lease_of_another_and_keeps_what_they_send(
    alice, ben, plain_task, claim, submit
):
    before = claim(alice)
    queue.reassign(task=plain_task, to=ben)
    assert Assignment.objects.get(pk=before.pk).state == Assignment.State.EXPIRED
    assert claim(alice) is None
    after = claim(ben)
    assert after.task == plain_task
    submit(after)
    judgment, _ = submit(before)
    assert judgment.surplus
    plain_task.refresh_from_db()
    assert (plain_task.taken, plain_task.done) == (1, 1)


def test_reassigning_gives_a_skipped_task_back_to_its_person(alice, plain_task, claim):
    queue.skip(assignment_id=claim(alice).pk, by=alice)
    queue.reassign(task=plain_task, to=alice)
    assert claim(alice).task == plain_task


def test_a_task_is_kept_for_nobody_who_could_not_be_given_it(
    alice, ben, mallory, project, fill, claim, submit
):
    mine = [CandidateIn("mine", author=alice), CandidateIn("other")]
    create_tasks(project=project, tasks=[a_pair(candidates=mine)])
    own = project.tasks.get()
    with pytest.raises(Conflict, match="wrote one of its answers"):
        queue.reassign(task=own, to=alice)
    with pytest.raises(Conflict, match="not in this project"):
        queue.reassign(task=own, to=mallory)
    (judged,) = fill(1, overlap=2, priority=1.0)
    submit(claim(ben))
    with pytest.raises(Conflict, match="has judged"):
        queue.reassign(task=judged, to=ben)
    (full,) = fill(1, priority=2.0)
    submit(claim(ben))
    with pytest.raises(Conflict, match="nothing is left"):
        queue.reassign(task=full, to=alice)


def test_the_person_a_task_was_taken_from_does_not_get_the_place_kept_for_another(
    alice, ben, plain_task, claim, submit
):
    before = claim(alice)
    queue.reassign(task=plain_task, to=ben)
    with pytest.raises(Conflict, match="it is kept"):
        queue.heartbeat(assignment_id=before.pk, by=alice)
    judgment, _ = submit(before)
    assert judgment.surplus
    queue.undo(judgment_id=judgment.pk, by=alice)
    assert claim(alice) is None
    assert claim(ben).task == plain_task


def test_a_place_kept_for_one_person_leaves_the_other_places_to_all(
    alice, ben, remy, rita, project, fill, claim, submit
):
    projects.add_member(project=project, user=rita, role="reviewer")
    (task,) = fill(1, overlap=2)
    held = claim(alice)
    review.ask_another(task=task, to=ben)
    assert claim(alice).pk == held.pk  # nobody who works on it is disturbed
    assert claim(rita).task == task
    assert claim(remy) is None  # two hold it, and the third place is kept
    submit(claim(ben))
    submit(held)
    queue.release(assignment_id=claim(rita).pk, by=rita)
    assert claim(remy).task == task


def test_a_kept_task_that_is_skipped_goes_to_others(alice, ben, plain_task, claim):
    queue.reassign(task=plain_task, to=ben)
    queue.skip(assignment_id=claim(ben).pk, by=ben)
    assert claim(alice).task == plain_task


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"is_paused": True}, "paused"),
        ({"archived_at": timezone.now()}, "archived"),
        ({}, "lacks a skill that this task asks for: medicine"),
    ],
)
def test_a_task_is_kept_for_nobody_who_could_not_take_it_now(fields, reason, ben, set_up, fill):
    (task,) = fill(1, skills=[] if fields else ["medicine"])
    set_up(**fields)
    with pytest.raises(Conflict, match=reason):
        queue.reassign(task=task, to=ben)
    task.refresh_from_db()
    assert task.reserved_for is None


def test_nothing_is_kept_for_a_person_who_is_paused(ben, project, plain_task):
    project.memberships.filter(user=ben).update(is_paused=True)
    with pytest.raises(Conflict, match="ben is paused"):
        queue.reassign(task=plain_task, to=ben)


# People who left -------------------------------------------------------------------------------


def test_who_was_taken_out_keeps_no_task_and_no_place_but_their_work_is_kept(
    alice, ben, adam, project, fill, claim, submit
):
    kept, sent, held = fill(3)
    judgment, _ = submit(_held(claim, alice, sent))
    queue.reassign(task=held, to=alice)
    lease = claim(alice)
    queue.reassign(task=kept, to=alice)
    people.remove_member(membership=project.memberships.get(user=alice), by=adam)
    with pytest.raises(Judgment.DoesNotExist):
        queue.undo(judgment_id=judgment.pk, by=alice)
    with pytest.raises(Assignment.DoesNotExist):
        queue.heartbeat(assignment_id=lease.pk, by=alice)
    late, created = submit(lease)
    assert created
    assert late.surplus
    assert {claim(ben).task, *(submit(claim(ben)).judgment.task for _ in range(2))} == {kept, held}


def _held(claim, person, task) -> Assignment:
    queue.reassign(task=task, to=person)
    return claim(person)


# Taken in advance ------------------------------------------------------------------------------


def test_the_task_taken_in_advance_is_the_one_that_comes_next(alice, ben, fill, claim, submit):
    fill(4)
    first = claim(alice)
    ahead = queue.claim_ahead(project="helpful", by=alice)
    assert ahead.task != first.task
    assert queue.claim_ahead(project="helpful", by=alice).pk == ahead.pk
    assert claim(alice).pk == first.pk
    assert claim(ben).task not in (first.task, ahead.task)
    submit(first)
    begun = claim(alice)
    assert (begun.pk, begun.token, begun.shown) == (ahead.pk, ahead.token, ahead.shown)
    assert begun.claimed_at > ahead.claimed_at
    assert queue.claim_ahead(project="helpful", by=alice).pk not in (first.pk, ahead.pk)


def test_after_an_undo_what_was_taken_in_advance_comes_in_its_turn(alice, fill, claim, submit):
    fill(3)
    first = claim(alice)
    second = queue.claim_ahead(project="helpful", by=alice)
    judgment, _ = submit(first)
    assert claim(alice).pk == second.pk
    third = queue.claim_ahead(project="helpful", by=alice)
    queue.undo(judgment_id=judgment.pk, by=alice)
    order = []
    for _ in range(3):
        lease = claim(alice)
        after = queue.claim_ahead(project="helpful", by=alice)
        order.append((lease.pk, after and after.pk))
        submit(lease)
    assert order == [(first.pk, second.pk), (second.pk, third.pk), (third.pk, None)]


def test_a_heartbeat_keeps_what_was_taken_in_advance(alice, ben, fill, claim, run_out):
    fill(2)
    first = claim(alice)
    ahead = queue.claim_ahead(project="helpful", by=alice)
    run_out(ahead)
    queue.heartbeat(assignment_id=first.pk, by=alice)
    queue.sweep_expired()
    assert claim(ben) is None


def test_the_exercise_is_not_taken_in_advance(alice, exercise, claim):
    claim(alice)
    assert queue.claim_ahead(project="helpful", by=alice) is None


# Cost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields", [{"gold_rate": 0.5}, {"order": "breadth"}, {"calibration_size": 5}]
)
def test_a_claim_takes_three_statements_whatever_the_project_asks(
    fields, alice, set_up, fill, gold, work, claim
):
    set_up(**fields)
    fill(5)
    gold(5, is_calibration="calibration_size" in fields)
    work(alice, 2)
    with CaptureQueriesContext(connection) as queries:
        assert claim(alice) is not None
    words = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")
    assert sum(not q["sql"].startswith(words) for q in queries.captured_queries) == 3


def test_the_next_task_is_found_by_index_however_many_there_are(alice, project, fill):
    """The plans of the choice: each of its indexes, never all tasks and never a sort of them."""
    from importlib import import_module

    migration = import_module("annotation.migrations.0007_places_and_leases_ahead")
    fill(50)
    picks = {
        "task_queue": (migration._ORDINARY, migration._DEPTH),
        "task_queue_breadth": (migration._ORDINARY, migration._BREADTH),
        "task_gold": (migration._GOLD, "t.id"),
        "task_calibration": ("t.is_calibration AND t.state <> 'withdrawn'", "t.id"),
    }
    with connection.cursor() as cursor:
        for setting in (
            "plan_cache_mode = force_generic_plan",
            *(f"enable_{way} = off" for way in ("sort", "seqscan", "bitmapscan")),
        ):
            cursor.execute(f"SET LOCAL {setting}")
        for index, (where, order) in picks.items():
            statement = migration._pick(where, order, "SKIP LOCKED").replace("INTO v_task", "")
            for name, value in {
                "v.skills": "$2::varchar[]",
                "v.gold_rate": "0::float8",
                "v.id": "$1::bigint",
                "p_person": "$3::bigint",
            }.items():
                statement = statement.replace(name, value)
            cursor.execute("DEALLOCATE ALL")
            cursor.execute(f"PREPARE pick(bigint, varchar[], bigint) AS {statement.rstrip('; ')}")
            cursor.execute(f"EXPLAIN EXECUTE pick({project.pk}, '{{}}', {alice.pk})")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert f"Index Scan using {index} on annotation_task" in plan, plan
            assert "Sort" not in plan
            assert "Seq Scan" not in plan
