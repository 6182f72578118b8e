"""What of a text that is still being written can be formatted already: each block once.

A block is finished when something that cannot belong to it has begun: a paragraph after a blank
line, anything after a closed code fence. What a later block could still change (a list that goes
on, a formula not closed) waits. So rendering costs as much as one rendering of the whole.
"""

import re

#: Blocks beyond this are shown formatted at the end only.
LONGEST = 8000
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
#: Without one of these nothing is finished; looked for first because it is quick.
_SIGNS = ("\n\n", "\n```", "\n~~~", "\n \n", "\n\r\n")
_LIST = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)")


class Blocks:
    """The text of one answer as it grows, and how much of it is finished."""

    def __init__(self, text: str = ""):
        self._text = text
        self.finished = 0

    def add(self, piece: str) -> None:
        """Take in what was written next."""
        self._text += piece

    def next(self) -> tuple[int, int, str] | None:
        """(from, to, text) of all that has become finished since the last call, by code points."""
        if len(self._text) - self.finished > LONGEST:
            return None  # also so that no text is looked through too often
        if all(self._text.find(sign, self.finished) < 0 for sign in _SIGNS):
            return None
        end = boundary(self._text, self.finished)
        if end <= self.finished:
            return None
        start, self.finished = self.finished, end
        return start, end, self._text[start:end]


def boundary(text: str, start: int) -> int:
    """Where the last finished block after `start` ends; `start` itself where none is finished."""
    fence, formula, blank, is_list = "", False, False, False
    begun, end, at = False, start, start
    for line in text[start:].splitlines(keepends=True):
        words = line.strip()
        if fence:
            if words.startswith(fence) and not words.strip(fence[0]) and line.endswith("\n"):
                fence, blank = "", True
        elif not words:
            blank = begun
        else:
            certain = line.endswith("\n") or len(words) >= 4
            goes_on = line[0] in " \t" or (is_list and _LIST.match(line))
            if blank and not formula and certain and not goes_on:
                end, is_list = at, False
            blank = False
            if not begun or end == at:
                is_list = bool(_LIST.match(line))
            begun = True
            opened = _FENCE.match(line)
            if opened:
                fence = opened.group(1)
            elif words.count("$$") % 2 or words in (r"\[", r"\]"):
                formula = not formula
        at += len(line)
    return end
