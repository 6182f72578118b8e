"""Where the steps of an answer begin and end. No Django here.

Steps are stated with the task, as `metadata["steps"]` (for each candidate, in the order
imported, a list of [start, end] in code points), or else they are the paragraphs of the text;
a text of one paragraph has its lines as steps. A fenced block of code stays in one step.
"""

import re

_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
MOST_STEPS = 500


def steps_of(text: str, stated: object = None) -> list[tuple[int, int]]:
    """The steps of a text as (start, end), in order; empty only for an empty text.

    `stated` offsets that do not fit the text are passed over as if there were none.
    """
    fitting = _stated(text, stated)
    if fitting is not None:
        return fitting
    blocks = _blocks(text, by_line=False)
    if len(blocks) == 1 and not _FENCE.match(text):
        blocks = _blocks(text, by_line=True)
    if len(blocks) > MOST_STEPS:
        blocks = [*blocks[: MOST_STEPS - 1], (blocks[MOST_STEPS - 1][0], blocks[-1][1])]
    return blocks


def stated_for(metadata: object, position: int) -> object:
    """What a task's metadata states for the candidate at a position, unchecked."""
    stated = metadata.get("steps") if isinstance(metadata, dict) else None
    return stated[position] if isinstance(stated, list) and position < len(stated) else None


def _stated(text: str, stated: object) -> list[tuple[int, int]] | None:
    if not isinstance(stated, list) or not 0 < len(stated) <= MOST_STEPS:
        return None
    steps, at = [], 0
    for item in stated:
        if not (isinstance(item, list | tuple) and len(item) == 2):
            return None
        start, end = item
        if not all(isinstance(n, int) and not isinstance(n, bool) for n in item):
            return None
        if not at <= start < end <= len(text):
            return None
        steps.append((start, end))
        at = end
    return steps


def _blocks(text: str, *, by_line: bool) -> list[tuple[int, int]]:
    """Stretches of text between blank lines (or single lines), without the white space around."""
    blocks: list[tuple[int, int]] = []
    start: int | None = None
    end = at = 0
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        inside = bool(fence)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
            fence = ""
        if line.strip() or inside:
            if by_line and start is not None and not inside:
                blocks.append((start, end))
                start = None
            if start is None:
                start = at + len(line) - len(line.lstrip())
            end = at + len(line.rstrip()) if line.strip() else end
        elif start is not None:
            blocks.append((start, end))
            start = None
        at += len(line)
    if start is not None:
        blocks.append((start, end))
    return blocks
