"""A pairwise project with alice and ben in it, and the verbs tests speak with."""

from collections.abc import Callable

import pytest

from annotation.models import Project, Task
from annotation.services import projects, queue
from annotation.services.tasks import CandidateIn, TaskIn, create_tasks


def a_pair(number: int = 0, **more) -> TaskIn:
    """A pairwise task whose answers say which one they are."""
    fields = {
        "kind": "pairwise",
        "prompt": f"Question {number}?",
        "candidates": [CandidateIn(f"first {number}"), CandidateIn(f"second {number}")],
    }
    return TaskIn(**(fields | more))


@pytest.fixture
def project(alice, ben) -> Project:
    made = projects.create_project(slug="helpful", kinds=["pairwise"])
    for person in (alice, ben):
        projects.add_member(project=made, user=person)
    return made


@pytest.fixture
def fill(project) -> Callable[..., list[Task]]:
    """`fill(3, overlap=2)` puts pairwise tasks into the project."""

    def put(count: int, **more) -> list[Task]:
        before = set(project.tasks.values_list("pk", flat=True))
        create_tasks(project=project, tasks=[a_pair(n, **more) for n in range(count)])
        return list(project.tasks.exclude(pk__in=before).order_by("pk"))

    return put


@pytest.fixture
def claim(project) -> Callable:
    return lambda person: queue.claim(project=project.slug, by=person)


@pytest.fixture
def submit() -> Callable:
    """`submit(assignment)` prefers the candidate shown first, unless a body is given."""

    def send(assignment, *, key: str | None = None, **body):
        body = body or {"outcome": "preferred", "preferred": assignment.shown[0]}
        return queue.submit(
            assignment_id=assignment.pk, by=assignment.annotator, body=body, key=key
        )

    return send


@pytest.fixture
def run_out() -> Callable:
    """Let the time of a lease run out."""

    def expire(assignment) -> None:
        type(assignment).objects.filter(pk=assignment.pk).update(expires_at="2020-01-01T00:00Z")

    return expire


@pytest.fixture
def plain_task(project, fill) -> Task:
    return fill(1)[0]
