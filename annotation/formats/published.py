"""Pairwise sets as their authors published them."""

import re
from datetime import UTC, datetime, timedelta

from annotation.formats.items import CandidateIn, JudgmentIn, Refused, TaskIn, rest, text
from annotation.formats.pairs import first_wins, judged_pair, named, named_id


def choice(place: int | None, strength: int | None = None, **more) -> JudgmentIn:
    """A judgment for place 0 or 1, or a tie for None."""
    body: dict = {"outcome": "tie"}
    if place is not None:
        body = {"outcome": "preferred", "preferred": place}
        if strength is not None:
            body["strength"] = strength
    comment = more.pop("rationale", None)
    if comment:
        body["rationale"] = comment
    return JudgmentIn(body=body, **more)


def _asked(instruction: str, extra: str) -> str:
    return f"{instruction}\n\n{extra}" if extra.strip() else instruction


def llmbar(record: dict, kind: str = "") -> TaskIn:
    """LLMBar: `input, output_1, output_2, label` (1 or 2)."""
    label = record.get("label")
    if label not in (1, 2):
        raise Refused("label must be 1 or 2")
    return judged_pair(
        text(record, "input"),
        CandidateIn(text(record, "output_1")),
        CandidateIn(text(record, "output_2")),
        [choice(label - 1)],
        metadata=rest(record, "input", "output_1", "output_2", "label"),
    )


def _said(record: dict, name: str) -> str:
    """An answer as a table's reader left it: `True` and bare numbers were words to begin with."""
    value = record.get(name)
    if value is None and name in record:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    return text(record, name)


def pandalm(record: dict, kind: str = "") -> TaskIn:
    """PandaLM test set: three annotators say 0 (tie), 1 or 2."""
    places = {0: None, 1: 0, 2: 1}
    judgments = []
    for name in ("annotator1", "annotator2", "annotator3"):
        if record.get(name) not in places:
            raise Refused(f"{name} must be 0, 1 or 2")
        judgments.append(choice(places[record[name]], annotator=name))
    models = named(record, "cmp_key").split("_")
    models = models if len(models) == 2 else ["", ""]
    used = ("instruction", "input", "response1", "response2", "annotator1", "annotator2")
    return judged_pair(
        _asked(text(record, "instruction"), text(record, "input", default="")),
        CandidateIn(_said(record, "response1"), model=models[0]),
        CandidateIn(_said(record, "response2"), model=models[1]),
        judgments,
        metadata=rest(record, *used, "annotator3"),
    )


def tulu_eval(record: dict, kind: str = "") -> TaskIn:
    """Tulu human evaluation: five steps from `a-is-better` to `b-is-better`, by an evaluator."""
    steps = {
        "a-is-better": (0, 3),
        "a-is-slightly-better": (0, 1),
        "tie": (None, None),
        "b-is-slightly-better": (1, 1),
        "b-is-better": (1, 3),
    }
    said = record.get("preference")
    if said not in steps:
        raise Refused(f"preference must be one of {', '.join(steps)}")
    stamp = record.get("timestamp")
    when = None
    if isinstance(stamp, int | float) and 0 < stamp < 100_000:
        when = datetime(1899, 12, 30, tzinfo=UTC) + timedelta(days=stamp)  # Excel's day serial
    used = ("prompt", "model_a", "model_b", "completion_a", "completion_b", "preference", "comment")
    return judged_pair(
        text(record, "prompt"),
        CandidateIn(text(record, "completion_a"), model=named(record, "model_a")),
        CandidateIn(text(record, "completion_b"), model=named(record, "model_b")),
        [
            choice(
                *steps[said],
                annotator=named(record, "evaluator"),
                created_at=when,
                rationale=named(record, "comment"),
            )
        ],
        external_id=named_id(record),
        metadata=rest(record, *used, "evaluator", "id", "timestamp"),
    )


def copilot_arena(record: dict, kind: str = "") -> TaskIn:
    """Copilot Arena: code before and after the cursor, two completions, the accepted one."""
    accepted = record.get("acceptedIndex")
    places = {"0.0": 0, "1.0": 1, "0": 0, "1": 1, 0: 0, 1: 1}
    prompt = text(record, "prefix", default="")
    suffix = text(record, "suffix", default="")
    asked = f"Complete the code at the cursor.\n\n{prompt}⟨cursor⟩{suffix}"
    return judged_pair(
        asked,
        CandidateIn(text(record, "completion_a"), model=named(record, "model_a")),
        CandidateIn(text(record, "completion_b"), model=named(record, "model_b")),
        [choice(places[accepted])] if accepted in places else [],
        metadata=rest(
            record, "prefix", "suffix", "completion_a", "completion_b", "model_a", "model_b",
            "acceptedIndex",
        ),
    )  # fmt: skip


_JUDGE = re.compile(
    r"###The instruction to evaluate:\n(.*?)\n\n###Response to evaluate:\n(.*?)"
    r"\n\n###Score Rubrics:",
    re.DOTALL,
)


def hhh(record: dict, kind: str = "") -> TaskIn:
    """HHH alignment pairs inside the prompt of a judge."""
    found = [_JUDGE.search(text(record, n)) for n in ("chosen_instruction", "rejected_instruction")]
    if not all(found):
        raise Refused("the instruction and the response to evaluate were not found")
    (asked, better), (asked_again, worse) = (match.groups() for match in found)
    if asked != asked_again:
        raise Refused("chosen and rejected answer different instructions")
    return judged_pair(
        asked,
        CandidateIn(better),
        CandidateIn(worse),
        [first_wins()],
        metadata=rest(record, "chosen_instruction", "rejected_instruction"),
    )


def ukp_convarg(record: dict, kind: str = "") -> TaskIn:
    """UKPConvArg1: which argument convinces more, by about five workers each, with reasons."""
    places = {"a1": 0, "a2": 1, "equal": None}
    debate = record.get("debateMetaData") or {}
    if not isinstance(debate, dict):
        raise Refused("debateMetaData must be an object")
    arguments = [record.get("arg1"), record.get("arg2")]
    if not all(isinstance(a, dict) for a in arguments):
        raise Refused("arg1 and arg2 must be objects")
    judgments = {}
    for n, said in enumerate(record.get("mTurkAssignments") or []):
        if not isinstance(said, dict) or said.get("value") not in places:
            raise Refused(f"mTurkAssignments[{n}].value must be a1, a2 or equal")
        worker = named(said, "turkID")
        judgments[worker] = choice(
            places[said["value"]],
            annotator=worker,
            created_at=_mturk_time(said.get("assignmentSubmitTime")),
            rationale=named(said, "reason"),
        )
    return judged_pair(
        f"{named(debate, 'title')}\n\nWhich argument is more convincing?",
        *(CandidateIn(text(a, "text")) for a in arguments),
        list(judgments.values()),
        external_id=named_id(record),
        metadata={
            "debate": named(debate, "title"),
            "stance": named(arguments[0], "stance"),
            **rest(record, "id", "arg1", "arg2", "debateMetaData", "mTurkAssignments"),
        },
    )


def _mturk_time(value: object) -> datetime | None:
    try:
        return datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S.0 UTC").replace(tzinfo=UTC)
    except ValueError:
        return None
