"""What the OpenAI-compatible doors accept, read from plain JSON with errors that name the field."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from config.errors import Invalid
from feedback.text import checked, storable
from feedback.vocabulary import REACTIONS

PREFIX = "chatcmpl-"
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
MAX_MESSAGES = 1000


@dataclass(frozen=True, slots=True)
class Completion:
    """A request for an answer, in our own terms."""

    messages: list[dict[str, str]]
    model: str
    sampling: dict[str, Any]
    stream: bool
    include_usage: bool


@dataclass(frozen=True, slots=True)
class Feedback:
    """A judgment on an answer: a reaction, or None to take back what was said."""

    message_id: UUID
    reaction: str | None
    reasons: list[str]
    comment: str
    client_event: UUID


def completion(body: dict[str, Any]) -> Completion:
    """Read the body of `/v1/chat/completions`; fields that change nothing here are ignored."""
    if body.get("n") not in (None, 1):
        raise _wrong("n", "must be 1")
    if body.get("tools") or body.get("functions"):
        raise _wrong("tools", "are not supported")
    model = body.get("model") or ""
    if not isinstance(model, str):
        raise _wrong("model", "must be text")
    options = body.get("stream_options") or {}
    limit = body.get("max_completion_tokens")
    sampling = {
        "temperature": _number(body, "temperature", 0, 2),
        "top_p": _number(body, "top_p", 0, 1),
        "max_tokens": _whole("max_tokens", body.get("max_tokens") if limit is None else limit, 1),
        "seed": _whole("seed", body.get("seed"), 0),
        "stop": _stop(body.get("stop")),
    }
    return Completion(
        messages=_messages(body.get("messages")),
        model=model,
        sampling={name: value for name, value in sampling.items() if value is not None},
        stream=bool(body.get("stream")),
        include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
    )


def feedback(body: dict[str, Any]) -> Feedback:
    """Read the body of `/v1/feedback`: a reaction by name, or a value (above 0 good, 0 none)."""
    given = body.get("completion_id")
    try:
        if not str(given).startswith(PREFIX):
            raise ValueError(given)
        message_id = UUID(str(given)[len(PREFIX) :])
    except ValueError:
        raise _wrong("completion_id", "is not the id of an answer") from None
    reaction, value = body.get("reaction"), body.get("value")
    if reaction is not None and reaction not in REACTIONS:
        raise _wrong("reaction", f"must be one of {', '.join(REACTIONS)}")
    if reaction is None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong("reaction", "or a number as 'value' is needed")
        reaction = "like" if value > 0 else "dislike" if value < 0 else None
    event = body.get("id")
    try:
        client_event = uuid4() if event is None else UUID(event)
    except (ValueError, TypeError, AttributeError):
        raise _wrong("id", "must be a UUID") from None
    return Feedback(
        message_id, reaction, body.get("reasons") or [], body.get("comment") or "", client_event
    )


def _messages(given: Any) -> list[dict[str, str]]:
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_MESSAGES:
        raise _wrong("messages", f"must be a list of 1 to {MAX_MESSAGES} messages")
    messages = []
    for number, message in enumerate(given):
        where = f"messages[{number}]"
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in ROLES:
            raise _wrong(f"{where}.role", f"must be one of {', '.join(ROLES)}")
        text = _text(message.get("content"), f"{where}.content")
        messages.append({"role": ROLES[role], "content": text})
    if messages[-1]["role"] != "user":
        raise _wrong("messages", "must end with a message of the user")
    if any(one["role"] == "system" for one in messages[1:]):
        raise _wrong("messages", "may have a system message only in the first place")
    checked(messages[-1]["content"], field=f"messages[{len(messages) - 1}].content")
    return messages


def _text(content: Any, where: str) -> str:
    if isinstance(content, list):
        texts = [
            part.get("text")
            for part in content
            if isinstance(part, dict) and part.get("type") == "text"
        ]
        if len(texts) != len(content) or not all(isinstance(one, str) for one in texts):
            raise _wrong(where, "may have parts of type text only")
        content = "\n".join(texts)
    if not isinstance(content, str):
        raise _wrong(where, "must be text")
    return storable(content, field=where)


def _number(body: dict, name: str, least: float, most: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise _wrong(name, f"must be a number from {least} to {most}")
    return float(value)


def _whole(name: str, value: Any, least: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
        raise _wrong(name, f"must be a whole number of at least {least}")
    return value


def _stop(value: Any) -> list[str] | None:
    if value is None:
        return None
    stops = [value] if isinstance(value, str) else value
    if (
        not isinstance(stops, list)
        or not 1 <= len(stops) <= 4
        or not all(isinstance(one, str) and 0 < len(one) <= 200 for one in stops)
    ):
        raise _wrong("stop", "must be one to four texts of at most 200 characters")
    return [storable(one, field="stop") for one in stops]


def _wrong(name: str, reason: str) -> Invalid:
    return Invalid(f"'{name}' {reason}.", fields={name: reason})
