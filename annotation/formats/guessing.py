"""Which format a file is in, told by the fields of its first records. No Django here."""

from collections.abc import Callable

from annotation.formats import sides

MOST_FIELDS = 60
_EXAMPLE = 200

_Rule = tuple[str, Callable[[dict], bool]]


def _has(*names: str) -> Callable[[dict], bool]:
    return lambda record: all(name in record for name in names)


_RULES: tuple[_Rule, ...] = (
    ("preferendum", lambda r: isinstance(r.get("candidates"), list) and "prompt" in r),
    ("label-studio", lambda r: isinstance(r.get("data"), dict)),
    ("argilla", lambda r: any(name.endswith(".responses") for name in r)),
    ("openassistant", lambda r: isinstance(r.get("prompt"), dict) or "message_tree_id" in r),
    ("prm800k", lambda r: isinstance(r.get("question"), dict) and isinstance(r.get("label"), dict)),
    ("fine-grained-rlhf", _has("prediction 1", "feedback")),
    ("bigbench-mistake", _has("mistake_index", "steps")),
    ("fastchat-votes", lambda r: "winner" in r or ("states" in r and "type" in r)),
    ("ultrafeedback", lambda r: "instruction" in r and isinstance(r.get("completions"), list)),
    ("helpsteer", lambda r: "preference_strength" in r or ("response" in r and "helpfulness" in r)),
    ("copilot-arena", _has("acceptedIndex")),
    ("hhh", _has("chosen_instruction", "rejected_instruction")),
    ("ukp-convarg", _has("arg1", "arg2")),
    ("pandalm", _has("annotator1", "response1", "response2")),
    ("tulu-eval", _has("completion_a", "completion_b", "evaluator")),
    ("llmbar", _has("output_1", "output_2", "label")),
    ("rewardbench2", lambda r: _has("prompt", "chosen", "rejected")(r) and (
        "subset" in r or (isinstance(r["rejected"], list) and isinstance(r["rejected"][:1], list)
                          and all(isinstance(x, str) for x in r["rejected"]))
    )),
    ("trl", lambda r: "chosen" in r and ("prompt" in r or isinstance(r["chosen"], list))),
    ("hh-rlhf", _has("chosen", "rejected")),
    ("records", lambda r: bool(sides.answer_fields(list(r)))),
    ("prompts", lambda r: sides.prompt_field(list(r)) is not None),
)  # fmt: skip


def guess(records: list[object]) -> str:
    """The format that fits most of the records; `records`, which takes a mapping, if none does."""
    votes: dict[str, int] = {}
    for record in records:
        if isinstance(record, dict):
            name = next((name for name, fits in _RULES if fits(record)), "records")
            votes[name] = votes.get(name, 0) + 1
    return max(votes, key=lambda name: votes[name]) if votes else "records"


def fields(records: list[object], inside: str = "") -> list[dict]:
    """The fields found, each with its type and an example, in the order first met."""
    found: dict[str, dict] = {}
    for record in records:
        holder = record.get(inside) if inside and isinstance(record, dict) else record
        for name, value in holder.items() if isinstance(holder, dict) else ():
            if len(found) >= MOST_FIELDS or found.get(name, {}).get("example"):
                continue
            text = value if isinstance(value, str) else "" if value is None else str(value)
            found[name] = {"name": name, "type": _type(value), "example": text[:_EXAMPLE]}
    return list(found.values())


def _type(value: object) -> str:
    names = {str: "text", bool: "yes or no", int: "number", float: "number", type(None): "nothing"}
    return names.get(type(value), "messages" if sides.is_chat(value) else "list or object")


def suggest(found: list[dict]) -> dict[str, str]:
    """A mapping to try: the prompt and the answers, by name, else by the kind of their values."""
    texts = [f["name"] for f in found if f["type"] in ("text", "messages")]
    prompt = sides.prompt_field(texts)
    answers = sides.answer_fields([name for name in texts if name != prompt])
    left = [name for name in texts if name not in answers and name != prompt]
    if prompt is None and left:
        prompt = left.pop(0)
    if not answers:
        answers = left[:2]
    mapping = {"prompt": prompt} if prompt else {}
    return mapping | {f"answer_{n}": name for n, name in enumerate(answers, start=1)}
