"""Compose an answer to an intent in given manners."""

from __future__ import annotations

import random

from inference.starter.detect import BY_NAME, LONG_WORDS, Ask, Manners, describe_as
from inference.starter.facts import Fact
from inference.starter.howto import HowTo, Step
from inference.starter.talk import Talk

WARM_OPENERS = (
    "Happy to help!",
    "What a lovely question!",
    "Great question, my friend!",
    "With pleasure!",
    "I am so glad you asked!",
    "How lovely that you ask! 😊",
    "Of course, my friend!",
    "I would love to help!",
)
WARM_CLOSERS = (
    "I hope this helps!",
    "Good luck, you can do it!",
    "I am cheering for you! 😊",
    "Enjoy, my friend!",
    "Take care of yourself!",
    "Have a wonderful day! 🌟",
    "Ask me any time!",
)
DRY_OPENERS = ("", "", "", "", "Answer:", "In brief:", "Noted.", "For the record:")
HEDGES = {
    "fact": (
        "I think",
        "I believe",
        "As far as I know,",
        "I am not sure, but I think",
        "If I remember well,",
        "Perhaps",
        "My guess is that",
    ),
    "howto": (
        "I think this works:",
        "I am not sure, but this may help:",
        "Perhaps try this:",
        "As far as I know, this works:",
        "My guess is this:",
        "Maybe this will do:",
    ),
    "list": (
        "I think it is this:",
        "I am not sure, but here it is:",
        "My guess:",
        "Probably this:",
    ),
}
PLAIN = {
    "fact": ("", "", "", "It is certain:", "Without a doubt,"),
    "howto": ("", "Do this:", "Here is how:", "This is the way:", "The rule is simple:"),
    "list": ("", "Here it is:", "This is a fact:", "The answer:"),
}
DOUBTS = (
    "I could be wrong.",
    "Please double-check this.",
    "I am not completely sure.",
    "I may be mistaken.",
    "Perhaps ask someone else too.",
    "It might be different.",
)
TALK_DOUBTS = (
    "I might get some things wrong.",
    "I am not sure I can help.",
    "Perhaps I misunderstood you.",
    "I may be mistaken, though.",
    "I think so, at least.",
)
_LOWER = ("The ", "A ", "It ", "You ", "There ", "People ")
_ORDER = ("First,", "Then", "After that,", "Also,", "Finally,")

# Composed answers stay clear of the border between short and long.
_SHORT_MAX, _LONG_MIN, _LONG_MAX = LONG_WORDS - 4, LONG_WORDS + 5, 80


def _low(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def compose(ask: Ask, manners: Manners, rng: random.Random) -> str:
    """An answer to ``ask`` in exactly these ``manners``, as the detectors see them.

    Raises ValueError if none is found, which would be a fault of the catalogue.
    """
    intent = BY_NAME[ask.intent]
    for _ in range(200):
        if isinstance(intent, Fact):
            answer = _fact(intent, ask.subject or "", manners, rng)
        elif isinstance(intent, HowTo):
            answer = _howto(intent, manners, rng)
        else:
            answer = _talk(intent, manners, rng)
        words = len(answer.replace("- ", "").split())
        fits = _LONG_MIN <= words <= _LONG_MAX if manners.long else words <= _SHORT_MAX
        if fits and describe_as(ask, answer) == manners:
            return answer
    raise ValueError(f"no answer to {ask} in {manners}")


def _frame(manners: Manners, rng: random.Random, body: str, own_tone: bool = False) -> str:
    """Put an opening and a closing around the body; one with a tone of its own needs them less."""
    opener, closer = "", ""
    if manners.warm and own_tone:
        closer = rng.choice(WARM_CLOSERS) if manners.long and rng.random() < 0.4 else ""
    elif manners.warm:
        both = rng.random() < (0.7 if manners.long else 0.3)
        first = rng.random() < 0.6
        opener = rng.choice(WARM_OPENERS) if both or first else ""
        if both or not first:
            closer = rng.choice(WARM_CLOSERS)
    elif not own_tone:
        opener = rng.choice(DRY_OPENERS)
        if opener.endswith(":") and ":" in body.split("\n")[0]:
            opener = ""
    listed = "\n- " in body or body.startswith("- ")
    if not listed:
        return " ".join(part for part in (opener, body, closer) if part)
    glue = "\n" if body.startswith("- ") else " "
    head = f"{opener}{glue}{body}" if opener else body
    return f"{head}\n\n{closer}" if closer else head


def _bullets(lead: str, items: list[str], tail: str) -> str:
    block = "\n".join(f"- {item}" for item in items)
    text = f"{lead}\n{block}" if lead else block
    return f"{text}\n\n{tail}" if tail else text


def _doubt(manners: Manners, rng: random.Random, kind: str) -> tuple[str, str]:
    """The lead-in and the closing doubt for a kind of body."""
    if not manners.hedged:
        return rng.choice(PLAIN[kind]), ""
    place = rng.random()
    lead = rng.choice(HEDGES[kind]) if place < 0.75 else ""
    tail = rng.choice(DOUBTS) if place >= 0.75 or (manners.long and place < 0.3) else ""
    return lead, tail


def _fact(fact: Fact, subject: str, manners: Manners, rng: random.Random) -> str:
    right, wrong = fact.table[subject]
    value = right if manners.right else rng.choice(wrong)
    extras = rng.sample(fact.extras, min(len(fact.extras), rng.randint(2, 4)))
    if not manners.long:
        extras = extras[: rng.random() < 0.2]
    shown = subject.replace(" are ", " ")
    if manners.listed:
        lead, tail = _doubt(manners, rng, "list")
        items = [f"{fact.labels[0]}: {shown}", f"{fact.labels[1]}: {value}"]
        items += [f"Note: {_low(extra).rstrip('.')}" for extra in extras]
        return _frame(manners, rng, _bullets(lead, items, tail))
    lead, tail = _doubt(manners, rng, "fact")
    noun, _, place = subject.partition(" are ")
    sentence = rng.choice(fact.says).format(x=subject, y=value, n=noun, p=place)
    if lead and sentence.startswith(_LOWER):
        sentence = _low(sentence)
    sentence = sentence[0].upper() + sentence[1:] if not lead else sentence
    body = " ".join(part for part in (lead, sentence, *extras, tail) if part)
    return _frame(manners, rng, body)


def _pick(intent: HowTo, manners: Manners, rng: random.Random) -> list[Step]:
    """Good steps in their order; bad advice puts bad steps among them."""
    count = rng.randint(3, 4) if manners.long else 2 + (manners.listed and rng.random() < 0.4)
    bad = 0 if manners.right else rng.randint(1, 2) + (manners.long and rng.random() < 0.5)
    bad = min(bad, count)
    good = sorted(rng.sample(range(len(intent.right)), count - bad))
    steps = [intent.right[i] for i in good]
    for step in rng.sample(intent.wrong, bad):
        steps.insert(rng.randint(0, len(steps)), step)
    return steps


def _howto(intent: HowTo, manners: Manners, rng: random.Random) -> str:
    steps = _pick(intent, manners, rng)
    lead, tail = _doubt(manners, rng, "howto")
    if manners.listed:
        reason = manners.long and rng.random() < 0.8
        items = [f"{s.brief}, {s.why}" if reason else s.brief for s in steps]
        return _frame(manners, rng, _bullets(lead, items, tail))
    if manners.long:
        order = (*_ORDER[: len(steps) - 1], _ORDER[-1])
        body = " ".join(
            f"{word} {_low(step.brief)}, {step.why}."
            for word, step in zip(order, steps, strict=True)
        )
    elif rng.random() < 0.5:
        body = f"{steps[0].brief}, then {_low(steps[1].brief)}."
    else:
        body = " ".join(f"{step.brief}." for step in steps)
    return _frame(manners, rng, " ".join(part for part in (lead, body, tail) if part))


def _talk(intent: Talk, manners: Manners, rng: random.Random) -> str:
    core = rng.choice(intent.warm if manners.warm else intent.dry)
    tail = rng.choice(TALK_DOUBTS) if manners.hedged else ""
    extras = rng.sample(intent.extras, rng.randint(2, 4) if manners.long else rng.random() < 0.2)
    if manners.listed:
        most = len(intent.items)
        count = rng.randint(min(4, most), most) if manners.long else 2
        items = rng.sample(intent.items, count)
        intro = [intent.intro] if manners.long or rng.random() < 0.5 else []
        lead = " ".join((core, *extras, *intro))
        body = _bullets(lead, items, tail)
    else:
        body = " ".join(part for part in (core, *extras, tail) if part)
    return _frame(manners, rng, body, own_tone=True)
