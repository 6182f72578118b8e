"""What goes out for other tools, and comes back: Label Studio, Argilla, Parquet with a card."""

import io
import json
import zipfile
from collections import Counter

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from annotation.models import Judgment, Task
from annotation.services import exports, imports, projects
from annotation.services.tasks import CandidateIn, JudgmentIn, TaskIn, create_tasks

pytestmark = pytest.mark.django_db

KINDS = ["pairwise", "listwise", "span", "principle", "rating", "critique", "safety", "step",
         "triplet"]  # fmt: skip


def by(name: str, **body) -> JudgmentIn:
    return JudgmentIn(body=body, annotator=name, pseudonymous=True, shown=body.pop("shown", None))


def a_task(kind: str, answers: int, *judgments: JudgmentIn, **more) -> TaskIn:
    return TaskIn(
        kind=kind,
        prompt=more.pop("prompt", "What 👩‍👩‍👧 now?"),
        candidates=[
            CandidateIn(f"first line 👩 {n}\n\nsecond نص {n}", model=f"m{n}")
            for n in range(answers)
        ],
        judgments=list(judgments),
        external_id=f"{kind}-1",
        **more,
    )  # fmt: skip


def choice(outcome: str, preferred: int | None = None) -> dict:
    return {"outcome": outcome} | ({} if preferred is None else {"preferred": preferred})


@pytest.fixture
def everything():
    """One task of each kind, judged by two people; and one that asks two kinds at once."""
    project = projects.create_project(slug="all-kinds", kinds=KINDS, dimensions=["tone"])
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "And?"},
    ]
    tone = [{"dimension": "tone", "outcome": "tie"}]
    safe = {"helpful": choice("preferred", 1), "safer": choice("both_bad"),
            "harm": [{"candidate": 0, "level": 0}, {"candidate": 1, "level": 3}]}  # fmt: skip
    tasks = [
        a_task("pairwise", 2,
               by("p-1", **choice("preferred", 1), strength=2, rationale="why\nso", seconds=2.5,
                  flags=["odd"], shown=[1, 0]),
               by("p-2", **choice("tie"), dimensions=tone),
               by("p-3", **choice("both_bad")),
               prompt=chat, metadata={"kept": [1]}, gold=choice("preferred", 0)),
        a_task("listwise", 4,
               by("p-1", ranking=[[2], [0, 1]], unusable=[3]),
               by("p-2", ranking=[[0], [1], [2], [3]], unusable=[])),
        a_task("span", 1,
               by("p-1", spans=[{"candidate": 0, "start": 11, "end": 12, "category": "wrong fact",
                                 "severity": 3, "comment": "no"},
                                {"candidate": 0, "start": 22, "end": 24, "category": "irrelevant"}],
                  missing=[{"candidate": 0, "category": "missing answer", "comment": "gone"}]),
               by("p-2", spans=[], missing=[])),
        a_task("principle", 1,
               by("p-1", verdicts=[{"candidate": 0, "principle": "true", "verdict": "no",
                                    "evidence": {"start": 11, "end": 14}},
                                   {"candidate": 0, "principle": "kind", "verdict": "na"}])),
        a_task("rating", 2,
               by("p-1", ratings=[{"candidate": c, "attribute": "helpfulness", "value": 4 * c}
                                  for c in (0, 1)])),
        a_task("critique", 1, by("p-1", candidate=0, critique="bad", corrected="good\n\n\nnow")),
        a_task("safety", 2, by("p-1", **safe)),
        a_task("step", 1,
               by("p-1", steps=[{"candidate": 0, "step": 0, "value": 1, "comment": "fine"},
                                {"candidate": 0, "step": 1, "value": -1}])),
        a_task("triplet", 3, by("p-1", anchor=0, closer=2), by("p-2", anchor=0, closer=None)),
        TaskIn(kind="pairwise", also=["rating"], prompt="Both?", external_id="both-1",
               candidates=[CandidateIn("a"), CandidateIn("b")],
               judgments=[by("p-1", **choice("tie"), also={"rating": {"ratings": [
                   {"candidate": 1, "attribute": "verbosity", "value": 3}]}})]),
    ]  # fmt: skip
    create_tasks(project=project, tasks=tasks)
    return project


def written(project, format: str) -> bytes:
    return b"".join(exports.body(project=project, form=exports.find(format)))


def told(project) -> list:
    """What stands in a project, without what the database numbered or the clock said."""
    found = []
    form = exports.find("preferendum")
    for line in exports.lines(project=project, form=form):
        task = json.loads(line)
        place = {c.pop("id"): n for n, c in enumerate(task["candidates"])}

        def settled(item, key=None, place=place):
            if isinstance(item, dict):
                gone = ("id", "created_at", "source", "supersedes")
                return {k: settled(v, k) for k, v in item.items() if k not in gone}
            if isinstance(item, list):
                return [settled(v, key) for v in item]
            named = ("preferred", "candidate", "shown", "ranking", "unusable", "anchor", "closer")
            return place.get(item, item) if key in named else item

        found.append(settled(task))
    return sorted(found, key=lambda t: t["external_id"])


def copied(project, format: str, data: bytes):
    words = {"dimensions": project.dimensions}
    other = projects.create_project(slug="copy", kinds=KINDS, **words)
    created = imports.import_stream(project=other, stream=io.BytesIO(data), format=format)
    assert created.errors == []
    return other


def test_label_studio_and_back_loses_nothing_but_what_the_report_says(everything):
    data = written(everything, "label-studio")
    tasks = json.loads(data)
    assert [t["data"]["prompt"] for t in tasks].count("What 👩‍👩‍👧 now?") == 8
    spans = next(t for t in tasks if t["meta"]["preferendum"]["kind"] == "span")
    value = spans["annotations"][0]["result"][0]["value"]
    # UTF-16 units, as the labelling page counts; the same stretch in code points is 11 to 12.
    assert (value["start"], value["end"], value["text"]) == (11, 13, "👩")
    assert told(copied(everything, "label-studio", data)) == told(everything)


def test_argilla_and_back_loses_nothing_but_what_the_report_says(everything):
    with zipfile.ZipFile(io.BytesIO(written(everything, "argilla"))) as archive:
        data = archive.read("data/train.jsonl")
        settings = json.loads(archive.read(".argilla/settings.json"))
        report = json.loads(archive.read("loss.json"))
    questions = {q["name"]: q["settings"]["type"] for q in settings["questions"]}
    assert questions["preference"] == "label_selection"
    assert questions["ranking"] == "ranking"
    assert questions["helpfulness_answer_2"] == "rating"
    assert questions["spans_answer_1"] == "span"
    assert {f["name"] for f in settings["fields"]} == {
        "prompt",
        *(f"answer_{n}" for n in range(1, 5)),
    }
    assert report["left_out"] == {"comments": 3, "evidence of verdicts": 1, "gold answers": 1}

    def without_losses(tasks):
        for task in tasks:
            task["gold"] = None
            for judgment in task["judgments"]:
                judgment["seconds"] = None
                judgment["shown"] = sorted(judgment["shown"])
                for span in judgment.get("spans", []):
                    span |= {"severity": 1, "comment": ""}
                for item in (*judgment.get("missing", []), *judgment.get("steps", [])):
                    item["comment"] = ""
                for verdict in judgment.get("verdicts", []):
                    verdict.pop("evidence", None)
        return tasks

    other = copied(everything, "argilla", data)
    assert without_losses(told(other)) == without_losses(told(everything))


def test_a_dataset_for_the_hub_is_parquet_a_kind_and_a_card(everything, tmp_path):
    target = tmp_path / "dataset"
    call_command("export_dataset", "--project", "all-kinds", "--format", "hf-dataset", "--output",
                 str(target), stdout=io.StringIO())  # fmt: skip
    card = (target / "README.md").read_text()
    for kind in KINDS:
        assert f"- config_name: {kind}" in card
    rows = pq.read_table(target / "data" / "pairwise.parquet").to_pylist()
    first = next(r for r in rows if r["annotator"] == "p-1" and r["external_id"] == "pairwise-1")
    assert first["outcome"] == "preferred"
    assert first["responses"][first["preferred"]].endswith("1")
    assert first["models"] == ["m0", "m1"]
    assert first["shown"] == [1, 0]
    assert [m["role"] for m in first["prompt"]] == ["system", "user", "assistant", "user"]
    ranked = pq.read_table(target / "data" / "listwise.parquet").to_pylist()
    assert ranked[0]["ranks"] == [2, 2, 1, None]
    spans = pq.read_table(target / "data" / "span.parquet").to_pylist()
    assert spans[0]["spans"][0]["quote"] == "👩"
    ratings = pq.read_table(target / "data" / "rating.parquet").to_pylist()
    assert len(ratings) == 2  # the second one was asked along with a comparison
    report = json.loads((tmp_path / "dataset.loss.json").read_text())
    assert report["records"] == Judgment.objects.count() + 1
    # A second export replaces the first, and never a folder with other things in it.
    call_command("export_dataset", "--project", "all-kinds", "--format", "hf-dataset", "--output",
                 str(target), stdout=io.StringIO())  # fmt: skip
    (target / "mine.txt").write_text("keep")
    with pytest.raises(CommandError, match="holds other files"):
        call_command("export_dataset", "--project", "all-kinds", "--format", "hf-dataset",
                     "--output", str(target))  # fmt: skip
    assert (target / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("format", ["hf-dataset", "argilla", "label-studio"])
def test_the_same_project_gives_the_same_bytes(everything, format):
    assert written(everything, format) == written(everything, format)


@pytest.mark.parametrize("name", ["records.jsonl", "records.jsonl.gz", "records.zip", "folder"])
def test_argilla_is_written_as_lines_a_zip_or_a_folder(everything, tmp_path, name):
    target = tmp_path / name
    call_command("export_dataset", "--project", "all-kinds", "--format", "argilla", "--output",
                 str(target), stdout=io.StringIO())  # fmt: skip
    assert target.exists()
    assert (tmp_path / f"{name}.loss.json").exists()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.endswith(".part")) == []


def test_several_files_do_not_fit_into_one(everything, tmp_path):
    with pytest.raises(CommandError, match="name a folder"):
        call_command("export_dataset", "--project", "all-kinds", "--format", "hf-dataset",
                     "--output", str(tmp_path / "one.jsonl"))  # fmt: skip


def test_steps_become_trls_stepwise_records(everything):
    lost: Counter = Counter()
    form = exports.find("trl-stepwise")
    (record,) = [json.loads(x) for x in exports.lines(project=everything, form=form, lost=lost)]
    assert record["completions"] == ["first line 👩 0", "second نص 0"]
    assert record["labels"] == [True, False]


def test_a_further_kind_of_a_task_is_found_by_the_format_of_that_kind(everything):
    form = exports.find("ratings")
    found = [json.loads(x) for x in exports.lines(project=everything, form=form)]
    assert {"verbosity": 3} in [r["ratings"] for r in found]


def test_an_empty_project_gives_an_empty_array(project):
    assert json.loads(written(project, "label-studio")) == []


def test_the_export_door_serves_arrays_zips_and_reports(everything, remy, api):
    client = api(remy, "research")
    answer = client.get("/api/projects/all-kinds/export/?format=label-studio")
    assert answer["Content-Type"] == "application/json"
    assert len(json.loads(answer.getvalue())) == Task.objects.count()
    answer = client.get("/api/projects/all-kinds/export/?format=hf-dataset")
    assert answer["Content-Disposition"].endswith('all-kinds-hf-dataset.zip"')
    assert zipfile.is_zipfile(io.BytesIO(answer.getvalue()))
    report = client.get("/api/projects/all-kinds/export/?format=argilla&report=1").json()
    assert report["left_out"]["gold answers"] == 1


# Label Studio and Argilla as others write them ----------------------------------------------


def ls_task(*results, **data) -> dict:
    data = data or {"prompt": "Q?", "answer1": "one 👩 two", "answer2": "other"}
    annotation = {"id": 7, "completed_by": {"id": 3, "email": "x@y"}, "result": list(results)}
    return {"id": 1, "data": data, "annotations": [annotation]}


def result(sort: str, name: str, value: dict, to: str = "answer1") -> dict:
    return {"id": "r1", "from_name": name, "to_name": to, "type": sort, "value": value}


@pytest.mark.parametrize(
    ("task", "kind", "body"),
    [
        (
            ls_task(result("pairwise", "pw", {"selected": "right"}, to="a1,a2")),
            "pairwise",
            {"outcome": "preferred", "preferred": 1},
        ),
        (
            ls_task(result("ranker", "rank", {"ranker": ["y", "x"]}), prompt="Q?",
                    items=[{"id": "x", "title": "X"}, {"id": "y", "body": "Y"}]),
            "listwise",
            {"ranking": [[1], [0]], "unusable": []},
        ),
        (
            ls_task(result("rating", "clarity", {"rating": 5})),
            "rating",
            {"ratings": [{"candidate": 0, "attribute": "clarity", "value": 4}]},
        ),
        (
            ls_task(result("labels", "l", {"start": 7, "end": 10, "text": "two", "labels": ["x"]})),
            "span",
            {"spans": [{"candidate": 0, "start": 6, "end": 9, "category": "x", "severity": 1,
                        "comment": ""}], "missing": []},
        ),
        (
            ls_task(result("choices", "true", {"choices": ["No"]})),
            "principle",
            {"verdicts": [{"candidate": 0, "principle": "true", "verdict": "no"}]},
        ),
        (
            ls_task(result("textarea", "notes", {"text": ["so so"]})),
            "critique",
            {"candidate": 0, "critique": "so so", "corrected": ""},
        ),
    ],
)  # fmt: skip
def test_label_studio_results_are_told_by_their_type(task, kind, body):
    from tests.annotation.test_formats_labelled import read

    (item,) = read("label-studio", task)
    assert item.kind == kind
    assert item.judgments[0].body == body
    assert item.judgments[0].annotator == "x@y"


def test_argilla_records_of_others_are_told_by_the_shape_of_their_answers():
    from tests.annotation.test_formats_labelled import read

    record = {
        "id": "7", "status": "completed", "_server_id": "s", "instruction": "Q?",
        "response_1": "a", "response_2": "b", "topic": "t",
        "best.responses": ["response_2", "tie", "response_1"],
        "best.responses.users": ["u1", "u2", "u3"],
        "best.responses.status": ["submitted", "submitted", "draft"],
        "best.suggestion": "response_1", "best.suggestion.score": 0.7, "best.suggestion.agent": "x",
    }  # fmt: skip
    (item,) = read("argilla", record)
    assert item.kind == "pairwise"
    assert [(j.annotator, j.body["outcome"]) for j in item.judgments] == [
        ("u1", "preferred"), ("u2", "tie"),
    ]  # fmt: skip
    assert item.metadata["topic"] == "t"
    assert item.metadata["best.suggestion"] == "response_1"
    assert item.metadata["responses left out"] == 1
