"""Prompts in chat form: reading them, hashing them, showing them as text. No Django here."""

import hashlib
import json

import orjson

from config.errors import Invalid

#: Roles a message may have; others are refused, so that every reader knows what it meets.
ROLES = ("system", "developer", "user", "assistant", "tool")

#: Kinds of typed parts in a message's content.
PART_TYPES = ("text", "image", "image_url", "video", "audio")


def normalise(prompt: object) -> list[dict]:
    """A prompt as [{"role", "content"}]; plain text becomes one message of the user.

    Raises Invalid with the place and the reason when it is neither.
    """
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not isinstance(prompt, list):
        raise _wrong("prompt", "must be text or a list of messages")
    if not prompt:
        raise _wrong("prompt", "has no messages")
    return [_message(message, f"prompt[{n}]") for n, message in enumerate(prompt)]


def _message(message: object, where: str) -> dict:
    if not isinstance(message, dict):
        raise _wrong(where, "must be an object with role and content")
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise _wrong(f"{where}.role", f"must be one of {', '.join(ROLES)}")
    if isinstance(content, list):
        for n, part in enumerate(content):
            if not isinstance(part, dict) or part.get("type") not in PART_TYPES:
                raise _wrong(
                    f"{where}.content[{n}]", f"type must be one of {', '.join(PART_TYPES)}"
                )
    elif not isinstance(content, str):
        raise _wrong(f"{where}.content", "must be text or a list of typed parts")
    return dict(message)


def _wrong(field: str, reason: str) -> Invalid:
    return Invalid(f"{field} {reason}.", fields={field: reason})


def canonical(prompt: list[dict]) -> str:
    """JSON with sorted keys and no spaces: equal prompts give equal text."""
    return json.dumps(prompt, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def prompt_hash(prompt: list[dict]) -> str:
    """SHA-256 (64 hex digits) of the canonical JSON; splits are drawn by it."""
    if all(type(value) is str for message in prompt for value in message.values()):
        try:  # for text alone the fast writer gives the same bytes
            return hashlib.sha256(orjson.dumps(prompt, option=orjson.OPT_SORT_KEYS)).hexdigest()
        except TypeError:  # half a surrogate pair
            pass
    return hashlib.sha256(canonical(prompt).encode("utf-8", "surrogatepass")).hexdigest()


def content_text(content: str | list[dict]) -> str:
    """The text of one message; a part that is not text stands as its type in brackets."""
    if isinstance(content, str):
        return content
    return "\n".join(
        str(p.get("text", "")) if p["type"] == "text" else f"[{p['type']}]" for p in content
    )


def prompt_text(prompt: list[dict]) -> str:
    """The whole prompt as plain text; a single message stands alone, more carry their roles."""
    if len(prompt) == 1:
        return content_text(prompt[0]["content"])
    return "\n\n".join(f"{m['role'].title()}: {content_text(m['content'])}" for m in prompt)
