"""Votes of arenas: FastChat raw votes, clean battles, LMArena battles."""

from datetime import UTC, datetime

from annotation.formats.items import CandidateIn, JudgmentIn, Refused, TaskIn, rest
from annotation.formats.pairs import judged_pair, named, named_id
from annotation.formats.published import choice

_WINNERS = {
    "model_a": 0,
    "leftvote": 0,
    "model_b": 1,
    "rightvote": 1,
    "tie": None,
    "tievote": None,
}
_BOTH_BAD = {"tie (bothbad)", "both_bad", "bothbad_vote"}


def fastchat_votes(record: dict, kind: str = "") -> list[TaskIn]:
    """FastChat raw votes, clean battles, and LMArena battles.

    A vote on one answer (upvote, downvote, flag) compares nothing and is refused.
    """
    if "states" in record:
        return [_raw_vote(record)]
    winner = record.get("winner")
    if winner not in _WINNERS and winner not in _BOTH_BAD:
        raise Refused(f"winner must be one of {', '.join([*_WINNERS, *_BOTH_BAD])}")
    prompt, first, second = _two_sides(
        [_plain(m) for m in _conversation(record, "conversation_a")],
        [_plain(m) for m in _conversation(record, "conversation_b")],
    )
    used = ("question_id", "id", "model_a", "model_b", "winner", "judge", "conversation_a",
            "conversation_b", "full_conversation", "tstamp", "timestamp")  # fmt: skip
    return [
        judged_pair(
            prompt,
            CandidateIn(first, model=named(record, "model_a")),
            CandidateIn(second, model=named(record, "model_b")),
            [
                _vote(
                    winner,
                    annotator=named(record, "judge"),
                    created_at=_unix(record.get("tstamp")),
                )
            ],
            external_id=named_id(record, "question_id") or named_id(record),
            metadata=rest(record, *used),
        )
    ]


def _raw_vote(record: dict) -> TaskIn:
    said, states = record.get("type"), record.get("states")
    if said not in _WINNERS and said not in _BOTH_BAD:
        raise Refused(f"a {said} is about one answer and compares nothing")
    if not isinstance(states, list) or len(states) != 2:
        raise Refused("a vote between two has two states")
    sides = []
    for n, state in enumerate(states):
        turns = state.get("messages") if isinstance(state, dict) else None
        if not isinstance(turns, list):
            raise Refused(f"states[{n}].messages is missing")
        roles = state.get("roles") or ["user", "assistant"]
        sides.append(
            [
                {"role": "user" if turn[0] == roles[0] else "assistant", "content": turn[1]}
                for turn in turns
                if isinstance(turn, list) and len(turn) >= 2 and isinstance(turn[1], str)
            ]
        )
    models = record.get("models") or ["", ""]
    if "".join(map(str, models)) == "":
        models = [named(state, "model_name") for state in states]
    prompt, first, second = _two_sides(*sides)
    return judged_pair(
        prompt,
        CandidateIn(first, model=str(models[0])),
        CandidateIn(second, model=str(models[1])),
        # An address is a person's own: only its hash tells voters apart.
        [_vote(said, annotator=named(record, "ip"), created_at=_unix(record.get("tstamp")))],
        external_id=named_id(states[0], "conv_id"),
        metadata=rest(record, "tstamp", "type", "models", "states", "ip"),
    )


def _vote(winner: str, **more) -> JudgmentIn:
    if winner in _BOTH_BAD:
        return JudgmentIn(body={"outcome": "both_bad"}, **more)
    return choice(_WINNERS[winner], **more)


def _conversation(record: dict, name: str) -> list[dict]:
    value = record.get(name)
    if not isinstance(value, list) or not all(isinstance(m, dict) for m in value):
        raise Refused(f"{name} must be a list of messages")
    return value


def _plain(message: dict) -> dict:
    """Role and text of a message; typed parts of text are joined, images are refused."""
    content = message.get("content")
    if isinstance(content, list):
        if any(not isinstance(p, dict) or p.get("type") != "text" for p in content):
            raise Refused("a message holds more than text")
        content = "\n".join(str(p.get("text", "")) for p in content)
    if not isinstance(content, str):
        raise Refused("a message has no text")
    return {"role": message.get("role"), "content": content}


def _two_sides(left: list[dict], right: list[dict]) -> tuple[list[dict], str, str]:
    """The shared prompt and each side's last answer.

    Raises Refused where the sides part before it: such a vote is about two conversations.
    """
    if len(left) < 2 or len(right) < 2:
        raise Refused("a side has no answer")
    asked = [m["content"] for m in left if m["role"] == "user"]
    if asked != [m["content"] for m in right if m["role"] == "user"]:
        raise Refused("the two sides were asked different things")
    if left[-1]["role"] != "assistant" or right[-1]["role"] != "assistant":
        raise Refused("a side does not end with an answer")
    if left[:-1] != right[:-1]:
        raise Refused("the sides differ before their last answer; it is no pair of answers")
    return left[:-1], left[-1]["content"], right[-1]["content"]


def _unix(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return None
