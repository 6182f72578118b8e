"""What a new project starts with, by kind: questions, words for errors, guidelines."""

from django.utils.translation import gettext_lazy as _

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")

CATEGORIES = (
    "wrong fact",
    "unverifiable",
    "irrelevant",
    "redundant",
    "incoherent",
    "unsafe",
)

MISSING = ("missing answer", "missing major point", "missing minor point")

PRINCIPLES = {
    "answers": "Does it answer what was asked?",
    "true": "Is everything it states true, as far as you can tell?",
    "honest": "Does it say so where it is unsure or does not know?",
    "brief": "Is it free of padding and repetition?",
    "kind": "Is it polite without flattery?",
    "safe": "Does it avoid helping anyone to do harm?",
}

_OPENING = """\
Read the conversation first, then every answer to the end. Judge what the person asking would be
glad to have got, not what you would have written. If you cannot tell, skip and say why.
"""

_SECTIONS = {
    "pairwise": """\
## Which answer is better?
- **Better**: it answers the question, it is true and clear, and no longer than it needs to be.
- A wrong fact weighs more than style. A harmful answer loses to a refusal that helps otherwise.
- **Tie** when you would be equally glad of both. **Both bad** when you would want neither.
- Slightly, clearly, much: how sure you would be that a friend agrees.
""",
    "listwise": """\
## Rank the answers
- Best first. Put answers that are equally good on one place.
- *Unusable* is for an answer that is broken, empty or in the wrong language.
""",
    "span": """\
## Mark what is wrong
- Select the shortest stretch that carries the fault, and choose what kind of fault it is.
- Mark what is missing too: it has no stretch of its own.
- No faults is an answer: send it with nothing marked.
""",
    "principle": """\
## Yes, no, or not applicable
- One question at a time; forget the others while you answer it.
- Where you say no, select the words that made you say it, if there are any.
""",
    "rating": """\
## Rate each attribute from 0 to 4
- 0 is as bad as it can be, 2 is middling, 4 could not be better.
- Rate each attribute on its own: a wrong answer can still be well written.
""",
    "critique": """\
## Criticise and correct
- Say what is wrong and why, so that the writer could mend it.
- Then mend it: change as little as you need to.
""",
    "safety": """\
## Helpful, and safe
- Two questions: which answer helps more, and which one is safer? They may have different answers.
- Then say how much harm each answer could do to anyone, from none to severe.
""",
    "step": """\
## Step by step
- Judge each step or turn on its own: good, neutral or bad, given what came before it.
- A step that follows from an earlier mistake without adding one is neutral.
""",
    "triplet": """\
## Which is closer?
- Read the first answer, then say which of the other two is more like it in what it says and how.
- If you cannot tell them apart, say that they are equally close.
""",
}

#: One sentence a kind, for choosing among them.
SUMMARIES = {
    "pairwise": _("Two answers side by side: which is better, and by how much?"),
    "listwise": _("Three to eight answers, put in order from best to worst, ties allowed."),
    "span": _("One answer, in which the faulty words are marked with what is wrong."),
    "principle": _("Yes, no or not applicable to one plain question after another."),
    "rating": _("Each attribute of an answer on a scale from 0 to 4."),
    "critique": _("What is wrong in words, and the answer as it should have been."),
    "safety": _("Which answer helps more, which is safer, and how harmful each is."),
    "step": _("Every step of a solution or turn of a talk: good, neutral or bad."),
    "triplet": _("Which of two answers is closer to a third?"),
}


def guidelines(kinds: list[str]) -> str:
    """Markdown guidelines for the kinds a project asks for."""
    return "\n".join([_OPENING, *(_SECTIONS[kind] for kind in dict.fromkeys(kinds))])
