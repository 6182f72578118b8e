"""The queue when things go wrong: killed connections, stepped clocks, any order of events."""

import asyncio
import os
import random
import subprocess
import threading
from collections import Counter
from contextlib import suppress
from uuid import UUID

import psutil
import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.models import Assignment, Judgment, LogEntry, Project, Task
from annotation.services import projects, queue, review
from annotation.services.tasks import create_tasks
from config.embedded import locations, postgres
from config.embedded.processes import read_pid
from config.errors import Conflict
from tests import session
from tests.annotation.conftest import a_pair
from tests.annotation.test_queue_under_load import a_crew, assert_the_books_balance, at_once


def a_project(slug: str, tasks: int, **fields) -> Project:
    project = projects.create_project(slug=slug, kinds=["pairwise"], **fields)
    create_tasks(project=project, tasks=[a_pair(n) for n in range(tasks)])
    return project


def persistently(function, *, tries: int = 50):
    """Call until the database answers, as a client does that sends its request again."""
    for _ in range(tries):
        try:
            return function()
        except DatabaseError:
            connection.close()
    raise AssertionError("the database never answered")


# Connections killed in the middle -------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_connections_killed_at_any_moment_lose_and_double_nothing(services):
    a_project("kills", 30, overlap=3)
    crew = a_crew(4, "kills")
    over = threading.Event()

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (own,) = cursor.fetchone()

    def kill() -> int:
        """End the connections of people in the middle of something, one at a time."""
        chance, killed = random.Random(5), 0
        while killed < 12 and not over.wait(0.02 + 0.1 * chance.random()):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND state <> 'idle'"
                    " AND pid NOT IN (pg_backend_pid(), %s) ORDER BY random() LIMIT 1",
                    [own],
                )
                killed += len(cursor.fetchall())
        return killed

    def work(person) -> set[UUID]:
        sent = set()
        while (lease := persistently(lambda: queue.claim(project="kills", by=person))) is not None:

            def send(lease=lease):
                return queue.submit(
                    assignment_id=lease.pk, by=person, body={"outcome": "tie"}, key=str(lease.pk)
                )

            sent.add(persistently(send).judgment.pk)
        return sent

    def run(item):
        if item is None:
            return kill()
        try:
            return work(item)
        finally:
            working.discard(item.pk)
            if not working:
                over.set()

    working = {person.pk for person in crew}
    killed, *sent = at_once(run, [None, *crew])
    assert killed > 0
    told = set().union(*sent)
    assert len(told) == 90
    assert told == set(Judgment.objects.values_list("pk", flat=True))
    assert LogEntry.objects.filter(subject="judgment").count() == 90
    assert_the_books_balance("kills")


@pytest.mark.django_db(transaction=True)
def test_a_claim_whose_connection_dies_half_way_holds_nothing(services):
    a_project("half", 1)
    first, second = a_crew(2, "half")

    @transaction.atomic
    def claim_and_die(person) -> None:
        queue.claim(project="half", by=person)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    def died(person) -> bool:
        try:
            claim_and_die(person)
        except DatabaseError:
            return True
        return False

    assert at_once(died, [first]) == [True]
    assert not Assignment.objects.exists()
    assert queue.claim(project="half", by=second) is not None
    assert_the_books_balance("half")


# The database killed and started again --------------------------------------------------------


def kill_the_database(where) -> None:
    """End every process of the server at once, as the kernel does when memory is gone."""
    server = psutil.Process(read_pid(where.postgres_data / "postmaster.pid"))
    everything = [server, *server.children(recursive=True)]
    for process in everything:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(everything, timeout=10)


def start_the_database(where) -> None:
    """Start it again for the rest of the session; it recovers what it had committed."""
    who = postgres.prepare(where)
    server = subprocess.Popen(
        postgres.command(where, durable=False),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        **postgres.as_user(who),
    )
    session.at_the_end(server)
    postgres.wait_until_ready(where, alive=lambda: server.poll() is None)


@pytest.mark.django_db(transaction=True)
def test_a_database_killed_under_ten_annotators_keeps_each_judgment_it_acknowledged(services):
    where = locations(os.environ["VAR_DIR"])
    a_project("crash", 60, overlap=2)
    crew = a_crew(10, "crash")
    with connection.cursor() as cursor:  # as in production: what is acknowledged is in the log
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    connection.close()
    connection.close_pool()  # the connections there are were made under the other setting
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)
    acknowledged: Counter = Counter()
    enough, up = threading.Event(), threading.Event()
    up.set()

    def surely(function):
        """Call again until there is an answer, as a client does."""
        while True:
            try:
                return function()
            except DatabaseError:
                connection.close()
                assert up.wait(60)

    def work(person) -> None:
        while lease := surely(lambda: queue.claim(project="crash", by=person)):

            def send(lease=lease):
                return queue.submit(
                    assignment_id=lease.pk, by=person, body={"outcome": "tie"}, key=str(lease.pk)
                )

            acknowledged[surely(send).judgment.pk] += 1
            if len(acknowledged) >= 30:
                enough.set()

    def crash() -> None:
        assert enough.wait(60)
        up.clear()
        kill_the_database(where)
        start_the_database(where)
        up.set()

    at_once(lambda item: crash() if item is None else work(item), [None, *crew])
    connection.close()  # this thread's own went with the server
    asyncio.run(sync_to_async(connections.close_all)())  # and that of the loops' one thread
    assert len(acknowledged) == 120
    assert set(acknowledged) == set(Judgment.objects.values_list("pk", flat=True))
    assert set(acknowledged.values()) == {1}
    assert LogEntry.objects.filter(subject="judgment").count() == 120
    assert_the_books_balance("crash")


# Clocks that are set ahead or back ------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_clock_set_ahead_or_back_over_collects_and_loses_nothing(services, seed):
    project = a_project("clock", 12, overlap=2)
    crew = a_crew(5, "clock")

    def work(person) -> int:
        chance, stored = random.Random(f"{seed} {person.username}"), 0
        for turn in range(20):
            lease = queue.claim(project="clock", by=person)
            if chance.random() < 0.5:
                # To every lease, a clock set ahead or back is the same as its times moved.
                hours = chance.choice([-30, -1, 1, 30])
                with connection.cursor() as cursor:
                    cursor.execute(
                        "UPDATE annotation_assignment SET"
                        " expires_at = expires_at + make_interval(hours => %s),"
                        " claimed_at = claimed_at + make_interval(hours => %s)"
                        " WHERE annotator_id = %s",
                        [hours, hours, person.pk],
                    )
                queue.sweep_expired(project=project)
            if lease is not None:
                body, key = {"outcome": "tie"}, f"{person.pk} {turn}"
                done = queue.submit(assignment_id=lease.pk, by=person, body=body, key=key)
                stored += done.created
        return stored

    assert sum(at_once(work, crew)) == Judgment.objects.count() >= 24
    assert not Task.objects.filter(done__lt=2).exists()
    assert_the_books_balance("clock")


# Any order of events --------------------------------------------------------------------------

VERBS = ("claim", "ahead", "submit", "again", "expire", "sweep", "skip", "release", "undo", "beat",
         "give", "ask")  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 2)), max_size=40)


@pytest.mark.django_db
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=STEPS,
    overlap=st.integers(1, 3),
    order=st.sampled_from(["depth", "breadth"]),
    gold=st.sampled_from([0.0, 0.5]),
)
def test_the_books_balance_after_any_order_of_events(services, steps, overlap, order, gold):
    with transaction.atomic():
        project = a_project("any", 3, overlap=overlap, order=order, gold_rate=gold)
        Task.objects.filter(pk=project.tasks.last().pk).update(gold={"outcome": "tie"})
        crew = a_crew(3, "any")
        held: dict[int, Assignment] = {}
        sent: dict[int, Judgment] = {}
        told = Counter()
        for verb, who in steps:
            try:
                with transaction.atomic():
                    _step(verb, crew[who], held, sent, told)
            except Conflict:
                told["refused"] += 1
            assert_the_books_balance("any")
        assert Judgment.objects.count() == told["stored"]
        assert Judgment.objects.exclude(withdrawn_at=None).count() == told["undone"]
        entries = Counter(
            LogEntry.objects.filter(subject="judgment").values_list("action", flat=True)
        )
        assert (entries["stored"], entries["withdrawn"]) == (told["stored"], told["undone"])
        transaction.set_rollback(True)


def _step(verb: str, person, held: dict, sent: dict, told: Counter) -> None:
    lease = held.get(person.pk)
    match verb:
        case "claim":
            if (given_out := queue.claim(project="any", by=person)) is not None:
                held[person.pk] = given_out
        case "ahead":
            queue.claim_ahead(project="any", by=person)
        case "submit" if lease is not None:
            body, key = {"outcome": "tie"}, f"{lease.pk} {told['stored']}"
            done = queue.submit(assignment_id=lease.pk, by=person, body=body, key=key)
            assert done.created
            sent[person.pk] = done.judgment
            told["stored"] += 1
        case "again" if person.pk in sent:
            judgment = sent[person.pk]
            repeated = queue.submit(
                assignment_id=judgment.assignment_id,
                by=person,
                body={"outcome": "both_bad"},
                key=judgment.idempotency_key,
            )
            assert not repeated.created
            assert repeated.judgment.pk == judgment.pk
        case "expire" if lease is not None:
            Assignment.objects.filter(pk=lease.pk).update(expires_at="2020-01-01T00:00Z")
        case "sweep":
            queue.sweep_expired()
        case "skip" if lease is not None:
            queue.skip(assignment_id=lease.pk, by=person)
        case "release" if lease is not None:
            queue.release(assignment_id=lease.pk, by=person)
        case "undo" if person.pk in sent:
            queue.undo(judgment_id=sent[person.pk].pk, by=person)
            told["undone"] += 1
        case "beat" if lease is not None:
            queue.heartbeat(assignment_id=lease.pk, by=person)
        case "give" if lease is not None:
            queue.reassign(task=lease.task, to=person)
        case "ask" if lease is not None:
            review.ask_another(task=lease.task, to=person)
