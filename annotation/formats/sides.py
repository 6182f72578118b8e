"""Which field of a record is the prompt and which are the answers, by name; and spans, repaired."""

import re

from annotation.formats.items import Refused

PROMPTS = ("prompt", "instruction", "question", "query", "input", "messages", "conversation",
           "context", "dialogue", "user_input")  # fmt: skip
SINGLE = ("answer", "response", "completion", "output", "reply", "generation", "summary",
          "prediction", "text")  # fmt: skip
PAIRED = (("left", "right"), ("chosen", "rejected"), ("first", "second"), ("a", "b"))
_NUMBERED = re.compile(
    r"^(answer|response|completion|output|reply|generation|summary|prediction|candidate|text|"
    r"model|option|item)[ _-]?([0-9]{1,2}|[a-h])$",
    re.IGNORECASE,
)


def answer_fields(names: list[str]) -> list[str]:
    """The names that look like answers, in their order: answer_1, answer_2 ... or one `answer`."""
    stems: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        found = _NUMBERED.match(name)
        if found:
            mark = found[2].lower()
            place = int(mark) if mark.isdigit() else ord(mark)
            stems.setdefault(found[1].lower(), []).append((place, name))
    if stems:
        best = max(stems.values(), key=len)
        return [name for _, name in sorted(best)]
    by_low = {name.lower(): name for name in names}
    for pair in PAIRED:
        if all(name in by_low for name in pair):
            return [by_low[name] for name in pair]
    return next(([by_low[name]] for name in SINGLE if name in by_low), [])


def prompt_field(names: list[str]) -> str | None:
    """The name that looks like the prompt."""
    by_low = {name.lower(): name for name in names}
    return next((by_low[name] for name in PROMPTS if name in by_low), None)


def is_chat(value: object) -> bool:
    """Whether a value is a list of messages with role and content."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(m, dict) and "role" in m and "content" in m for m in value)
    )


def prompt_of(data: dict) -> object:
    """The prompt of a record: its messages where it has any, else its text."""
    for name in ("messages", "prompt_messages"):
        if is_chat(data.get(name)):
            return data[name]
    name = prompt_field(list(data))
    if name is None or not (isinstance(data[name], str) or is_chat(data[name])):
        raise Refused(
            "no field looks like the prompt; name it, as in map=prompt:FIELD,answer_1:FIELD"
        )
    return data[name]


def offsets(text: str, start: object, end: object, quote: object, where: str) -> tuple[int, int]:
    """Span offsets as code points. Where the quote says that they count UTF-16 units, or that
    they slipped and the quote is in the text just once, they are repaired.

    Raises Refused for a span that lies outside of the text or is not what it quotes.
    """
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in (start, end)):
        raise Refused(f"{where}: start and end must be whole numbers")
    units = _from_units(text, start, end)
    if not isinstance(quote, str) or not quote:
        if 0 <= start < end <= len(text):
            return start, end
        raise Refused(f"{where} lies outside of its text")
    if text[start:end] == quote and 0 <= start < end:
        return start, end
    if units is not None and text[units[0] : units[1]] == quote:
        return units
    if text.count(quote) == 1:
        at = text.index(quote)
        return at, at + len(quote)
    raise Refused(f"{where} is not the text it quotes, in code points or UTF-16 units")


def _from_units(text: str, start: int, end: int) -> tuple[int, int] | None:
    raw = text.encode("utf-16-le")
    if not 0 <= start < end <= len(raw) // 2:
        return None
    try:
        return tuple(len(raw[: 2 * at].decode("utf-16-le")) for at in (start, end))
    except UnicodeDecodeError:
        return None


def in_units(text: str, at: int) -> int:
    """A code point offset as a browser counts it, in UTF-16 units."""
    return len(text[:at].encode("utf-16-le")) // 2
