"""The benchmark's own check sees labels that are lost, doubled, changed or unasked."""

import pytest

from tests.bench.annotation import Loop, checked, task_lines

pytestmark = pytest.mark.django_db

CLEAN = {"over_collected": 0, "handed_to_two": 0, "lost": 0, "unasked": 0, "wrong": 0}


@pytest.fixture
def loop(project, fill):
    """Three tasks, the first two judged by ann, as the driver saw it."""
    tasks = fill(3)
    for n, task in enumerate(tasks):
        task.external_id = f"t{n}"
        task.save()
    seen = Loop(project.slug, warm=0, seconds=1, joined=False)
    for task in tasks[:2]:
        seen.handed[task.pk].add("ann")
        seen.accepted[(task.pk, "p-ann")] = 7
    return seen


def row(name: str, *said: tuple[str, int]) -> dict:
    judgments = [{"annotator": who, "preferred": what} for who, what in said]
    return {"external_id": name, "judgments": judgments}


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([row("t0", ("p-ann", 7)), row("t1", ("p-ann", 7)), row("t2")], {}),
        ([row("t0", ("p-ann", 7)), row("t1"), row("t2")], {"lost": 1}),
        ([row("t0", ("p-ann", 7)), row("t1", ("p-ann", 8)), row("t2")], {"wrong": 1}),
        (
            [row("t0", ("p-ann", 7), ("p-bob", 7)), row("t1", ("p-ann", 7)), row("t2")],
            {"over_collected": 1, "unasked": 1},
        ),
    ],
)
def test_the_check_of_an_export_finds_what_is_wrong(rows, fault, loop):
    found = checked(rows, loop)
    assert {name: found[name] for name in CLEAN} == CLEAN | fault


def test_a_label_whose_answer_never_came_may_be_there_or_not(loop):
    task = next(iter(loop.handed))
    loop.unsure.add((task, "p-bob"))
    rows = [row("t0", ("p-ann", 7), ("p-bob", 7)), row("t1", ("p-ann", 7))]
    assert checked(rows, loop)["unasked"] == 0


def test_the_same_tasks_are_made_each_time():
    assert task_lines(5) == task_lines(5)
    assert task_lines(5).count(b"\n") == 4
