"""Exports: what goes out, what is said to be lost, and the round trip."""

import gzip
import io
import json
from collections import Counter

import pytest
from django.core.management import CommandError, call_command

from annotation.models import Judgment, Task
from annotation.services import exports, imports, projects, queue, review
from annotation.services.tasks import CandidateIn, TaskIn, create_tasks
from tests.annotation.conftest import a_pair

pytestmark = pytest.mark.django_db


def records(project, format: str, lost: Counter | None = None) -> list[dict]:
    form = exports.find(format)
    return [json.loads(line) for line in exports.lines(project=project, form=form, lost=lost)]


def without_ids(value):
    """The export with candidates named by place, and without what the database numbered."""
    value = json.loads(json.dumps(value))
    place = {c.pop("id"): n for n, c in enumerate(value["candidates"])}

    def renamed(item, key=None):
        if isinstance(item, dict):
            return {k: renamed(v, k) for k, v in item.items() if k not in ("id", "supersedes")}
        if isinstance(item, list):
            return [renamed(v, key) for v in item]
        if key in ("preferred", "candidate", "shown", "ranking", "unusable"):
            return place.get(item, item)
        return item

    return renamed(value)


@pytest.fixture
def busy_project(alice, ben, project, fill, claim, submit, run_out):
    """Preferred, tie, both bad, undone, surplus, untouched."""
    fill(3, overlap=2, metadata={"a": [1]}, gold={"outcome": "tie"})
    create_tasks(
        project=project,
        tasks=[
            a_pair(
                9,
                external_id="x9",
                candidates=[
                    CandidateIn("a", model="m", sampling={"t": 1}, logprob=-1.5),
                    CandidateIn("b 👩‍👩‍👧"),
                ],
            )
        ],
    )
    lease = claim(alice)
    submit(lease, outcome="preferred", preferred=lease.shown[1], strength=3, rationale="why",
           flags=["odd"], seconds=2.5)  # fmt: skip
    submit(claim(ben), outcome="tie")
    undone, _ = submit(claim(alice), outcome="both_bad")
    back = queue.undo(judgment_id=undone.pk, by=alice)
    submit(back, outcome="both_bad", rationale="neither")
    late = claim(alice)
    run_out(late)
    queue.sweep_expired()
    Task.objects.filter(pk=late.task_id).update(state="done", overlap=1, taken=1, done=1)
    submit(late)
    return project


def test_export_and_import_elsewhere_and_export_again_is_the_same(busy_project):
    first = records(busy_project, "preferendum")
    elsewhere = projects.create_project(slug="elsewhere", kinds=["pairwise"])
    data = b"".join(exports.lines(project=busy_project, form=exports.find("preferendum")))
    created = imports.import_stream(
        project=elsewhere, stream=io.BytesIO(data), format="preferendum"
    )
    assert created.errors == []
    again = records(elsewhere, "preferendum")
    assert sum(len(r["judgments"]) for r in first) == Judgment.objects.count() / 2 == 5
    for before, after in zip(first, again, strict=True):
        for judgment in [*before["judgments"], *after["judgments"]]:
            judgment.pop("source")
        assert without_ids(after) == without_ids(before)


def test_every_kind_survives_the_round_trip(alice):
    kinds = ["listwise", "span", "principle", "rating", "critique"]
    made = projects.create_project(slug="kinds", kinds=kinds)
    projects.add_member(project=made, user=alice)
    answers = [CandidateIn("first 👩‍👩‍👧 answer"), CandidateIn("second")]
    create_tasks(project=made, tasks=[TaskIn(kind, "Q", answers) for kind in kinds])
    sent = []
    while (lease := queue.claim(project="kinds", by=alice)) is not None:
        a, b = (c.pk for c in lease.task.candidates.order_by("position"))
        body = {
            "listwise": {"ranking": [[b]], "unusable": [a]},
            "span": {
                "spans": [{"candidate": a, "start": 6, "end": 11, "category": "wrong fact"}],
                "missing": [{"candidate": b, "category": "missing answer"}],
            },
            "principle": {
                "verdicts": [
                    {"candidate": a, "principle": "true", "verdict": "no"}
                    | {"evidence": {"start": 0, "end": 5}},
                    {"candidate": b, "principle": "safe", "verdict": "na"},
                ]
            },
            "rating": {"ratings": [{"candidate": b, "attribute": "coherence", "value": 0}]},
            "critique": {"candidate": b, "critique": "short", "corrected": "longer"},
        }[lease.task.kind]
        sent.append(queue.submit(assignment_id=lease.pk, by=alice, body=body).judgment)
    assert len(sent) == 5
    first = records(made, "preferendum")
    elsewhere = projects.create_project(slug="elsewhere", kinds=kinds)
    data = "\n".join(map(json.dumps, first)).encode()
    created = imports.import_stream(
        project=elsewhere, stream=io.BytesIO(data), format="preferendum"
    )
    assert created.errors == []
    for before, after in zip(first, records(elsewhere, "preferendum"), strict=True):
        for record in (before, after):
            record["judgments"][0].pop("source")
        assert without_ids(after) == without_ids(before)
    assert [r["spans"][0]["quote"] for r in records(made, "spans") if r["spans"]] == ["👩‍👩‍👧"]
    assert [r["missing"][0]["category"] for r in records(made, "spans") if r["missing"]] == [
        "missing answer"
    ]
    assert records(made, "ratings")[1]["ratings"] == {"coherence": 0}
    assert len(records(made, "principles")) == 2
    assert records(made, "ranking")[0]["ranks"] == [None, 1]


def test_trl_forms_hold_what_was_preferred_and_count_what_they_lose(busy_project):
    lost: Counter = Counter()
    pairs = records(busy_project, "trl-preference", lost)
    assert len(pairs) == 1
    assert set(pairs[0]) == {"prompt", "chosen", "rejected"}
    assert pairs[0]["chosen"][0]["role"] == "assistant"
    assert lost == {
        "ties": 1,
        "judgments that both are bad": 1,
        "judgments undone or decided anew": 1,
        "surplus judgments": 1,
    }
    unpaired = records(busy_project, "trl-unpaired")
    assert sorted(r["label"] for r in unpaired) == [False, False, False, True]


def test_trl_reads_the_exported_preferences(busy_project, tmp_path):
    from trl.data_utils import is_conversational

    assert all(is_conversational(r) for r in records(busy_project, "trl-preference"))


def test_prompts_are_written_once_with_those_that_have_no_task(project, fill):
    fill(2)
    fill(2)
    data = b'{"prompt": "Question 0?"}\n{"prompt": "Alone?"}'
    imports.import_stream(project=project, stream=io.BytesIO(data), format="prompts")
    asked = [r["prompt"][0]["content"] for r in records(project, "trl-prompt")]
    assert sorted(asked) == ["Alone?", "Question 0?", "Question 1?"]


def test_ranking_writes_ties_as_equal_places(project, fill, alice, claim, submit):
    fill(1)
    submit(claim(alice), outcome="tie")
    (record,) = records(project, "ranking")
    assert record["ranks"] == [1, 1]


# The command --------------------------------------------------------------------------------


def test_the_command_writes_the_file_and_the_loss_report(busy_project, tmp_path, capsys):
    path = tmp_path / "out.jsonl.gz"
    options = ("--project", "helpful", "--format", "trl-preference", "--output", str(path))
    call_command("export_dataset", *options)
    assert len(gzip.decompress(path.read_bytes()).splitlines()) == 1
    report = json.loads((tmp_path / "out.jsonl.gz.loss.json").read_text())
    assert report["records"] == 1
    assert report["left_out"]["ties"] == 1
    first = path.read_bytes()
    call_command("export_dataset", *options)
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_command_refuses_what_is_not_there(project, tmp_path):
    output = ("--output", str(tmp_path / "x.jsonl"))
    with pytest.raises(CommandError, match="no export format"):
        call_command("export_dataset", "--project", "helpful", "--format", "x", *output)
    with pytest.raises(CommandError, match="no project"):
        call_command("export_dataset", "--project", "x", "--format", "ranking", *output)
    with pytest.raises(CommandError, match="No such file"):
        call_command(
            "export_dataset", "--project", "helpful", "--format", "ranking",
            "--output", str(tmp_path / "no" / "x.jsonl"),
        )  # fmt: skip


# Verdicts of reviewers ----------------------------------------------------------------------


@pytest.fixture
def decided(alice, ben, rita, project, fill, claim, submit):
    """One task on which two people differ and a reviewer decided for the second answer, and one
    on which nobody did."""
    [task, _] = fill(2, overlap=2)
    for person, place in ((alice, 0), (ben, 1), (alice, 0), (ben, 0)):
        held = claim(person)
        ids = sorted(held.shown)
        submit(held, outcome="preferred", preferred=ids[place])
    second = task.candidates.order_by("position")[1].pk
    review.decide(task=task, by=rita, body={"outcome": "preferred", "preferred": second})
    return task


def test_flat_forms_say_what_the_reviewer_decided_and_count_the_originals(decided, project):
    lost: Counter = Counter()
    rows = records(project, "trl-preference", lost)
    assert [row["chosen"][0]["content"] for row in rows] == ["second 0", "first 1", "first 1"]
    assert lost["judgments of tasks that a reviewer decided"] == 2
    assert [row["ranks"] for row in records(project, "ranking")] == [[2, 1], [1, 2], [1, 2]]
    assert len(records(project, "trl-unpaired")) == 6


def test_forms_with_annotators_keep_the_originals_and_name_the_last_word(decided, project, rita):
    [first, other] = records(project, "preferendum")
    assert len(first["judgments"]) == 3
    assert first["verdict"] in {j["id"] for j in first["judgments"] if j["source"] == "review"}
    assert "verdict" not in other
    text = b"".join(exports.lines(project=project, form=exports.find("label-studio")))
    [first, other] = json.loads(text)
    own = first["meta"]["preferendum"]
    assert own["annotators"][str(first["annotations"][own["verdict"] - 1]["completed_by"])] == (
        rita.pseudonym
    )
    assert "verdict" not in other["meta"]["preferendum"]


def test_every_row_of_the_dataset_says_whether_it_is_final(decided, project, tmp_path):
    import pyarrow.parquet as pq

    call_command("export_dataset", project="helpful", format="hf-dataset", output=tmp_path / "d")
    rows = pq.read_table(tmp_path / "d" / "data" / "pairwise.parquet").to_pylist()
    assert sorted((row["source"], row["final"]) for row in rows) == [
        ("review", True), ("web", False), ("web", False), ("web", True), ("web", True),
    ]  # fmt: skip


@pytest.mark.parametrize("format", ["preferendum", "label-studio"])
def test_a_verdict_is_a_verdict_again_when_the_export_is_imported(decided, project, format):
    form = exports.find(format)
    lines = b"".join(exports.lines(project=project, form=form))
    copy = projects.create_project(slug="copy", kinds=["pairwise"])
    made = imports.import_stream(project=copy, stream=io.BytesIO(lines), format=format, by=None)
    assert not made.refused
    task = copy.tasks.order_by("pk").first()
    assert (task.done, task.taken, task.overlap) == (2, 2, 2)
    assert task.adjudicated_at is not None
    assert review.verdict_of(task) is not None
    chosen = [row["chosen"][0]["content"] for row in records(copy, "trl-preference")]
    assert chosen == ["second 0", "first 1", "first 1"]
