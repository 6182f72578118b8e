"""Bringing a file in from the browser: what is told of it first, and how it is taken."""

import gzip
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from annotation.formats import guessing, lines
from annotation.models import PromptItem, Task
from annotation.services import previews, projects
from tests.published import DATA

pytestmark = pytest.mark.django_db


@pytest.fixture
def room():
    kinds = ["pairwise", "listwise", "span", "principle", "rating", "critique", "step"]
    return projects.create_project(slug="room", kinds=kinds, categories=[], missing_categories=[],
                                   attributes=[])  # fmt: skip


def pair(n: int, **more) -> dict:
    return {"external_id": f"x{n}", "prompt": f"Q{n} **bold**", "candidates":
            [{"content": "one <script>x</script>", "model": "m"}, {"content": "two"}],
            **more}  # fmt: skip


def jsonl(*records) -> bytes:
    return b"".join(json.dumps(r).encode() + b"\n" for r in records)


@pytest.fixture
def send(room, remy, api):
    client = api(remy, "research")

    def post(path: str, data: bytes, **query):
        asked = "&".join(f"{k}={v}" for k, v in query.items())
        return client.generic(
            "POST", f"/api/projects/room/import/{path}?{asked}", data, "application/octet-stream"
        )

    return post


def test_a_look_tells_the_format_the_fields_and_the_first_tasks_and_stores_nothing(send):
    answer = send("preview/", jsonl(*(pair(n) for n in range(9))))
    assert answer.status_code == 200
    said = answer.json()
    assert (said["format"], said["guessed"], said["complete"]) == ("preferendum", True, True)
    assert (said["records"], said["good"], said["refused"], said["errors"]) == (9, 9, 0, [])
    assert [t["external_id"] for t in said["tasks"]] == ["x0", "x1", "x2", "x3", "x4"]
    first = said["tasks"][0]
    assert "<strong>bold</strong>" in first["prompt"][0]["html"]
    assert "<script" not in first["candidates"][0]["html"]
    assert first["candidates"][0]["text"] == "one <script>x</script>"
    assert {"preferendum", "label-studio"} <= {f["name"] for f in said["formats"]}
    assert Task.objects.count() == 0


def test_a_look_says_which_lines_would_be_refused_and_why(send):
    bad = pair(3) | {"candidates": [{"content": "alone"}]}
    said = send("preview/", jsonl(pair(1), bad, pair(1)) + b"{no json\n").json()
    assert [(e["line"], e["reason"][:30]) for e in said["errors"]] == [
        (2, "a pairwise task has 2 candidat"),
        (3, "external_id 'x1' is there twic"),
        (4, "not JSON: Expecting property n"),
    ]
    assert said["good"] == 1


def test_fields_of_no_known_format_are_mapped_by_name_or_as_asked(send):
    rows = jsonl({"ask": "Q?", "left": "a", "right": "b", "who": {"name": "n"}})
    said = send("preview/", rows).json()
    assert said["format"] == "records"
    assert said["suggested"] == {"prompt": "ask", "answer_1": "left", "answer_2": "right"}
    assert {f["name"]: f["type"] for f in said["fields"]}["who"] == "list or object"
    assert said["refused"] == 1
    mapped = "prompt:ask,answer_1:right,answer_2:who.name"
    said = send("preview/", rows, map=mapped).json()
    assert [c["text"] for c in said["tasks"][0]["candidates"]] == ["b", "n"]
    answer = send("", rows, format="records", map=mapped)
    assert answer.status_code == 201
    task = Task.objects.get()
    assert [c.content for c in task.candidates.all()] == ["b", "n"]
    assert send("preview/", rows, map="nonsense").status_code == 400


def test_a_record_cut_in_two_by_the_sample_is_no_error(send):
    whole = jsonl(*(pair(n) for n in range(5)))
    cut = whole[:-40]
    assert send("preview/", cut, size=len(whole)).json()["errors"] == []
    assert send("preview/", cut, size=len(whole)).json()["complete"] is False
    assert len(send("preview/", cut).json()["errors"]) == 1
    packed = gzip.compress(whole)
    said = send("preview/", packed[:-12], size=len(packed)).json()
    assert said["errors"] == []


def test_a_big_file_is_looked_at_no_further_than_the_sample(send, monkeypatch):
    monkeypatch.setattr(previews, "SAMPLE", 3000)
    said = send("preview/", jsonl(*(pair(n) for n in range(500)))).json()
    assert said["complete"] is False
    assert 5 < said["records"] < 40
    assert said["errors"] == []


def test_the_whole_file_is_taken_as_the_body_or_as_a_form(send, remy, api):
    answer = send("", jsonl(pair(1), pair(2)))
    assert answer.status_code == 201
    assert (answer.json()["format"], answer.json()["created"]) == ("preferendum", 2)
    upload = SimpleUploadedFile("more.jsonl.gz", gzip.compress(jsonl(pair(3))))
    client = api(remy, "research")
    path = "/api/projects/room/import/"
    assert client.post(f"{path}preview/", {"file": upload}, format="multipart").json()["good"] == 1
    upload.seek(0)
    answer = client.post(path, {"file": upload}, format="multipart")
    assert answer.status_code == 201
    assert Task.objects.count() == 3
    assert client.post(path, {"other": "x"}, format="multipart").status_code == 400


def test_one_bad_line_keeps_everything_out_unless_the_good_ones_are_asked_for(send):
    data = jsonl(pair(1)) + b"\xff\xfe\n" + jsonl(pair(2))
    answer = send("", data, format="preferendum")
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"line": 2, "reason": "byte 1 is not UTF-8"}]
    assert Task.objects.count() == 0
    answer = send("", data, format="preferendum", partial="1")
    assert answer.status_code == 201
    assert Task.objects.count() == 2


def test_prompts_are_shown_and_taken_too(send):
    rows = jsonl({"prompt": "One?"}, {"prompt": "Two?"})
    said = send("preview/", rows).json()
    assert said["format"] == "prompts"
    assert [p[0]["text"] for p in said["prompts"]] == ["One?", "Two?"]
    assert send("", rows).status_code == 201
    assert PromptItem.objects.count() == 2


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n\n", b"\x00" * 4000, b"PK\x03\x04 a zip", b"%PDF-1.7", b"\xff\xfea\x00", b"[",
        b"[]", b"[1, 2", b'"text"', b"null", b"\x1f\x8b\x08\x00broken", b"{" * 3000, b"[" * 3000,
        b'{"prompt": 1, "candidates": [[]]}', b'{"data": {"answer_1": 3}, "annotations": 7}',
        b'{"a.responses": 3, "answer_1": "x", "prompt": "y"}',
        b'{"prompt": {"message_id": "a", "text": "t", "role": "prompter", "replies": 4}}',
        b'{"question": {}, "label": {"steps": [3]}}', b'{"prediction 1": "x", "feedback": []}',
        b'{"x": 1e999}', b'{"winner": [], "states": 3}', b'{"candidates": [], "prompt": []}',
        b'{"id": 99999999999999999999999, "prompt": "x", "candidates": ["a", "b"]}',
        b'{"prompt": "x", "candidates": ["a", "b"], "priority": 1e99, "overlap": 1e99}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["preview/", ""])
def test_whatever_is_sent_is_answered_and_never_fails(send, data, path):
    answer = send(path, data)
    assert answer.status_code in (200, 201, 400)
    if answer.status_code == 400:
        assert answer.json()["detail"]


def test_strangers_and_annotators_do_not_get_in(room, alice, mallory, api):
    for client in (api(), api(alice), api(mallory)):
        for path in ("", "preview/"):
            answer = client.generic("POST", f"/api/projects/room/import/{path}", b"{}")
            assert answer.status_code in (401, 403, 404)


@pytest.mark.published
@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("hh_rlhf_harmless/harmless-base.test.jsonl.gz", "hh-rlhf"),
        ("finegrained_rlhf_qa/dev_feedback.jsonl.gz", "fine-grained-rlhf"),
        ("bigbench_mistake_steps/all_tasks.jsonl.gz", "bigbench-mistake"),
        ("llmbar/dataset.jsonl.gz", "llmbar"),
        ("pandalm_testset/testset-v1.jsonl.gz", "pandalm"),
        ("tulu1_human_eval/eval_annotations_tulu_1.jsonl.gz", "tulu-eval"),
        ("copilot_arena/copilot_arena_examples_v1.jsonl.gz", "copilot-arena"),
        ("hhh_alignment/hhh_alignment_eval.jsonl.gz", "hhh"),
        ("ukp_convarg_crowd/UKPConvArg1-full.jsonl.gz", "ukp-convarg"),
    ],
)
def test_published_files_are_told_by_their_fields(path, format):
    with gzip.open(DATA / path) as stream:
        head = stream.read(300_000)
    records = [line.value for line in lines.of_bytes(head) if line.error is None]
    assert guessing.guess(records[:50]) == format
