"""The prompts the starter policy can answer: one part to train on, one part held out."""

from __future__ import annotations

import hashlib
import random
from functools import lru_cache

from inference.starter.detect import BY_NAME, INTENTS, Ask, ask_of, normalise
from inference.starter.facts import WORDS, Fact
from inference.starter.howto import HowTo
from inference.starter.talk import UNKNOWN, unknown_prompt

_GOAL_ASKS = (
    "How do I {g}?",
    "How can I {g}?",
    "how to {g}",
    "What is the best way to {g}?",
    "Can you tell me how to {g}?",
    "Please explain how to {g}.",
    "I want to {g}. Any advice?",
    "Help me {g}.",
    "Give me some tips to {g}.",
    "Teach me how to {g}.",
    "Could you help me {g}?",
    "Any tips on how to {g}?",
    "I need to {g}, what should I do?",
    "whats a good way to {g}",
    "How should I {g}?",
    "What do I have to do to {g}?",
)
_TALK_FRAMES = ("{p}", "Hey, {p}", "So, {p}", "Well, {p}", "Ok, {p}")
_POLITE = ("Please, ", "Hi, ", "Hello! ", "Excuse me, ", "Hey, ", "Hi there, ", "So, ", "Well, ")
_ENDS = (" please", " Thank you for your time.", " I am new here.")


def _sum_forms(subject: str) -> tuple[str, ...]:
    a, b = subject.split(" + ")
    words = f"{WORDS[int(a)]} plus {WORDS[int(b)]}"
    return (subject, f"{a}+{b}", f"{a} plus {b}", words)


@lru_cache(maxsize=1)
def _catalogue() -> dict[str, tuple[list[str], list[str]]]:
    """Per intent the prompts to train on and the prompts held out, disjoint when normalised."""
    table = {}
    for intent in INTENTS:
        prompts: list[str] = []
        if isinstance(intent, Fact):
            for subject in intent.table:
                forms = _sum_forms(subject) if intent.name == "sum" else (subject,)
                prompts += [ask.format(x=form) for ask in intent.asks for form in forms]
        elif isinstance(intent, HowTo):
            prompts += [ask.format(g=goal) for goal in intent.goals for ask in _GOAL_ASKS]
        else:
            prompts += [frame.format(p=ask) for ask in intent.asks for frame in _TALK_FRAMES]
        unique = {normalise(prompt): prompt for prompt in reversed(prompts)}
        train: list[str] = []
        held: list[str] = []
        for key, prompt in sorted(unique.items()):
            digest = hashlib.sha256(key.encode()).digest()
            (held if digest[0] % 5 == 0 else train).append(prompt)
        table[intent.name] = (train, held)
    return table


@lru_cache(maxsize=1)
def held_out_keys() -> frozenset[str]:
    """Normalised form of every prompt that training must not see."""
    return frozenset(normalise(p) for _, held in _catalogue().values() for p in held)


def _even(which: int, per_intent: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    chosen = []
    for train_and_held in _catalogue().values():
        pool = train_and_held[which]
        chosen += rng.sample(pool, min(per_intent, len(pool)))
    rng.shuffle(chosen)
    return chosen


def training_prompts(per_intent: int = 15) -> list[str]:
    """Distinct prompts of the kinds the model was trained on, evenly over the intents."""
    return _even(0, per_intent, 11)


def held_out_prompts(per_intent: int = 7) -> list[str]:
    """Distinct prompts the model has not seen but can answer, evenly over the intents."""
    return _even(1, per_intent, 12)


def _typo(text: str, rng: random.Random) -> str:
    places = [i for i in range(len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if not places:
        return text
    i = rng.choice(places)
    kind = rng.random()
    if kind < 0.4:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    if kind < 0.7:
        return text[:i] + text[i + 1 :]
    return text[:i] + text[i] + text[i:]


def _vary(text: str, rng: random.Random) -> str:
    if rng.random() < 0.15:
        text = rng.choice(_POLITE) + (text[0].lower() + text[1:] if rng.random() < 0.5 else text)
    if rng.random() < 0.08:
        text += rng.choice(_ENDS)
    if rng.random() < 0.3:
        text = text.lower()
    elif rng.random() < 0.03:
        text = text.upper()
    if rng.random() < 0.3:
        text = text.rstrip("?.!")
    elif rng.random() < 0.1:
        text = text.rstrip("?.!") + rng.choice(("??", "!", " ?", "...", "?"))
    if rng.random() < 0.12:
        text = _typo(text, rng)
    return text


def sample_prompt(rng: random.Random, facts: float = 1.8) -> tuple[str, Ask]:
    """A prompt for training with its meaning, in any of many spellings; never a held-out one.

    An intent that asks for a fact comes ``facts`` times as often as another one, since it has a
    subject to learn besides.
    """
    table = _catalogue()
    names = list(table)
    weights = [facts if isinstance(BY_NAME[n], Fact) else 1.0 for n in names]
    while True:
        if rng.random() < 0.08:
            text, ask = unknown_prompt(rng), Ask(UNKNOWN.name)
            if rng.random() < 0.2:
                text = _vary(text, rng) if text else text
            # A random question can hit a known intent; such a pair would teach the wrong thing.
            if ask_of(text) != ask:
                continue
        else:
            name = rng.choices(names, weights=weights)[0]
            plain = rng.choice(table[name][0])
            ask = ask_of(plain)
            text = _vary(plain, rng)
        if normalise(text) not in held_out_keys():
            return text, ask
