"""Published human comparisons of two answers, read into the trainer's preference rows.

Each reader yields rows with the columns of the trainer's preference file: ``prompt`` (a chat as
JSON), ``chosen``, ``rejected``, ``soft_label`` (share of the judges that preferred ``chosen``),
``source``, ``group`` (what must not be divided between training and test: prompt or debate).
Ties and pairs of equal texts teach nothing about order and are left out; `read` says how many.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

Row = dict[str, object]

_TURN = re.compile(r"\n\n(Human|Assistant): ?")
_ROLE = {"Human": "user", "Assistant": "assistant"}
_HHH = re.compile(
    r"###The instruction to evaluate:\n(.*?)\n\n"
    r"###Response to evaluate:\n(.*?)\n\n###Score Rubrics:",
    re.S,
)
_RANKGEN = re.compile(r"\s*text\s*([12])\b", re.I)


def _lines(path: Path) -> Iterator[dict]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _row(
    prompt: str | list[dict], chosen: str, rejected: str, group: str, soft: float = 1.0
) -> Row:
    """One row; the sides are swapped where the soft label prefers `rejected`."""
    chat = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    if soft < 0.5:
        chosen, rejected, soft = rejected, chosen, 1.0 - soft
    return {
        "prompt": json.dumps(chat, ensure_ascii=False),
        "chosen": chosen,
        "rejected": rejected,
        "soft_label": soft,
        "source": "human",
        "group": " ".join(group.lower().split()),
    }


def dialogue(text: str) -> list[dict]:
    """The turns of a text in the form of HH-RLHF, as a chat."""
    parts = _TURN.split(text)
    return [
        {"role": _ROLE[role], "content": content.strip()}
        for role, content in zip(parts[1::2], parts[2::2], strict=True)
    ]


def hh_rlhf(path: Path) -> Iterator[Row]:
    """Anthropic's red-team dialogues; the two differ in the last answer."""
    for record in _lines(path):
        chosen, rejected = dialogue(record["chosen"]), dialogue(record["rejected"])
        if chosen[:-1] != rejected[:-1] or chosen[-1]["role"] != "assistant":
            continue
        first = chosen[0]["content"]
        yield _row(chosen[:-1], chosen[-1]["content"], rejected[-1]["content"], first)


def hhh_alignment(path: Path) -> Iterator[Row]:
    """BIG-bench HHH, wrapped in a judge's prompt."""
    for record in _lines(path):
        found = [_HHH.search(record[f"{side}_instruction"]) for side in ("chosen", "rejected")]
        if not all(found):
            continue
        chosen, rejected = found
        yield _row(chosen[1].strip(), chosen[2].strip(), rejected[2].strip(), chosen[1])


def llmbar(path: Path) -> Iterator[Row]:
    """LLMBar: expert-agreed gold on whether an answer follows the instruction."""
    for record in _lines(path):
        answers = [record["output_1"], record["output_2"]]
        better = int(record["label"]) - 1
        yield _row(record["input"], answers[better], answers[1 - better], record["input"])


def pandalm(path: Path) -> Iterator[Row]:
    """PandaLM's test set: three people on every pair, 0 for a tie."""
    for record in _lines(path):
        votes = Counter(int(record[f"annotator{i}"]) for i in (1, 2, 3))
        prompt = "\n\n".join(part for part in (record["instruction"], record["input"]) if part)
        soft = (votes[1] + 0.5 * votes[0]) / 3
        yield _row(prompt, record["response1"], record["response2"], record["instruction"], soft)


def tulu1(path: Path) -> Iterator[Row]:
    """Tulu 1's human evaluation: five levels, some pairs judged twice."""
    level = {"a-is-better": 1.0, "a-is-slightly-better": 1.0, "tie": 0.5}
    votes: dict[tuple, list[float]] = defaultdict(list)
    for record in _lines(path):
        names = ("prompt", "completion_a", "completion_b")
        key = tuple(record[name] for name in names)
        votes[key].append(level.get(record["preference"], 0.0))
    for (prompt, first, second), values in votes.items():
        yield _row(prompt, first, second, prompt, sum(values) / len(values))


def ukp_convarg(path: Path) -> Iterator[Row]:
    """Which of two arguments on one side of a debate convinces more; about five people a pair."""
    for record in _lines(path):
        value = {"a1": 1.0, "a2": 0.0, "equal": 0.5}
        votes = [value[v["value"]] for v in record["mTurkAssignments"] if v["value"] in value]
        title = record["debateMetaData"]["title"]
        prompt = f"{title} Argue for this side: {record['arg1']['stance']}"
        soft = sum(votes) / len(votes)
        yield _row(prompt, record["arg1"]["text"], record["arg2"]["text"], title, soft)


def copilot_arena(path: Path) -> Iterator[Row]:
    """Which of two code completions a programmer took."""
    for record in _lines(path):
        if record["acceptedIndex"] is None:
            continue
        answers = [record["completion_a"], record["completion_b"]]
        better = int(float(record["acceptedIndex"]))
        prompt = f"{record['prefix'][-1500:]}<FILL>{record['suffix'][:500]}"
        yield _row(prompt, answers[better], answers[1 - better], record["prefix"])


def rankgen(path: Path) -> Iterator[Row]:
    """Which of two continuations of a passage a professional writer prefers."""
    for record in _lines(path):
        found = _RANKGEN.match(record["Answer.utterance"])
        if found is None:
            continue
        soft = 1.0 if found[1] == "1" else 0.0
        prefix, first, second = (record[f"Input.{n}"] for n in ("Prefix", "First", "Second"))
        yield _row(f"Continue this passage:\n\n{prefix}", first, second, prefix, soft)


SETS: dict[str, tuple[str, Callable[[Path], Iterator[Row]]]] = {
    "hh_rlhf_harmless": ("hh_rlhf_harmless/harmless-base.test.jsonl.gz", hh_rlhf),
    "hhh_alignment": ("hhh_alignment/hhh_alignment_eval.jsonl.gz", hhh_alignment),
    "llmbar": ("llmbar/dataset.jsonl.gz", llmbar),
    "pandalm": ("pandalm_testset/testset-v1.jsonl.gz", pandalm),
    "tulu1_human_eval": ("tulu1_human_eval/eval_annotations_tulu_1.jsonl.gz", tulu1),
    "ukp_convarg": ("ukp_convarg_crowd/UKPConvArg1-full.jsonl.gz", ukp_convarg),
    "copilot_arena": ("copilot_arena/copilot_arena_examples_v1.jsonl.gz", copilot_arena),
    "rankgen": ("rankgen_mturk/human-eval-data.jsonl.gz", rankgen),
}
"""Name of a set: its file inside the data folder, and its reader."""


def read(name: str, folder: Path) -> tuple[list[Row], dict[str, int]]:
    """The usable rows of a set, and how many were left out and why."""
    file, reader = SETS[name]
    rows, left_out = [], Counter(ties=0, equal_texts=0, empty=0)
    for row in reader(folder / file):
        if row["soft_label"] == 0.5:
            left_out["ties"] += 1
        elif row["chosen"] == row["rejected"]:
            left_out["equal_texts"] += 1
        elif not (str(row["chosen"]).strip() or str(row["rejected"]).strip()):
            left_out["empty"] += 1
        else:
            rows.append(row)
    return rows, dict(left_out)
