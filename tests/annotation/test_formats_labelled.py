"""Formats with several people, spans, steps and trees, from records and from published files."""

import gzip
import io
import json

import pytest

from annotation import formats
from annotation.formats import lines, sides
from annotation.formats.items import PromptIn, Refused
from tests.published import DATA


def read(format: str, record: dict, kind: str = "") -> list:
    found = list(formats.find(format).read(lines.of_bytes(json.dumps(record).encode()), kind))
    errors = [r.error for r in found if r.error]
    if errors:
        raise Refused(errors[0])
    return [r.item for r in found]


def published(path: str, format: str, kind: str = "") -> list:
    with gzip.open(DATA / path) as stream:
        return list(formats.find(format).read(lines.read(io.BytesIO(stream.read())), kind))


def message(key: str, role: str, text: str, **more) -> dict:
    return {"message_id": key, "role": role, "text": text, "replies": [], **more}


# OpenAssistant ------------------------------------------------------------------------------


def a_tree(**more) -> dict:
    replies = [
        message("a", "assistant", "good", rank=0, model_name="m1", lang="en"),
        message("b", "assistant", "poor", rank=1),
        message("c", "assistant", "gone", rank=2, deleted=True),
    ]
    root = message("q", "prompter", "Why?", replies=replies, lang="en", **more)
    return {"message_tree_id": "q", "tree_state": "ready_for_export", "prompt": root}


def test_the_consensus_of_a_tree_becomes_a_ranking_without_deleted_messages():
    (task,) = read("openassistant", a_tree())
    assert task.kind == "listwise"
    assert task.prompt == [{"role": "user", "content": "Why?"}]
    assert [(c.content, c.model) for c in task.candidates] == [("good", "m1"), ("poor", "")]
    assert task.judgments[0].body == {"ranking": [[0], [1]], "unusable": []}
    assert task.metadata["messages"][0] == {"lang": "en"}


def test_rankings_of_single_people_come_before_the_consensus():
    said = [
        {"user_id": "u1", "ranked_message_ids": ["b", "a"], "ranking_parent_id": "q"},
        {"user_id": "u2", "ranked_message_ids": ["a", "b"], "ranking_parent_id": "q"},
        {"user_id": "u3", "ranked_message_ids": ["a", "b"], "ranking_parent_id": "q",
         "not_rankable": True},
    ]  # fmt: skip
    tree = a_tree(events={"ranking": said})
    (task,) = read("openassistant", tree)
    assert [(j.annotator, j.body) for j in task.judgments] == [
        ("u1", {"ranking": [[1], [0]], "unusable": []}),
        ("u2", {"ranking": [[0], [1]], "unusable": []}),
        ("u3", {"ranking": [], "unusable": [0, 1]}),
    ]
    (pair,) = read("openassistant", tree, "pairwise")
    assert [j.body for j in pair.judgments] == [
        {"outcome": "preferred", "preferred": 1},
        {"outcome": "preferred", "preferred": 0},
        {"outcome": "both_bad"},
    ]


def test_a_fork_deep_in_a_tree_carries_the_whole_conversation():
    tree = a_tree()
    asked = message("q2", "prompter", "And then?")
    asked["replies"] = [message("x", "assistant", "1"), message("y", "assistant", "2")]
    tree["prompt"]["replies"][0]["replies"] = [asked]
    first, second = read("openassistant", tree)
    assert [m["content"] for m in second.prompt] == ["Why?", "good", "And then?"]
    assert second.judgments == []
    assert first.external_id != second.external_id


def test_a_tree_with_nothing_to_compare_gives_its_prompt_and_odd_lines_are_refused():
    (prompt,) = read("openassistant", {"prompt": message("q", "prompter", "Why?")})
    assert isinstance(prompt, PromptIn)
    for record, reason in (
        ({"ranked_message_ids": ["a"]}, "without its messages"),
        ({"message_id": "a", "text": "x"}, "single message"),
        ({"prompt": {"text": "x"}}, "role of prompter"),
        ({"prompt": "x"}, "first message"),
    ):
        with pytest.raises(Refused, match=reason):
            read("openassistant", record)


# Steps --------------------------------------------------------------------------------------


def a_solution() -> dict:
    return {
        "labeler": "l1", "timestamp": "2022-07-17T16:56:51", "generation": 3,
        "is_quality_control_question": False,
        "question": {"problem": "1 + 1?", "ground_truth_answer": "2"},
        "label": {
            "total_time": 5000, "finish_reason": "found_error",
            "steps": [
                {"completions": [{"text": "Add.", "rating": 1, "flagged": None},
                                 {"text": "Guess.", "rating": 0, "flagged": None}],
                 "human_completion": None, "chosen_completion": 0},
                {"completions": [{"text": "It is 3.", "rating": -1, "flagged": None},
                                 {"text": "It is 4.", "rating": -1, "flagged": None}],
                 "human_completion": None, "chosen_completion": None},
            ],
        },
    }  # fmt: skip


def test_prm800k_gives_the_chosen_trace_and_a_task_for_each_step_passed_over():
    tasks = read("prm800k", a_solution())
    assert [t.candidates[0].content for t in tasks] == [
        "Add.", "Guess.", "Add.\nIt is 3.", "Add.\nIt is 4.",
    ]  # fmt: skip
    assert [t.judgments[0].body["steps"] for t in tasks] == [
        [{"candidate": 0, "step": 0, "value": 1}],
        [{"candidate": 0, "step": 0, "value": 0}],
        [{"candidate": 0, "step": 1, "value": -1}],
        [{"candidate": 0, "step": 1, "value": -1}],
    ]
    assert tasks[2].metadata["steps"] == [[[0, 4], [5, 13]]]
    assert tasks[0].judgments[0].annotator == "l1"
    assert tasks[0].judgments[0].body["seconds"] == 5.0
    assert tasks[0].metadata["finish_reason"] == "found_error"


def test_a_rating_that_prm800k_does_not_have_is_refused():
    record = a_solution()
    record["label"]["steps"][0]["completions"][1]["rating"] = 5
    with pytest.raises(Refused, match=r"steps\[0\].completions\[1\].rating"):
        read("prm800k", record)


@pytest.mark.published
def test_every_chain_of_bigbench_mistake_has_its_first_wrong_step_marked():
    reads = published("bigbench_mistake_steps/all_tasks.jsonl.gz", "bigbench-mistake")
    assert len(reads) == 1390
    assert not [r.error for r in reads if r.error]
    for read_ in reads:
        steps = read_.item.judgments[0].body["steps"]
        wrong = [s["step"] for s in steps if s["value"] == -1]
        stated = read_.item.metadata.get("mistake_index")
        assert wrong == ([] if stated is None else [stated])


# Fine-grained feedback ----------------------------------------------------------------------


@pytest.mark.published
def test_every_record_of_fine_grained_rlhf_gives_its_spans_and_six_pairs():
    reads = published("finegrained_rlhf_qa/dev_feedback.jsonl.gz", "fine-grained-rlhf")
    assert not [r.error for r in reads if r.error]
    spans = [r.item for r in reads if r.item.kind == "span"]
    pairs = [r.item for r in reads if r.item.kind == "pairwise"]
    assert (len(spans), len(pairs)) == (327, 327 * 6)
    marks = [s for t in spans for s in t.judgments[0].body["spans"]]
    assert len(marks) == 907
    assert sum(len(t.judgments[0].body["missing"]) for t in spans) == 537
    path = "finegrained_rlhf_qa/dev_feedback.jsonl.gz"
    corrected = published(path, "fine-grained-rlhf", "critique")
    assert len([r for r in corrected if r.item]) == 316  # the others leave the text empty


def test_a_fine_grained_span_outside_of_its_prediction_is_refused():
    record = {
        "question": "Q?", "passages": [], "prediction 1": "short",
        "feedback": {"errors": [{"error type": "Redundant", "start": 2, "end": 9}]},
    }  # fmt: skip
    with pytest.raises(Refused, match=r"errors\[0\] lies outside"):
        read("fine-grained-rlhf", record, "span")


def test_the_preference_numbers_name_the_prediction_that_won():
    record = {
        "question": "Q?", "feedback": {"errors": []}, "preference": [0, 1, 2, 1, 1, 2],
        **{f"prediction {n}": f"p{n}" for n in range(1, 5)},
    }  # fmt: skip
    won = []
    for task in read("fine-grained-rlhf", record, "pairwise"):
        place = task.judgments[0].body.get("preferred")
        won.append(None if place is None else task.candidates[place].content)
    assert won == [None, "p1", "p4", "p2", "p2", "p4"]


# White space --------------------------------------------------------------------------------


def test_empty_lines_are_counted_and_cost_next_to_nothing():
    data = b"\n \n" + b'{"a": 1}\n' + b"\n" * 2_000_000 + b'{"b": 2}\n'
    found = [(line.number, line.value) for line in lines.of_bytes(data)]
    assert found == [(3, {"a": 1}), (2_000_004, {"b": 2})]


def test_a_file_of_nothing_but_white_space_is_refused_before_it_fills_the_memory():
    (line,) = lines.of_bytes(gzip.compress(b"\n" * (lines.LONGEST_LINE + 2 * lines.CHUNK)))
    assert "white space without end" in line.error


# Offsets and names --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "start", "end", "quote", "found"),
    [
        ("plain text", 0, 5, "plain", (0, 5)),
        ("👩‍👩‍👧 and text", 0, 3, None, (0, 3)),
        ("👩 then text", 8, 12, "text", (7, 11)),  # UTF-16 units, as browsers count
        ("slipped just a bit", 9, 13, "just", (8, 12)),
        ("عربي نص", 5, 7, "نص", (5, 7)),
    ],
)
def test_offsets_are_code_points_and_are_repaired_from_the_quote(text, start, end, quote, found):
    assert sides.offsets(text, start, end, quote, "span") == found


@pytest.mark.parametrize(
    ("start", "end", "quote"),
    [(0, 99, None), (5, 2, None), (0, 2, "zz"), (True, 3, None), ("0", 3, None), (9, 10, "a")],
)
def test_offsets_that_cannot_be_told_are_refused(start, end, quote):
    with pytest.raises(Refused):
        sides.offsets("a b a b", start, end, quote, "span")


def test_units_of_a_browser_and_code_points_meet():
    text = "a👩b"
    assert [sides.in_units(text, at) for at in range(4)] == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["prompt", "answer_2", "answer_1"], ["answer_1", "answer_2"]),
        (["q", "response_a", "response_b", "text"], ["response_a", "response_b"]),
        (["left", "right", "prompt"], ["left", "right"]),
        (["question", "Output"], ["Output"]),
        (["x", "y"], []),
    ],
)
def test_fields_that_hold_answers_are_told_by_their_names(names, found):
    assert sides.answer_fields(names) == found
