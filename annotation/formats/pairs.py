"""Pairs in the forms that trainers exchange: HH-RLHF transcripts, TRL records, bare prompts."""

import re

from annotation.formats.items import (
    CandidateIn,
    JudgmentIn,
    PromptIn,
    Refused,
    TaskIn,
    rest,
    text,
)

_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def judged_pair(
    prompt: object,
    first: CandidateIn,
    second: CandidateIn,
    judgments: list[JudgmentIn],
    **more,
) -> TaskIn:
    """A pairwise task with what people said about it."""
    return TaskIn(
        kind="pairwise", prompt=prompt, candidates=[first, second], judgments=judgments, **more
    )


def first_wins(**more) -> JudgmentIn:
    """A judgment that prefers the candidate at place 0."""
    return JudgmentIn(body={"outcome": "preferred", "preferred": 0}, **more)


def transcript(flat: str) -> list[dict]:
    """Turns of a flat "\\n\\nHuman: ... \\n\\nAssistant: ..." text, neighbours of one role joined.

    Raises Refused for text before the first marker, or none at all.
    """
    pieces = _TURN.split(flat)
    if pieces[0].strip() or len(pieces) < 3:
        raise Refused("does not begin with a Human or Assistant turn")
    turns: list[dict] = []
    for marker, said in zip(pieces[1::2], pieces[2::2], strict=True):
        role, said = _ROLES[marker], said.strip()
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] = f"{turns[-1]['content']}\n\n{said}".strip()
        else:
            turns.append({"role": role, "content": said})
    return turns


def split_shared(chosen: list[dict], rejected: list[dict]) -> tuple[list[dict], str, str]:
    """The prompt both share and the two last answers.

    Raises Refused when anything but the last answer differs.
    """
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    if len(chosen) == shared == len(rejected):
        # The same words twice: a pair all the same, whose last answers are equal.
        shared -= 1
    if len(chosen) - shared != 1 or len(rejected) - shared != 1:
        raise Refused("chosen and rejected differ before their last answer")
    last = (chosen[-1], rejected[-1])
    if any(turn.get("role") != "assistant" for turn in last):
        raise Refused("chosen and rejected must end with an answer of the assistant")
    if not shared:
        raise Refused("chosen and rejected share no prompt")
    return chosen[:shared], _content(last[0], "chosen"), _content(last[1], "rejected")


def _content(turn: dict, where: str) -> str:
    if not isinstance(turn.get("content"), str):
        raise Refused(f"{where}: the answer must be text")
    return turn["content"]


def hh_rlhf(record: dict, kind: str = "") -> TaskIn:
    """`chosen` and `rejected` transcripts (Bai et al. 2022); the person is not told apart."""
    chosen = transcript(text(record, "chosen"))
    rejected = transcript(text(record, "rejected"))
    prompt, better, worse = split_shared(chosen, rejected)
    return judged_pair(
        prompt,
        CandidateIn(better),
        CandidateIn(worse),
        [first_wins()],
        metadata=rest(record, "chosen", "rejected"),
    )


def trl(record: dict, kind: str = "") -> TaskIn | PromptIn:
    """A TRL record: explicit or implicit preference, or prompt-only; flat or conversational."""
    if "chosen" in record or "rejected" in record:
        return _trl_pair(record)
    if "completion" in record or "completions" in record:
        raise Refused("one answer without another to compare it with; give pairs or prompts")
    return prompts(record)


def _trl_pair(record: dict) -> TaskIn:
    chosen, rejected = record.get("chosen"), record.get("rejected")
    if isinstance(chosen, list) != isinstance(rejected, list):
        raise Refused("chosen and rejected must both be text or both be messages")
    prompt = record.get("prompt")
    if isinstance(chosen, list):
        better, worse = _messages(chosen, "chosen"), _messages(rejected, "rejected")
        if prompt is None:
            prompt, good, bad = split_shared(better, worse)
        else:
            asked = _messages(prompt, "prompt") if isinstance(prompt, list) else prompt
            lead = asked if isinstance(asked, list) else [{"role": "user", "content": asked}]
            prompt, good, bad = split_shared([*lead, *better], [*lead, *worse])
    elif prompt is None:
        return hh_rlhf(record)
    else:
        good, bad = text(record, "chosen"), text(record, "rejected")
    return judged_pair(
        prompt,
        CandidateIn(good, model=named(record, "chosen_model")),
        CandidateIn(bad, model=named(record, "rejected_model")),
        [first_wins()],
        external_id=named_id(record),
        metadata=rest(
            record, "prompt", "chosen", "rejected", "chosen_model", "rejected_model", "id"
        ),
    )


def _messages(value: object, where: str) -> list[dict]:
    if not isinstance(value, list) or not all(
        isinstance(m, dict) and isinstance(m.get("role"), str) for m in value
    ):
        raise Refused(f"{where} must be a list of messages with role and content")
    return value


def named(record: dict, name: str) -> str:
    """The text under a name, empty when there is none."""
    value = record.get(name)
    return value if isinstance(value, str) else ""


def named_id(record: dict, name: str = "id") -> str | None:
    """A number or text that serves as an id, as text."""
    value = record.get(name)
    return str(value) if isinstance(value, str | int) and value != "" else None


def prompts(record: dict, kind: str = "") -> PromptIn:
    """`{"prompt": text or messages}`; `messages` and `text` are read as well."""
    for name in ("prompt", "messages", "text"):
        if name in record:
            break
    else:
        raise Refused("prompt is missing")
    prompt = record[name]
    if isinstance(prompt, list) and prompt and isinstance(prompt[-1], dict):
        while prompt and isinstance(prompt[-1], dict) and prompt[-1].get("role") == "assistant":
            prompt = prompt[:-1]  # an answer is no part of the prompt
    metadata = record.get("metadata")
    return PromptIn(
        prompt=prompt,
        external_id=named_id(record, "external_id") or named_id(record),
        group=named(record, "group") or named(record, "subset"),
        split=named(record, "split"),
        metadata={
            **(metadata if isinstance(metadata, dict) else {}),
            **rest(record, name, "external_id", "id", "group", "split", "metadata"),
        },
    )
