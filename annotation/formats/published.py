"""Pairwise sets as their authors published them."""

import hashlib
import re
from datetime import UTC, datetime, timedelta

from annotation.formats.items import CandidateIn, JudgmentIn, Refused, TaskIn, rest, text
from annotation.formats.pairs import _id, _name, first_wins, judged_pair


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
    """An answer; one that is a bare number was read as one by whoever made the file."""
    value = record.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
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
    models = _name(record, "cmp_key").split("_")
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
        CandidateIn(text(record, "completion_a"), model=_name(record, "model_a")),
        CandidateIn(text(record, "completion_b"), model=_name(record, "model_b")),
        [
            choice(
                *steps[said],
                annotator=_name(record, "evaluator"),
                created_at=when,
                rationale=_name(record, "comment"),
            )
        ],
        external_id=_id(record),
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
        CandidateIn(text(record, "completion_a"), model=_name(record, "model_a")),
        CandidateIn(text(record, "completion_b"), model=_name(record, "model_b")),
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
        worker = _name(said, "turkID")
        judgments[worker] = choice(
            places[said["value"]],
            annotator=worker,
            created_at=_mturk_time(said.get("assignmentSubmitTime")),
            rationale=_name(said, "reason"),
        )
    return judged_pair(
        f"{_name(debate, 'title')}\n\nWhich argument is more convincing?",
        *(CandidateIn(text(a, "text")) for a in arguments),
        list(judgments.values()),
        external_id=_id(record),
        metadata={
            "debate": _name(debate, "title"),
            "stance": _name(arguments[0], "stance"),
            **rest(record, "id", "arg1", "arg2", "debateMetaData", "mTurkAssignments"),
        },
    )


def _mturk_time(value: object) -> datetime | None:
    try:
        return datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S.0 UTC").replace(tzinfo=UTC)
    except ValueError:
        return None


# Votes of arenas ----------------------------------------------------------------------------

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
            CandidateIn(first, model=_name(record, "model_a")),
            CandidateIn(second, model=_name(record, "model_b")),
            [
                _vote(
                    winner,
                    annotator=_name(record, "judge"),
                    created_at=_unix(record.get("tstamp")),
                )
            ],
            external_id=_id(record, "question_id") or _id(record),
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
        models = [_name(state, "model_name") for state in states]
    prompt, first, second = _two_sides(*sides)
    return judged_pair(
        prompt,
        CandidateIn(first, model=str(models[0])),
        CandidateIn(second, model=str(models[1])),
        # An address is a person's own: only its hash tells voters apart.
        [_vote(said, annotator=_name(record, "ip"), created_at=_unix(record.get("tstamp")))],
        external_id=_id(states[0], "conv_id"),
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


# Reward benches and scores ------------------------------------------------------------------


def rewardbench(record: dict, kind: str = "") -> list[TaskIn]:
    """RewardBench 1 and 2: every rejected answer against a chosen one; listwise on request."""
    chosen, rejected = _answers(record, "chosen"), _answers(record, "rejected")
    base = _id(record)
    metadata = rest(record, "prompt", "chosen", "rejected", "id", "chosen_model", "rejected_model",
                    "models")  # fmt: skip
    names = _models(record, len(chosen), len(rejected))
    good = [CandidateIn(a, model=m) for a, m in zip(chosen, names[0], strict=True)]
    bad = [CandidateIn(a, model=m) for a, m in zip(rejected, names[1], strict=True)]
    if kind == "listwise":
        split = len(good)
        ranking = [list(range(split)), list(range(split, split + len(bad)))]
        return [
            TaskIn(
                kind="listwise",
                prompt=record.get("prompt"),
                candidates=[*good, *bad],
                judgments=[JudgmentIn(body={"ranking": ranking, "unusable": []})],
                external_id=base,
                metadata=metadata,
            )
        ]
    return [
        judged_pair(
            record.get("prompt"),
            good[n % len(good)],
            worse,
            [first_wins()],
            external_id=base if base is None or len(bad) == 1 else f"{base}:{n}",
            metadata=metadata,
        )
        for n, worse in enumerate(bad)
    ]


def _answers(record: dict, name: str) -> list[str]:
    value = record.get(name)
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise Refused(f"{name} must be text or a list of texts")
    return value


def _models(record: dict, good: int, bad: int) -> tuple[list[str], list[str]]:
    models = record.get("models")
    if isinstance(models, list) and len(models) == good + bad:
        named = [str(m) for m in models]
        return named[:good], named[good:]
    return [_name(record, "chosen_model")] * good, [_name(record, "rejected_model")] * bad


def helpsteer_pair(record: dict, kind: str = "") -> TaskIn:
    """HelpSteer2 preference: strength from -3 (response_1) to 3 (response_2), 0 a tie."""
    strength = record.get("preference_strength")
    if isinstance(strength, bool) or strength not in (-3, -2, -1, 0, 1, 2, 3):
        raise Refused("preference_strength must be a whole number from -3 to 3")
    place = None if strength == 0 else int(strength > 0)
    why = _name(record, "preference_statement")
    return judged_pair(
        text(record, "prompt"),
        CandidateIn(text(record, "response_1")),
        CandidateIn(text(record, "response_2")),
        [choice(place, abs(int(strength)) or None, rationale=why)],
        metadata=rest(
            record, "prompt", "response_1", "response_2", "preference_strength",
            "preference_statement",
        ),
    )  # fmt: skip


HELPSTEER_ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")


def helpsteer(record: dict, kind: str = "") -> TaskIn:
    """HelpSteer2: five attributes from 0 to 4 (or a list, one a person), or a preference."""
    if "preference_strength" in record:
        return helpsteer_pair(record)
    several = {
        name: record[name] if isinstance(record.get(name), list) else [record.get(name)]
        for name in HELPSTEER_ATTRIBUTES
    }
    people = {len(values) for values in several.values()}
    if len(people) != 1:
        raise Refused("the attributes have different numbers of ratings")
    judgments = [
        JudgmentIn(
            body={
                "ratings": [
                    {"candidate": 0, "attribute": name, "value": values[n]}
                    for name, values in several.items()
                ]
            },
            annotator=f"annotator{n + 1}" if people != {1} else "",
        )
        for n in range(people.pop())
    ]
    return TaskIn(
        kind="rating",
        prompt=text(record, "prompt"),
        candidates=[CandidateIn(text(record, "response"))],
        judgments=judgments,
        metadata=rest(record, "prompt", "response", *HELPSTEER_ATTRIBUTES),
    )


def ultrafeedback(record: dict, kind: str = "") -> list[TaskIn]:
    """UltraFeedback: pairs of a prompt's completions by their score; listwise on request."""
    completions = record.get("completions")
    if not isinstance(completions, list) or len(completions) < 2:
        raise Refused("completions must be a list of at least two")
    scored = []
    for n, item in enumerate(completions):
        if not isinstance(item, dict):
            raise Refused(f"completions[{n}] must be an object")
        score = item.get("fine-grained_score", item.get("overall_score"))
        try:
            score = float(score)
        except (TypeError, ValueError):
            raise Refused(f"completions[{n}] has no score") from None
        scored.append((score, CandidateIn(text(item, "response"), model=_name(item, "model"))))
    prompt = text(record, "instruction")
    metadata = rest(record, "instruction", "completions", "models")
    if kind == "listwise":
        scores = sorted({score for score, _ in scored}, reverse=True)
        ranking = [[n for n, (s, _) in enumerate(scored) if s == score] for score in scores]
        body = {"ranking": ranking, "unusable": []}
        return [
            TaskIn(
                kind="listwise",
                prompt=prompt,
                candidates=[c for _, c in scored],
                judgments=[JudgmentIn(body=body)],
                metadata=metadata,
            )
        ]
    # Best against each other one, as binarised sets do, but with every loser instead of one.
    ranked = sorted(scored, key=lambda pair: -pair[0])
    best = ranked[0]
    digest = hashlib.sha256(prompt.encode()).hexdigest()[:12]
    return [
        judged_pair(
            prompt,
            best[1],
            other[1],
            [choice(0 if best[0] > other[0] else None)],
            metadata={**metadata, "group": digest, "scores": [best[0], other[0]]},
        )
        for other in ranked[1:]
    ]
