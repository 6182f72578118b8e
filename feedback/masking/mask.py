"""Put a label in the place of what the rules find, the same label for the same thing."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from feedback.masking.rules import RULES, Found, names_told

_LABEL = re.compile(r"\[([A-Z]{2,8})_(\d{1,6})\]")
_UNSPACED = re.compile(r"[\u3400-\u9fff\u3040-\u30ff\uac00-\ud7a3]")
#: The shortest part of a name that is masked wherever it stands.
LEAST_NAME = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """A label and its place in the masked text, by code points."""

    start: int
    end: int
    label: str

    @property
    def kind(self) -> str:
        return self.label[1:].rpartition("_")[0]


@dataclass(frozen=True, slots=True)
class Masked:
    """A text with labels in the places of personal data."""

    text: str
    marks: list[Mark] = field(default_factory=list)

    @property
    def counts(self) -> Counter:
        """How many marks of each kind."""
        return Counter(mark.kind for mark in self.marks)

    @property
    def pieces(self) -> list[tuple[str, bool]]:
        """The text cut at its marks: (words, whether they are a mark)."""
        cut, at = [], 0
        for mark in self.marks:
            cut += [(self.text[at : mark.start], False), (self.text[mark.start : mark.end], True)]
            at = mark.end
        return [piece for piece in [*cut, (self.text[at:], False)] if piece[0]]


class Masker:
    """Masks the texts of one conversation, so that [EMAIL_1] is the same address in all of them.

    `texts` are all texts of the conversation: a name told in one is masked in the others.
    `names` are names known beforehand, such as those of the account.
    """

    def __init__(self, texts: Iterable[str] = (), *, names: Iterable[str] = ()):
        texts = list(texts)
        self._labels: dict[tuple[str, str], str] = {}
        self._taken = {one.group() for text in texts for one in _LABEL.finditer(text)}
        self._counts: Counter = Counter()
        self._names: dict[str, str] = {}
        self._pattern = None
        for name in [*names, *(name for text in texts for name in names_told(text))]:
            self._learn(name)
        if self._names:
            longest_first = sorted(self._names, key=len, reverse=True)
            words = "|".join(_as_word(one) for one in longest_first)
            self._pattern = re.compile(words, re.IGNORECASE)

    def mask(self, text: str) -> Masked:
        """`text` with its labels. What already looks like a label is left as it is."""
        parts, marks, at, length = [], [], 0, 0
        for found in self._found(text):
            label = self._label(found)
            before = text[at : found.start]
            start = length + len(before)
            parts += [before, label]
            marks.append(Mark(start, start + len(label), label))
            at, length = found.end, start + len(label)
        return Masked("".join([*parts, text[at:]]), marks)

    def _learn(self, name: str) -> None:
        """A name, and the parts of it that are long enough, stand for the same person."""
        whole = " ".join(name.split()).lower()
        if not whole:
            return
        for part in (whole, *whole.split()):
            if len(part) >= LEAST_NAME or part == whole:
                self._names.setdefault(part, whole)

    def _found(self, text: str) -> list[Found]:
        """What to mask, left to right, the rule named first winning where two overlap."""
        kept: list[Found] = []
        covered = bytearray(len(text))
        for start, end in (one.span() for one in _LABEL.finditer(text)):
            covered[start:end] = b"\1" * (end - start)
        found = [one for rule in RULES for one in sorted(rule(text))]
        if self._pattern is not None:
            found += [
                Found(*one.span(), "NAME", self._names[" ".join(one.group().lower().split())])
                for one in self._pattern.finditer(text)
                if " ".join(one.group().lower().split()) in self._names
            ]
        for one in found:
            if not any(covered[one.start : one.end]):
                covered[one.start : one.end] = b"\1" * (one.end - one.start)
                kept.append(one)
        return sorted(kept)

    def _label(self, found: Found) -> str:
        known = self._labels.get((found.kind, found.key))
        while known is None:
            self._counts[found.kind] += 1
            label = f"[{found.kind}_{self._counts[found.kind]}]"
            if label not in self._taken:
                known = self._labels[found.kind, found.key] = label
        return known


def _as_word(name: str) -> str:
    """A pattern for a name that stands alone; scripts without spaces have no words to end."""
    escaped = re.escape(name)
    return escaped if _UNSPACED.search(name) else rf"(?<!\w){escaped}(?!\w)"
