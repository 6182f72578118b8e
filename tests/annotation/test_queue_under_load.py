"""Many people at once, on real connections: nothing over-collected, nothing lost."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.db.models import Count, F, Q

from annotation.models import Assignment, Judgment, Task
from annotation.services import projects, queue
from annotation.services.tasks import create_tasks
from config.errors import Conflict
from config.models import User
from tests.annotation.conftest import a_pair

pytestmark = pytest.mark.django_db(transaction=True)


def a_crew(count: int, slug: str) -> list[User]:
    people = [
        User.objects.create_user(f"{slug}-{n}", password=None, role="annotator")
        for n in range(count)
    ]
    for person in people:
        projects.add_member(project=queue.Project.objects.get(slug=slug), user=person)
    return people


def at_once(function, items) -> list:
    """`function` of every item, each in a thread with a connection of its own."""

    def with_connection(item):
        try:
            return function(item)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(with_connection, items))


def assert_the_books_balance(slug: str) -> None:
    """`taken` and `done` of every task equal what the leases and judgments say."""
    tasks = Task.objects.filter(project__slug=slug).annotate(
        leases=Count("assignments", filter=Q(assignments__state="leased"), distinct=True),
        counted=Count(
            "judgments",
            filter=Q(judgments__withdrawn_at=None, judgments__surplus=False),
            distinct=True,
        ),
    )
    for task in tasks:
        assert task.done == task.counted <= task.overlap
        assert task.taken == task.counted + task.leases <= task.overlap
        assert (task.state == Task.State.DONE) == (task.done == task.overlap)
    twice = Judgment.objects.filter(withdrawn_at=None).values("task", "annotator")
    assert not twice.annotate(n=Count("id")).filter(n__gt=1).exists()


def test_ten_people_and_three_wanted_each(services):
    project = projects.create_project(slug="load", kinds=["pairwise"], overlap=3)
    create_tasks(project=project, tasks=[a_pair(n) for n in range(20)])
    crew = a_crew(10, "load")

    def work(person: User) -> list:
        sent = []
        while (lease := queue.claim(project="load", by=person)) is not None:
            body = {"outcome": "preferred", "preferred": lease.shown[0]}
            done = queue.submit(assignment_id=lease.pk, by=person, body=body, key=str(lease.pk))
            sent.append(done.judgment.pk)
        return sent

    sent = [pk for several in at_once(work, crew) for pk in several]
    assert len(sent) == 60
    assert set(sent) == set(Judgment.objects.values_list("pk", flat=True))
    assert not Task.objects.filter(done__lt=F("overlap")).exists()
    assert_the_books_balance("load")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_expiries_doubled_submits_undos_and_skips_in_any_order(services, seed):
    project = projects.create_project(slug="mess", kinds=["pairwise"], overlap=2)
    create_tasks(project=project, tasks=[a_pair(n) for n in range(12)])
    crew = a_crew(6, "mess")

    def send(person: User, lease: Assignment, key: str):
        try:
            return queue.submit(assignment_id=lease.pk, by=person, body={"outcome": "tie"}, key=key)
        except Conflict:
            return None

    def work(person: User) -> Counter:
        chance = random.Random(f"{seed} {person.username}")
        told = Counter()
        for turn in range(25):
            lease = queue.claim(project="mess", by=person)
            if lease is None:
                queue.sweep_expired(project=project)
                continue
            doing = chance.random()
            key = f"{person.pk}-{turn}"
            if doing < 0.15:
                queue.skip(assignment_id=lease.pk, by=person, reason="unsure")
                continue
            if doing < 0.25:
                queue.release(assignment_id=lease.pk, by=person)
                continue
            if doing < 0.5:
                Assignment.objects.filter(pk=lease.pk).update(expires_at="2020-01-01T00:00Z")
                queue.sweep_expired(project=project)
            stored = send(person, lease, key)
            repeated = send(person, lease, key)
            assert stored is not None
            assert stored.created
            assert not repeated.created
            assert repeated.judgment.pk == stored.judgment.pk
            told["stored"] += 1
            if doing > 0.85:
                queue.undo(judgment_id=stored.judgment.pk, by=person)
                told["undone"] += 1
        return told

    told = sum(at_once(work, crew), Counter())
    assert Judgment.objects.count() == told["stored"] > 0
    assert Judgment.objects.exclude(withdrawn_at=None).count() == told["undone"]
    assert_the_books_balance("mess")


def test_one_key_sent_eight_times_at_once_is_stored_once(services):
    project = projects.create_project(slug="eager", kinds=["pairwise"])
    create_tasks(project=project, tasks=[a_pair()])
    (person,) = a_crew(1, "eager")
    lease = queue.claim(project="eager", by=person)

    def send(_):
        return queue.submit(
            assignment_id=lease.pk, by=person, body={"outcome": "tie"}, key="once"
        ).created

    assert sorted(at_once(send, range(8))) == [False] * 7 + [True]
    assert_the_books_balance("eager")


def test_one_person_claiming_eight_times_at_once_holds_one_lease(services):
    project = projects.create_project(slug="eager", kinds=["pairwise"])
    create_tasks(project=project, tasks=[a_pair(n) for n in range(10)])
    (person,) = a_crew(1, "eager")
    leases = at_once(lambda _: queue.claim(project="eager", by=person).pk, range(8))
    assert len(set(leases)) == 1
    assert_the_books_balance("eager")


def test_the_last_place_goes_to_one_of_eight(services):
    project = projects.create_project(slug="last", kinds=["pairwise"])
    create_tasks(project=project, tasks=[a_pair()])
    crew = a_crew(8, "last")
    leases = at_once(lambda person: queue.claim(project="last", by=person), crew)
    assert sum(lease is not None for lease in leases) == 1
    assert_the_books_balance("last")
