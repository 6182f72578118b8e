"""Files of every shape: what is read, what is refused, and that nothing is half imported."""

import gzip
import io
import json
import tracemalloc

import pytest
from django.core.management import CommandError, call_command

from annotation.formats import lines as reading
from annotation.models import Candidate, Judgment, Project, PromptItem, Task
from annotation.selectors import preferences, prompts
from annotation.services import imports, projects
from config.errors import Invalid
from config.models import User

pytestmark = pytest.mark.django_db

TALK = "\n\nHuman: Is it late?\n\nAssistant: Yes.\n\nHuman: How late?\n\nAssistant: {}"


def bring(project, data: bytes | str, format: str = "preferendum", **options):
    raw = data.encode() if isinstance(data, str) else data
    return imports.import_stream(project=project, stream=io.BytesIO(raw), format=format, **options)


def jsonl(*records) -> str:
    return "\n".join(map(json.dumps, records)) + "\n"


def hh(good: str, bad: str) -> dict:
    return {"chosen": TALK.format(good), "rejected": TALK.format(bad)}


def first_reason(created) -> tuple[int, str]:
    return created.errors[0]


# HH-RLHF ------------------------------------------------------------------------------------


def test_a_transcript_becomes_a_shared_prompt_and_a_judged_pair(project):
    bring(project, jsonl(hh("Past ten.", "Very.")), "hh-rlhf")
    (record,) = preferences(project_ids=[project.pk])
    assert record.prompt == [
        {"role": "user", "content": "Is it late?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "How late?"},
    ]
    texts = {pk: text for pk, text, _ in record.candidates}
    assert texts[record.preferred] == "Past ten."
    assert sorted(texts.values()) == ["Past ten.", "Very."]
    assert record.outcome == "preferred"
    annotator = User.objects.get(pk=record.annotator_id)
    assert not annotator.is_active
    assert not annotator.has_usable_password()


def test_imported_pairs_are_done_and_nobody_is_given_them(alice, project, claim):
    bring(project, jsonl(hh("a", "b")), "hh-rlhf")
    assert Task.objects.get().state == Task.State.DONE
    assert claim(alice) is None


def test_neighbouring_turns_of_one_speaker_are_one(project):
    bring(project, jsonl(hh("Ten.\n\nAssistant: Or so.", "b")), "hh-rlhf")
    assert Candidate.objects.filter(content="Ten.\n\nOr so.").exists()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"chosen": TALK.format("a"), "rejected": "\n\nHuman: x\n\nAssistant: b"}, "differ before"),
        ({"chosen": "no markers", "rejected": "none"}, "does not begin"),
        ({"chosen": "\n\nHuman: x", "rejected": "\n\nHuman: y"}, "end with an answer"),
        ({"chosen": 3, "rejected": ""}, "chosen must be text"),
        ({"rejected": ""}, "chosen is missing"),
    ],
)
def test_a_transcript_without_a_shared_prompt_is_reported(project, record, reason):
    created = bring(project, jsonl(hh("a", "b"), record), "hh-rlhf")
    assert first_reason(created)[0] == 2
    assert reason in first_reason(created)[1]
    assert not Task.objects.exists()


# TRL and prompts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Hi", "chosen": "good", "rejected": "bad"},
        {
            "prompt": [{"role": "user", "content": "Hi"}],
            "chosen": [{"role": "assistant", "content": "good"}],
            "rejected": [{"role": "assistant", "content": "bad"}],
        },
        {
            "chosen": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "good"},
            ],
            "rejected": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "bad"},
            ],
        },
        {
            "chosen": "\n\nHuman: Hi\n\nAssistant: good",
            "rejected": "\n\nHuman: Hi\n\nAssistant: bad",
        },
    ],
)
def test_every_spelling_of_a_trl_preference_gives_the_same_pair(project, record):
    bring(project, jsonl(record), "trl")
    (record,) = preferences(project_ids=[project.pk])
    assert record.prompt == [{"role": "user", "content": "Hi"}]
    assert [text for _, text, _ in record.candidates] == ["good", "bad"]


def test_prompts_are_kept_once_and_make_no_tasks(project):
    chat = {"prompt": [{"role": "user", "content": "Hi"}], "group": "greeting", "split": "test"}
    created = bring(project, jsonl({"prompt": "Hi"}, chat, {"prompt": "Bye"}), "prompts")
    assert (created.prompts, created.skipped) == (2, 1)
    assert not Task.objects.exists()
    bring(project, jsonl({"prompt": "Bye"}, {"prompt": "New"}), "prompts")
    assert PromptItem.objects.count() == 3
    assert [p.prompt[0]["content"] for p in prompts(project_ids=[project.pk])] == [
        "Hi",
        "Bye",
        "New",
    ]


# The file as such ---------------------------------------------------------------------------


def a_task(**more) -> dict:
    return {"prompt": "Q", "candidates": [{"content": "a"}, {"content": "b"}], **more}


def test_gzip_is_known_by_its_bytes(project):
    assert bring(project, gzip.compress(jsonl(a_task()).encode())).tasks == 1


def test_two_gzip_members_are_one_file(project):
    one = gzip.compress(jsonl(a_task()).encode())
    assert bring(project, one + one).tasks == 2


def test_a_truncated_gzip_imports_nothing(project):
    packed = gzip.compress(jsonl(*[a_task(external_id=str(n)) for n in range(5000)]).encode())
    created = bring(project, packed[: len(packed) // 2])
    assert "ends in the middle" in created.errors[-1][1]
    assert not Task.objects.exists()


def test_a_gzip_bomb_is_refused(project, monkeypatch):
    monkeypatch.setattr(reading, "BOMB_FLOOR", 8 * 2**20)
    bomb = gzip.compress(b"\n" * 2**26)
    assert "bomb" in first_reason(bring(project, bomb))[1]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (jsonl(a_task()).encode("utf-16"), "UTF-16"),
        (b'{"prompt": "caf\xe9"}', "not UTF-8"),
        (b'{"prompt": "a\\u0000b", "candidates": ["x", "y"]}', "NUL"),
        (b'{"prompt": "a\x00b", "candidates": ["x", "y"]}', "not JSON"),
        (b'{"prompt": "\\ud800", "candidates": ["x", "y"]}', "surrogate"),
        (b'{"prompt": "Q", "candidates": ["x", "y"], "priority": NaN}', "NaN"),
        (b"[" * 100_000, "ends in the middle"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'[{"prompt": "Q"', "ends in the middle"),
        (b"\x1f\x8b\x08\x00nonsense, and more of it", "damaged"),
        (b"[1", "ends in the middle"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(project, data, reason):
    created = bring(project, data)
    assert reason in first_reason(created)[1]
    assert not Task.objects.exists()


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(project):
    data = "\ufeff" + jsonl(a_task(), a_task()).replace("\n", "\r\n")
    assert bring(project, data).tasks == 2


def test_a_line_of_a_hundred_megabytes_is_refused_in_little_memory(project):
    class Endless(io.RawIOBase):
        left = 100

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            return b"x" * 2**20 if self.left >= 0 else b""

    tracemalloc.start()
    created = imports.import_stream(project=project, stream=Endless(), format="preferendum")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "longer than 16 MiB" in first_reason(created)[1]
    assert peak < 60 * 2**20


def test_line_numbers_count_empty_lines(project):
    created = bring(project, "\n\n" + jsonl(a_task()) + "\noops\n")
    assert first_reason(created)[0] == 5


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (a_task(candidates=[{"content": "a"}]), "has 2 candidates"),
        (a_task(candidates="ab"), "candidates must be a list"),
        (a_task(candidates=[{"content": None}, {"content": "b"}]), "content must be text"),
        (a_task(prompt=None), "prompt must be text or a list"),
        (a_task(prompt=[]), "no messages"),
        (a_task(prompt=[{"role": "robot", "content": "x"}]), "role must be one of"),
        (a_task(kind="listwise"), "not asked in this project"),
        (a_task(kind="nonsense"), "kind must be one of"),
        (a_task(kind=["pairwise"]), "kind must be one of"),
        (a_task(overlap=0), "overlap"),
        (a_task(overlap="two"), "overlap"),
        (a_task(priority="high"), "priority"),
        (a_task(external_id=["x"]), "external_id must be text"),
        (a_task(external_id="x" * 201), "external_id"),
        (a_task(gold={"outcome": "preferred", "preferred": 5}), "preferred"),
        (a_task(metadata=[]), "metadata must be an object"),
        (a_task(judgments=[{"outcome": "best"}]), "judgments[0].outcome"),
        (a_task(judgments=[{"outcome": "tie", "created_at": "soon"}]), "ISO 8601"),
        (a_task(judgments=[{"outcome": "tie"}, {"outcome": "tie"}]), "the same annotator"),
        (a_task(state="lost"), "state must be one of"),
        ([a_task()], "not a JSON object"),
    ],
)
def test_a_bad_record_is_refused_with_the_reason(project, record, reason):
    created = bring(project, json.dumps(record) if isinstance(record, dict) else "1\n")
    assert reason in first_reason(created)[1]
    assert not Task.objects.exists()


def test_external_ids_are_unique_in_the_file_and_in_the_project(project):
    doubled = jsonl(a_task(external_id="a"), a_task(external_id="b"), a_task(external_id="a"))
    assert first_reason(bring(project, doubled))[0] == 3
    bring(project, jsonl(a_task(external_id="a")))
    assert "already in the project" in first_reason(bring(project, doubled))[1]
    assert bring(project, doubled, partial=True).tasks == 1


def test_empty_and_huge_and_hostile_texts_are_kept_as_they_are(project):
    texts = [
        "",
        "x" * 2**20,
        "<script>alert(1)</script>",
        "e" + "\u0301" * 10_000,
        "مرحبا \u202e 👩‍👩‍👧‍👦",
    ]
    bring(project, jsonl(*[a_task(candidates=[{"content": t}, {"content": ""}]) for t in texts]))
    stored = Candidate.objects.filter(position=0).order_by("task").values_list("content", flat=True)
    assert list(stored) == texts


def test_unknown_fields_are_kept_as_metadata(project):
    bring(project, jsonl(a_task(colour="red", metadata={"a": 1})))
    assert Task.objects.get().metadata == {"a": 1, "colour": "red"}


def test_a_dry_run_counts_and_keeps_nothing(project):
    created = bring(project, jsonl(a_task(), a_task()), dry_run=True)
    assert created.tasks == 2
    assert not Task.objects.exists()


def test_an_unknown_format_is_refused(project):
    with pytest.raises(Invalid, match="there are preferendum"):
        bring(project, "{}", "nonsense")


# Published sets -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "record", "expected"),
    [
        ("llmbar", {"input": "Q", "output_1": "a", "output_2": "b", "label": 2}, ["b"]),
        (
            "pandalm",
            {"instruction": "Q", "input": "", "response1": "a", "response2": 7}
            | {"annotator1": 1, "annotator2": 2, "annotator3": 0},
            ["a", "7", None],
        ),
        (
            "pandalm",
            {"instruction": "Q", "input": None, "response1": None, "response2": True}
            | {"annotator1": 2, "annotator2": 2, "annotator3": 1},
            ["True", "True", ""],
        ),
        (
            "tulu-eval",
            {"prompt": "Q", "completion_a": "a", "completion_b": "b", "evaluator": "yo"}
            | {"preference": "b-is-slightly-better", "timestamp": 45065.5},
            ["b"],
        ),
        (
            "ukp-convarg",
            {"arg1": {"text": "a"}, "arg2": {"text": "b"}, "debateMetaData": {"title": "T"}}
            | {
                "mTurkAssignments": [
                    {"turkID": "w1", "value": "a1"},
                    {"turkID": "w2", "value": "equal"},
                ]
            },
            ["a", None],
        ),
        (
            "fastchat-votes",
            {"model_a": "x", "model_b": "y", "winner": "model_b", "judge": "j", "tstamp": 1.7e9}
            | {
                f"conversation_{side}": [
                    {"role": "user", "content": "Q"},
                    {"role": "assistant", "content": side},
                ]
                for side in "ab"
            },
            ["b"],
        ),
        (
            "fastchat-votes",
            {"type": "leftvote", "models": ["x", "y"], "tstamp": 1.7e9, "ip": "1.2.3.4"}
            | {
                "states": [
                    {"roles": ["U", "A"], "messages": [["U", "Q"], ["A", side]], "conv_id": side}
                    for side in "ab"
                ]
            },
            ["a"],
        ),
        ("rewardbench2", {"id": 1, "prompt": "Q", "chosen": ["a"], "rejected": ["b"]}, ["a"]),
        (
            "helpsteer",
            {"prompt": "Q", "response_1": "a", "response_2": "b", "preference_strength": -2},
            ["a"],
        ),
        (
            "ultrafeedback",
            {"instruction": "Q", "completions": [
                {"response": "a", "overall_score": 3}, {"response": "b", "overall_score": 8.5},
            ]},
            ["b"],
        ),
    ],
)  # fmt: skip
def test_a_published_record_keeps_who_preferred_what(project, format, record, expected):
    bring(project, jsonl(record), format)
    found = []
    for row in preferences(project_ids=[project.pk]):
        texts = {pk: text for pk, text, _ in row.candidates}
        found.append(texts.get(row.preferred))
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert "1.2.3.4" not in json.dumps(list(Task.objects.values_list("metadata", flat=True)))


def test_annotators_are_told_apart_without_keeping_their_names(project):
    said = {"prompt": "Q", "completion_a": "a", "completion_b": "b", "preference": "tie"}
    bring(project, jsonl(*[said | {"evaluator": e} for e in ("yo", "yo", "yu")]), "tulu-eval")
    people = User.objects.filter(judgments__isnull=False).distinct()
    assert people.count() == 2
    assert not any("yo" in p.username for p in people)


def test_ratings_come_from_helpsteer(remy):
    project = projects.create_project(slug="rated", kinds=["rating"])
    scores = dict.fromkeys(("helpfulness", "correctness", "coherence"), 3)
    record = {"prompt": "Q", "response": "a", "complexity": 1, "verbosity": 0, **scores}
    bring(project, jsonl(record), "helpsteer")
    assert Judgment.objects.get().ratings.count() == 5
    created = bring(project, jsonl(record | {"verbosity": 5}), "helpsteer")
    assert "must be from 0 to 4" in first_reason(created)[1]


# The command --------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    def put(name: str, text: str):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return put


def test_the_command_makes_a_project_named_after_the_file(db, write, capsys):
    path = write("harmless-base.test.jsonl.gz", jsonl(hh("a", "b")))
    call_command("import_tasks", str(path), "--format", "hh-rlhf")
    assert Project.objects.get(slug="harmless-base").kinds == ["pairwise"]
    out = capsys.readouterr().out
    assert "Created the project 'harmless-base'" in out
    assert "Imported 1 tasks" in out


def test_the_command_leaves_no_project_behind_when_it_fails(db, write, capsys):
    path = write("bad.jsonl", "oops\n")
    with pytest.raises(CommandError, match="Line 1: not JSON"):
        call_command("import_tasks", str(path), "--format", "hh-rlhf")
    assert not Project.objects.filter(slug="bad").exists()


def test_the_command_refuses_an_unknown_project_and_a_missing_file(db, write):
    path = write("a.jsonl", jsonl(hh("a", "b")))
    with pytest.raises(CommandError, match="create_project --slug none"):
        call_command("import_tasks", str(path), "--format", "hh-rlhf", "--project", "none")
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_tasks", str(path) + "x", "--format", "hh-rlhf")


def test_create_project_lets_members_in(alice, capsys):
    call_command("create_project", "--slug", "s", "--kinds", "pairwise,span", "--members", "alice")
    made = Project.objects.get(slug="s")
    assert made.memberships.get().user == alice
    assert made.categories
    with pytest.raises(CommandError, match="exists already"):
        call_command("create_project", "--slug", "s", "--kinds", "pairwise")
    with pytest.raises(CommandError, match="no one called"):
        call_command("create_project", "--slug", "t", "--kinds", "pairwise", "--members", "zoe")
