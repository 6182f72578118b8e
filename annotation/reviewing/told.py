"""What was said of a task, in words, with answers by letter and nobody named."""

from collections.abc import Mapping
from dataclasses import dataclass

from annotation.desks import LETTERS
from annotation.models import Judgment, Task
from annotation.prompts import content_text
from annotation.quality import gold
from annotation.said import in_words
from annotation.services import parts, review, said_by

#: People are told apart by letters that no answer has.
PEOPLE = "PQRSTUVWXYZ"


@dataclass(frozen=True)
class Told:
    """The answers of a task by letter, as imported."""

    task: Task
    letters: Mapping[int, str]

    def texts(self) -> list[tuple[str, str]]:
        """Each answer's letter and text."""
        rows = sorted(self.task.candidates.all(), key=lambda c: c.position)
        return [
            (self.letters[c.pk], c.content if c.parts is None else content_text(c.parts))
            for c in rows
        ]

    def lines(self, answer: Mapping) -> list[str]:
        """An answer as `parts.answer_of` gives it, in words."""
        return in_words(answer, self.letters)

    def gold_lines(self) -> list[str]:
        """The known answer in words; it names candidates by place."""
        if not isinstance(self.task.gold, dict):
            return []
        ids = {place: pk for pk, place in said_by.places(self.task).items()}
        known = gold.placed(said_by.named_as_said(self.task, self.task.gold), ids)
        try:
            return in_words(known, self.letters) if known else []
        except (KeyError, TypeError, AttributeError, IndexError):
            return []  # gold of another version of its kind; the note explains it


def told(task: Task) -> Told:
    """See `Told`."""
    rows = sorted(task.candidates.all(), key=lambda c: c.position)
    return Told(task, {c.pk: LETTERS[n] for n, c in enumerate(rows)})


@dataclass(frozen=True)
class Voice:
    """One annotator's judgment of a task under a letter: what, why, and against gold."""

    letter: str
    judgment: Judgment
    lines: list[str]
    shown: str
    score: float | None

    @property
    def missed_gold(self) -> bool:
        return gold.is_right(self.score) is False


def voices(task: Task) -> list[Voice]:
    """Everyone's judgment, in an order that says nothing about who they are."""
    words = told(task)
    found = []
    for n, judgment in enumerate(review.standing(task)):
        letter = PEOPLE[n] if n < len(PEOPLE) else str(n + 1)
        shown = "".join(words.letters.get(pk, "?") for pk in judgment.shown)
        lines = words.lines(parts.answer_of(judgment))
        found.append(Voice(letter, judgment, lines, shown, said_by.gold_score(judgment)))
    return found
