"""The benchmark's own check sees labels that are lost, doubled, changed or unasked."""

import pytest

from tests.bench.annotation import Loop, checked, task_lines

CLEAN = {"over_collected": 0, "handed_to_two": 0, "lost": 0, "unasked": 0, "wrong": 0}


@pytest.fixture
def loop():
    """Three tasks, the first two judged by ann, as the driver saw it."""
    seen = Loop(None, "three", warm=0, seconds=1)
    for task in ("t0", "t1"):
        seen.handed[task].add("ann")
        seen.accepted[(task, "p-ann")] = 7
    return seen


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([("t0", "p-ann", 7), ("t1", "p-ann", 7)], {}),
        ([("t0", "p-ann", 7)], {"lost": 1}),
        ([("t0", "p-ann", 7), ("t1", "p-ann", 8)], {"wrong": 1}),
        (
            [("t0", "p-ann", 7), ("t0", "p-bob", 7), ("t1", "p-ann", 7)],
            {"over_collected": 1, "unasked": 1},
        ),
    ],
)
def test_the_check_of_an_export_finds_what_is_wrong(rows, fault, loop):
    found = checked(rows, loop)
    assert {name: found[name] for name in CLEAN} == CLEAN | fault


def test_a_label_whose_answer_never_came_may_be_there_or_not(loop):
    loop.unsure.add(("t0", "p-bob"))
    rows = [("t0", "p-ann", 7), ("t0", "p-bob", 7), ("t1", "p-ann", 7)]
    assert checked(rows, loop)["unasked"] == 0


def test_the_same_tasks_are_made_each_time():
    assert task_lines(5) == task_lines(5)
    assert task_lines(5).count(b"\n") == 4
