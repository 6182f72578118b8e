"""Erasing a person reaches snapshots and models: they are found, marked, and drawn no more."""

import pytest

from alignment.models import Snapshot
from alignment.services import parquet, runs, snapshots
from annotation.models import Judgment
from config import erasure

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("listed", [True, False])
def test_models_trained_on_an_erased_person_are_listed_and_marked(
    judged, adam, quick_trainer, listed
):
    taken = snapshots.take(project=judged)
    run = runs.create(snapshot=taken, recipe="reward-bt", send=False)
    runs.execute(str(run.pk))
    if not listed:  # a snapshot from before people were listed
        Snapshot.objects.update(names=[])
    person = Judgment.objects.order_by("created_at").first().annotator
    name = person.pseudonym
    said = {"snapshots": 1, "models": 1}
    foreseen = erasure.would(person=person, judgments="withdraw")
    assert said.items() <= foreseen.items()
    touched = erasure.erase_person(person=person, judgments="withdraw", by=adam)
    assert said.items() <= touched.items()
    run.refresh_from_db()
    taken.refresh_from_db()
    assert run.model.metadata["trained_on_erased"]["people"] == 1
    assert (taken.erased, name in taken.names) == (1, False)
    assert len(taken.names) == taken.people - 1  # so that the next one is found too
    later = snapshots.take(project=judged)
    rows = parquet.read(snapshots.folder_of(later) / "preference.parquet")
    assert name not in {row["annotator"] for row in rows}
    assert later.counts["preference"]["records"] == 100


def test_someone_in_no_snapshot_marks_nothing(judged, adam, alice, quick_trainer):
    snapshots.take(project=judged)
    touched = erasure.erase_person(person=alice, by=adam)
    assert {"snapshots": 0, "models": 0}.items() <= touched.items()
