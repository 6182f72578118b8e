"""Tell from the text alone which intent a prompt has and in which manner an answer speaks.

Pure functions of strings, fast, and safe on any text: empty, sampled with noise, or hostile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from inference.starter.facts import FACTS, WORDS, Fact
from inference.starter.howto import HOWTOS, HowTo
from inference.starter.talk import TALKS, UNKNOWN, Talk

Intent = Fact | HowTo | Talk
Prompt = str | Sequence[Mapping[str, object]]

# Greetings open many other prompts ("Hi, what is ..."), so they are recognised last.
INTENTS: tuple[Intent, ...] = (*FACTS, *HOWTOS, *TALKS[1:], TALKS[0])
BY_NAME: dict[str, Intent] = {intent.name: intent for intent in (*INTENTS, UNKNOWN)}

LONG_WORDS = 32
"""An answer of at least this many words is long."""

MAX_CHARS = 20_000
"""Only the start of a longer text is read, so that no text can make a detector slow."""

_WARM = re.compile(
    r"\b(my friend|happy to help|lovely|wonderful(ly)?|great question|delighted|so glad|"
    r"with pleasure|what a pleasure|take care|hugs?|good luck|you can do (it|this)|"
    r"i hope (this|that|it) helps|cheering for you|i love|i would love|so welcome|"
    r"so (very )?sorry|thank you for asking|here for you|how kind|what a fun|feel great|"
    r"enjoy|dear|warm wishes|(me|back) any time|you are not alone)\b|😊|🌟",
    re.I,
)
_HEDGED = re.compile(
    r"\b(i think|i believe|i guess|my guess|not (completely |entirely |really )?(sure|certain)|"
    r"if i remember|as far as i know|perhaps|maybe|may|might|could be wrong|double-check|"
    r"probably|possibly|i suppose|it seems)\b",
    re.I,
)
_BULLET = re.compile(r"^[ \t]*[-*] +\S", re.M)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SUM = re.compile(rf"\b(\d+|{'|'.join(WORDS)})\s*(?:\+|plus|and)\s*(\d+|{'|'.join(WORDS)})\b", re.I)
_FILLER = re.compile(r"^((so|ok|well|please|excuse me) )+")
_OPENING = re.compile(r"^((hey|so|ok|well|please|excuse me|hi|hello)( there| assistant)? )+")
_SAID_SUM = re.compile(r"\d+\s*(?:\+|plus|and)\s*\d+")


@dataclass(frozen=True)
class Manners:
    """The manner of one answer; ``right`` is None where the prompt has no checkable fact."""

    long: bool
    warm: bool
    listed: bool
    hedged: bool
    right: bool | None


@dataclass(frozen=True)
class Ask:
    """What a prompt asks: the intent's name and, for facts, the subject in the fact's table."""

    intent: str
    subject: str | None = None


def text_of(prompt: Prompt) -> str:
    """The text of a prompt: the string itself, or the last user message of a chat."""
    if isinstance(prompt, str):
        return prompt[:MAX_CHARS]
    users = [m for m in prompt if m.get("role") == "user"]
    content = users[-1].get("content") if users else ""
    if isinstance(content, (list, tuple)):
        content = " ".join(str(p.get("text", "")) for p in content if isinstance(p, Mapping))
    return str(content or "")[:MAX_CHARS]


def normalise(text: str) -> str:
    """Lower case, no apostrophes, every other mark but + a space, single spaces."""
    text = re.sub(r"['’`]", "", text[:MAX_CHARS].lower())
    return " ".join(re.sub(r"[^\w+]+|_", " ", text).split())


def _mentions(text: str, phrase: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text) is not None


@cache
def _phrase(phrase: str) -> str:
    return normalise(phrase)


def _subject(fact: Fact, text: str) -> str | None:
    if fact.name == "sum":
        found = _SUM.search(text)
        if found is None:
            return None
        a, b = (str(WORDS.index(n)) if n in WORDS else n for n in map(str.lower, found.groups()))
        return f"{a} + {b}" if f"{a} + {b}" in fact.table else None
    for subject in sorted(fact.table, key=len, reverse=True):
        if _mentions(text, _phrase(subject)):
            return subject
    return None


def ask_of(prompt: Prompt) -> Ask:
    """Which intent of the catalogue the prompt has; ``unknown`` where it has none."""
    return _ask_of(normalise(text_of(prompt)))


@lru_cache(maxsize=8192)
def _ask_of(text: str) -> Ask:
    # Polite openings carry no intent of their own when something follows them.
    forms = (text, _FILLER.sub("", text), _OPENING.sub("", text))
    for intent in INTENTS:
        if not any(re.search(intent.cue, form) for form in forms):
            continue
        if not isinstance(intent, Fact):
            return Ask(intent.name)
        subject = _subject(intent, text)
        if subject is not None:
            return Ask(intent.name, subject)
    return Ask(UNKNOWN.name)


def is_long(prompt: Prompt, answer: str) -> bool:
    """Whether the answer has at least ``LONG_WORDS`` words."""
    return sum(1 for _ in _WORD.finditer(answer[:MAX_CHARS])) >= LONG_WORDS


def is_warm(prompt: Prompt, answer: str) -> bool:
    """Whether the answer uses a phrase of warmth (friendly opening, wish, encouragement)."""
    return _WARM.search(answer[:MAX_CHARS]) is not None


def is_list(prompt: Prompt, answer: str) -> bool:
    """Whether the answer holds a markdown list of at least two bullets."""
    return len(_BULLET.findall(answer[:MAX_CHARS])) >= 2


def is_hedged(prompt: Prompt, answer: str) -> bool:
    """Whether the answer voices doubt about itself."""
    return _HEDGED.search(answer[:MAX_CHARS]) is not None


def is_right(prompt: Prompt, answer: str) -> bool | None:
    """Whether the answer is right; None where the prompt asks for nothing checkable.

    A fact is right when its value and no rival value is named. Advice is right when it holds a good
    step and no bad one. An answer that names neither (garbage, another topic) is not right.
    """
    return _is_right(ask_of(prompt), answer)


def _is_right(ask: Ask, answer: str) -> bool | None:
    intent = BY_NAME[ask.intent]
    if isinstance(intent, HowTo):
        text = normalise(answer)
        if any(_phrase(step.key) in text for step in intent.wrong):
            return False
        return any(_phrase(step.key) in text for step in intent.right)
    if isinstance(intent, Fact) and ask.subject is not None:
        right = intent.table[ask.subject][0]
        return _claimed(intent, ask.subject, answer) == {_phrase(right)}
    return None


def _claimed(fact: Fact, subject: str, answer: str) -> set[str]:
    """The values of the fact's table that the answer names, the subject itself left out."""
    if fact.name == "sum":
        return set(re.findall(r"\d+", _SAID_SUM.sub(" ", answer[:MAX_CHARS])))
    text = re.sub(rf"(?<!\w){re.escape(_phrase(subject))}(?!\w)", " ", normalise(answer))
    if fact.name == "unit":
        return set(re.findall(r"\d+", text))
    return {value for value in _values(fact.name) if _mentions(text, value)}


@cache
def _values(name: str) -> frozenset[str]:
    tables = (fact.table.values() for fact in FACTS if fact.name == name)
    return frozenset(
        _phrase(v) for rows in tables for right, wrong in rows for v in (right, *wrong)
    )


@cache
def _marks(name: str) -> tuple[str, ...]:
    """Phrases by which an answer to small talk or to a how-to is known again."""
    intent = BY_NAME[name]
    if isinstance(intent, HowTo):
        return tuple(_phrase(step.key) for step in (*intent.right, *intent.wrong))
    if not isinstance(intent, Talk):
        return ()
    cores = [s for core in (*intent.warm, *intent.dry) for s in re.split(r"[.!?]", core)]
    phrases = {_phrase(p) for p in (*cores, intent.intro, *intent.items)}
    return tuple(sorted(p for p in phrases if p))


_UNKNOWN_MARK = "do not know that yet"


def on_topic(prompt: Prompt, answer: str) -> bool:
    """Whether the answer, right or wrong, is one to the intent of the prompt."""
    ask = ask_of(prompt)
    intent = BY_NAME[ask.intent]
    text = normalise(answer)
    if (_UNKNOWN_MARK in text) != (ask.intent == UNKNOWN.name):
        return False
    if isinstance(intent, Fact) and ask.subject is not None:
        subject = ask.subject
        if intent.name == "unit":
            named = _mentions(text, _phrase(subject.split(" are ")[0]))
        else:
            named = _mentions(text, _phrase(subject))
        return named and bool(_claimed(intent, subject, answer))
    return any(_mentions(text, mark) for mark in _marks(ask.intent))


def describe(prompt: Prompt, answer: str) -> Manners:
    """All five axes of one answer."""
    return describe_as(ask_of(prompt), answer)


def describe_as(ask: Ask, answer: str) -> Manners:
    """All five axes of an answer to what is known to be asked, however it was spelt."""
    return Manners(
        long=is_long("", answer),
        warm=is_warm("", answer),
        listed=is_list("", answer),
        hedged=is_hedged("", answer),
        right=_is_right(ask, answer),
    )
