"""Snapshots: the same question to the same rows gives the same bytes."""

import json

import pytest

from alignment.models import Snapshot
from alignment.services import parquet, snapshots
from annotation.models import Judgment
from annotation.services import log
from annotation.services.tasks import CandidateIn, JudgmentIn, TaskIn, create_tasks
from config.errors import Invalid
from tests.alignment.judging import EPOCH, judged_task


def folder_of(taken: Snapshot):
    return snapshots.folder_of(taken)


def withdraw(judgment: Judgment) -> None:
    judgment.withdrawn_at = judgment.created_at
    judgment.save(update_fields=["withdrawn_at"])
    log.withdrawn(judgment, actor="")


def test_the_same_rows_give_the_same_hash_and_the_same_snapshot(judged, remy):
    first = snapshots.take(project=judged, by=remy)
    again = snapshots.take(project=judged)
    assert again == first
    assert Snapshot.objects.count() == 1
    manifest = json.loads((folder_of(first) / "manifest.json").read_text())
    assert manifest["digest"] == first.digest
    assert manifest["files"]["pairs.parquet"]["rows"] == 150


def test_a_new_judgment_gives_a_new_snapshot_and_leaves_the_old_one_alone(judged):
    before = snapshots.take(project=judged)
    create_tasks(project=judged, tasks=[judged_task(1000, by="p-one")])
    after = snapshots.take(project=judged)
    assert after.digest != before.digest
    snapshots.verify(before)
    assert after.counts["preference"]["records"] == 151


def test_a_withdrawn_judgment_is_left_out_of_later_snapshots(judged):
    one = Judgment.objects.order_by("created_at").first()
    withdraw(one)
    taken = snapshots.take(project=judged)
    ids = {row["record_id"] for row in parquet.read(folder_of(taken) / "preference.parquet")}
    assert str(one.pk) not in ids
    assert len(ids) == 149


def test_a_snapshot_can_be_rebuilt_to_the_byte_after_judgments_came_and_went(judged, tmp_path):
    taken = snapshots.take(project=judged)
    withdraw(Judgment.objects.order_by("created_at").first())
    create_tasks(project=judged, tasks=[judged_task(1000, by="p-one")])
    assert snapshots.take(project=judged).digest != taken.digest
    manifest = json.loads((folder_of(taken) / "manifest.json").read_text())
    rebuilt = snapshots.rebuild(taken, tmp_path)
    assert set(rebuilt) == set(manifest["files"])
    assert {"preference.parquet", "pairs.parquet", "reaction.parquet"} <= set(rebuilt)
    for name, digest in rebuilt.items():
        assert digest == manifest["files"][name]["sha256"]


def test_the_chosen_answer_is_the_one_the_person_preferred(judged):
    taken = snapshots.take(project=judged)
    rows = list(parquet.read(folder_of(taken) / "preference.parquet"))
    wrong = [row for row in rows if "do not know" in row["chosen"]]
    assert len(rows) == 150
    # judged_task prefers candidate n % 2: the good one stands first when n is even.
    assert not wrong


def test_a_prompt_keeps_its_side_of_the_split_for_ever(judged):
    taken = snapshots.take(project=judged)
    for row in parquet.read(folder_of(taken) / "pairs.parquet"):
        place = int(row["prompt_hash"][:8], 16) % 1000
        assert row["split"] == ("eval" if place < 200 else "train")
    split = taken.counts["preference"]["split"]
    assert split["eval"] + split["train"] == 150
    assert 15 <= split["eval"] <= 50


def test_votes_of_several_people_become_one_pair_with_their_share(project):
    votes = [("p-a", 0), ("p-b", 0), ("p-c", 1)]
    tasks = [judged_task(2, by=who, best=best) for who, best in votes]
    create_tasks(project=project, tasks=tasks)
    taken = snapshots.take(project=project)
    (pair,) = parquet.read(folder_of(taken) / "pairs.parquet")
    assert pair["chosen"] == "Yes, 2 it is."
    assert pair["weight"] == 3.0
    # two of three votes, each side with 0.05 added: (2 + 0.05) / (3 + 0.1)
    assert pair["soft_label"] == pytest.approx(2.05 / 3.1, abs=1e-6)
    assert taken.people == 3
    assert taken.counts["preference"]["records"] == 3


def test_a_tie_and_both_bad_say_that_neither_is_better(project):
    create_tasks(
        project=project,
        tasks=[
            judged_task(4, by="p-a", outcome="tie"),
            judged_task(6, by="p-a", outcome="both_bad"),
        ],
    )
    taken = snapshots.take(project=project)
    pairs = list(parquet.read(folder_of(taken) / "pairs.parquet"))
    assert [pair["soft_label"] for pair in pairs] == [0.5, 0.5]
    outcomes = taken.counts["preference"]["outcome"]
    assert outcomes == {"tie": 1, "both_bad": 1}


def test_two_answers_that_are_the_same_text_make_no_pair(project):
    same = TaskIn(
        kind="pairwise",
        prompt="Same?",
        candidates=[CandidateIn("same"), CandidateIn("same")],
        judgments=[
            JudgmentIn(
                body={"outcome": "preferred", "preferred": 0},
                annotator="p-a",
                pseudonymous=True,
                created_at=EPOCH,
            )
        ],
    )
    create_tasks(project=project, tasks=[same])
    taken = snapshots.take(project=project)
    assert taken.counts["preference"]["records"] == 1
    assert list(parquet.read(folder_of(taken) / "pairs.parquet")) == []


def test_an_empty_project_can_be_drawn(project):
    taken = snapshots.take(project=project)
    assert taken.counts["preference"]["records"] == 0
    assert list(parquet.read(folder_of(taken) / "pairs.parquet")) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"until": "yesterday"}, "until"),
        ({"until": "2026-01-01T00:00:00"}, "until"),
        ({"eval_share": 2}, "eval_share"),
        ({"kinds": ["rumour"]}, "kinds"),
        ({"projects": ["nowhere"]}, "projects"),
        ({"wish": 1}, "wish"),
        ({"consent": "ignored"}, "consent"),
        ({"sources": ["gossip"]}, "sources"),
        ({"min_weight": 3}, "min_weight"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_by_name(project, query, field):
    with pytest.raises(Invalid) as refused:
        snapshots.take(project=project, query=query)
    assert field in refused.value.fields
    assert Snapshot.objects.count() == 0


def test_what_came_later_is_left_out_when_asked(judged):
    taken = snapshots.take(project=judged, query={"until": "2026-01-01T00:00:09.500000Z"})
    assert taken.counts["preference"]["records"] == 10


def test_files_that_were_altered_are_found_out(judged):
    taken = snapshots.take(project=judged)
    path = folder_of(taken) / "pairs.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Invalid, match=r"pairs\.parquet"):
        snapshots.verify(taken)
