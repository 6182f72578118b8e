"""The tamper-evident log: what is written, how it is sealed, and that meddling shows."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from annotation import selectors
from annotation.models import Judgment, LogEntry, Task
from annotation.services import imports, log, log_check, projects, queue
from annotation.services.tasks import JudgmentIn, create_tasks
from config.errors import Invalid
from tests.annotation.conftest import a_pair

pytestmark = pytest.mark.django_db

#: What `worked` writes: a project, two members, three tasks, four judgments, and one taken back.
ENTRIES = 11


def sql(statement: str, *values) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def unguarded(statement: str, *values) -> None:
    """As a superuser would, with the guard out of the way."""
    sql("ALTER TABLE annotation_logentry DISABLE TRIGGER annotation_log_guard")
    sql(statement, *values)
    sql("ALTER TABLE annotation_logentry ENABLE TRIGGER annotation_log_guard")


@pytest.fixture
def worked(alice, ben, fill, claim, submit) -> list[Judgment]:
    """Four judgments of three tasks, the third one undone and given again."""
    fill(3, overlap=2)
    for person in (alice, ben):
        submit(claim(person))
    undone = submit(claim(alice)).judgment
    queue.undo(judgment_id=undone.pk, by=alice)
    submit(claim(alice), outcome="tie")
    return list(Judgment.objects.order_by("created_at"))


def test_what_people_did_is_in_the_log_in_the_order_they_did_it(worked, alice, ben):
    said = list(
        LogEntry.objects.filter(subject="judgment").order_by("id").values_list("action", "actor")
    )
    assert said == [
        ("stored", alice.pseudonym),
        ("stored", ben.pseudonym),
        ("stored", alice.pseudonym),
        ("withdrawn", alice.pseudonym),
        ("stored", alice.pseudonym),
    ]
    assert LogEntry.objects.filter(subject="task", action="created").count() == 3


def test_sealing_gives_places_without_gaps_and_a_chain_anyone_can_recompute(worked):
    assert log.seal() == ENTRIES
    assert log.seal() == 0
    entries = list(LogEntry.objects.order_by("position"))
    assert [e.position for e in entries] == list(range(1, ENTRIES + 1))
    chain = bytes(32)
    for entry in entries:
        chain = log.link(chain, entry.position, entry)
        assert bytes(entry.chain) == chain
    assert log.head() == (ENTRIES, chain)


def test_later_work_goes_on_from_the_same_head(worked, ben, claim, submit):
    log.seal()
    before = log.head()
    submit(claim(ben))
    assert log.seal() == 1
    last = LogEntry.objects.get(position=ENTRIES + 1)
    assert bytes(last.chain) == log.link(before.chain, last.position, last)
    assert log_check.verify().intact


def test_what_nobody_touched_is_intact_for_every_sort_of_work(worked):
    found = log_check.verify()
    assert found.intact
    assert found.entries == ENTRIES
    assert found.rows == 7
    assert str(found.head) == str(log.head())


@pytest.mark.parametrize(
    ("meddle", "sort"),
    [
        ("UPDATE annotation_judgment SET rationale = 'I never said so' WHERE id = %s", "altered"),
        ("UPDATE annotation_judgment SET withdrawn_at = now() WHERE id = %s", "altered"),
        (
            "UPDATE annotation_judgment SET created_at = created_at - interval '1 day'"
            " WHERE id = %s",
            "altered",
        ),
        (
            "UPDATE annotation_pairwisejudgment SET outcome = 'tie', preferred_id = NULL,"
            " strength = NULL WHERE judgment_id = %s",
            "altered",
        ),
        ("DELETE FROM annotation_pairwisejudgment WHERE judgment_id = %s", "altered"),
    ],
)
def test_a_row_changed_behind_the_back_of_the_doors_is_found(worked, meddle, sort):
    key = worked[0].pk
    sql(meddle, key)
    found = log_check.verify()
    assert not found.intact
    assert found.broken is None
    assert found.named == {sort: [f"judgment {key}"]}


def test_a_row_that_was_deleted_is_missed(worked):
    key = worked[1].pk
    sql("DELETE FROM annotation_pairwisejudgment WHERE judgment_id = %s", key)
    sql("DELETE FROM annotation_judgment WHERE id = %s", key)
    assert log_check.verify().named == {"missing": [f"judgment {key}"]}


def test_a_row_that_came_in_by_the_window_is_found(worked, ben):
    task = Task.objects.order_by("-pk").first()
    key = Judgment.objects.create(
        project_id=task.project_id, task=task, annotator=ben, kind="pairwise"
    ).pk
    assert log_check.verify().named == {"unlogged": [f"judgment {key}"]}


def test_an_answer_that_reads_otherwise_than_when_it_was_judged_is_found(worked):
    task = worked[0].task
    sql("UPDATE annotation_candidate SET content = 'better' WHERE task_id = %s", task.pk)
    assert log_check.verify().named == {"altered": [f"task {task.pk}"]}
    other = projects.create_project(slug="other", kinds=["pairwise"])
    assert log_check.verify(project=other).intact


@pytest.mark.parametrize(
    "meddle",
    [
        "UPDATE annotation_logentry SET actor = 'someone' WHERE position = 4",
        "UPDATE annotation_logentry SET at = at - interval '1 second' WHERE position = 4",
        "UPDATE annotation_logentry SET digest = sha256('x') WHERE position = 4",
        "UPDATE annotation_logentry SET chain = sha256('x') WHERE position = 4",
        "DELETE FROM annotation_logentry WHERE position = 4",
    ],
)
def test_a_sealed_entry_that_was_changed_breaks_the_chain_at_its_place(worked, meddle):
    log.seal()
    unguarded(meddle)
    found = log_check.verify()
    assert found.broken["position"] == 4


@pytest.mark.parametrize(
    "meddle",
    [
        "UPDATE annotation_logentry SET actor = 'someone'",
        "UPDATE annotation_logentry SET position = position + 1000, chain = sha256('x')",
        "DELETE FROM annotation_logentry",
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_the_database_refuses_to_change_or_delete_entries(worked, meddle, sealed):
    if sealed:
        log.seal()
    elif "chain" in meddle:
        log.seal()  # giving a place to an open entry is what sealing does
    with pytest.raises(IntegrityError, match="entries of the log are not"), transaction.atomic():
        sql(meddle)
    assert log_check.verify().intact


def test_a_log_cut_short_shows_against_the_head_noted_before(worked, ben, claim, submit):
    submit(claim(ben))
    noted = str(log_check.verify().head)
    assert log_check.verify(expect=noted).intact
    last = LogEntry.objects.get(position=ENTRIES + 1)
    unguarded("DELETE FROM annotation_logentry WHERE position = %s", ENTRIES + 1)
    sql("DELETE FROM annotation_pairwisejudgment WHERE judgment_id = %s", last.subject_id)
    sql("DELETE FROM annotation_judgment WHERE id = %s", last.subject_id)
    assert log_check.verify().intact  # nothing inside the log can tell
    cut = log_check.verify(expect=noted)
    assert cut.broken == {"position": ENTRIES + 1, "reason": "the log ends before the head noted"}
    with pytest.raises(Invalid, match="position:hash"):
        log_check.verify(expect="nonsense")
    with pytest.raises(Invalid):
        log_check.verify(expect="0:deadbeef")


def test_a_log_written_anew_shows_against_the_head_noted_before(worked):
    noted = str(log_check.verify().head)
    unguarded("UPDATE annotation_logentry SET position = NULL, chain = NULL, actor = 'x'")
    assert log_check.verify().intact
    assert log_check.verify(expect=noted).broken["position"] == ENTRIES


def test_imported_work_is_logged_with_its_past(project):
    first = JudgmentIn(
        body={"outcome": "tie"}, annotator="p-1", pseudonymous=True, ref="one",
        withdrawn_at=None,
    )  # fmt: skip
    undone = JudgmentIn(
        body={"outcome": "both_bad"}, annotator="p-2", pseudonymous=True,
        withdrawn_at=project.created_at,
    )  # fmt: skip
    decided = JudgmentIn(
        body={"outcome": "preferred", "preferred": 1}, annotator="p-3", pseudonymous=True,
        supersedes="one", source="review",
    )  # fmt: skip
    create_tasks(project=project, tasks=[a_pair(judgments=[first, undone, decided])])
    log.seal()
    said = LogEntry.objects.filter(subject__in=("task", "judgment"))
    assert sorted(said.values_list("action", flat=True)) == [
        "created", "stored", "stored", "stored", "superseded", "withdrawn",
    ]  # fmt: skip
    assert log_check.verify().intact
    at = selectors.log_position()
    found = list(selectors.preferences(project_ids=[project.pk], position=at))
    assert [record.annotator_pseudonym for record in found] == ["p-3"]


def test_prompts_with_numbers_the_database_writes_otherwise_are_intact(project):
    line = {
        "prompt": [{"role": "user", "content": "Hi", "weight": 1.0, "odd": [1e300, -0.0, 1e-7]}],
        "candidates": [{"content": "a 👩‍👩‍👧"}, {"content": "ب"}],
    }
    stream = io.BytesIO(json.dumps(line).encode())
    imports.import_stream(project=project, stream=stream, format="preferendum")
    assert log_check.verify().intact


def test_a_position_of_the_log_gives_the_judgments_as_they_stood_there(
    worked, alice, ben, project, claim, submit
):
    log.seal()
    at = selectors.log_position()
    assert at == ENTRIES
    before = [r.judgment_id for r in selectors.preferences(project_ids=[project.pk], position=at)]
    assert len(before) == 3
    last = Judgment.objects.filter(annotator=alice).order_by("-created_at").first()
    queue.undo(judgment_id=last.pk, by=alice)
    submit(claim(ben))
    log.seal()
    asked_again = selectors.preferences(project_ids=[project.pk], position=at)
    assert [r.judgment_id for r in asked_again] == before
    now = selectors.preferences(project_ids=[project.pk], position=selectors.log_position())
    standing = selectors.preferences(project_ids=[project.pk])
    assert [r.judgment_id for r in now] == [r.judgment_id for r in standing]


def test_erased_judgments_are_not_missed_and_their_content_is_gone(worked, adam):
    rows = list(Judgment.objects.filter(pk=worked[0].pk))
    log.erased(rows, actor=adam.pseudonym)
    Judgment.objects.filter(pk=worked[0].pk).delete()
    assert log_check.verify().intact
    task = Task.objects.get(pk=worked[1].task_id)
    log.erased([*task.judgments.all(), task], actor=adam.pseudonym)
    task.delete()
    assert log_check.verify().intact


def test_the_command_ends_with_code_one_and_names_what_is_wrong(worked):
    out = io.StringIO()
    call_command("verify_log", "--json", stdout=out)
    said = json.loads(out.getvalue().splitlines()[-1])
    assert said["intact"] is True
    assert said["entries"] == ENTRIES
    sql("UPDATE annotation_judgment SET seconds = 1 WHERE id = %s", worked[0].pk)
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError, match="1 altered") as stopped:
        call_command("verify_log", "--json", "--project", "helpful", stdout=out, stderr=err)
    assert stopped.value.returncode == 1
    assert json.loads(out.getvalue().splitlines()[-1])["altered"] == 1
    assert f"altered: judgment {worked[0].pk}" in err.getvalue()
    with pytest.raises(CommandError, match="no project"):
        call_command("verify_log", "--project", "nowhere")
