"""LaTeX formulas inside Markdown, as MathML made on the server: nothing runs in the page.

`$...$` and `\\(...\\)` stand in a line, `$$...$$` and `\\[...\\]` on their own. A dollar before a
price stays a dollar: the opening one must not be followed by a space, nor the closing one by a
digit. What cannot be read as a formula is shown as it was written.
"""

import re
import time
from collections.abc import Sequence

from django.utils.html import escape
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

LONGEST = 2000
SECONDS = 0.25  # for all formulas of one text

#: Elements that the converter writes and the sanitiser keeps; none of them can load or run.
TAGS = frozenset(
    "math mrow mi mn mo ms mtext mspace mfrac msqrt mroot msub msup msubsup munder mover"
    " munderover mmultiscripts mprescripts mtable mtr mtd mpadded mphantom mstyle menclose".split()
)

_INLINE = re.compile(
    r"\$\$(?P<display>[^$]{1,2000}?)\$\$"
    r"|\$(?P<dollar>(?![\s$])(?:\\.|[^$\\\n]){1,2000}?)(?<!\s)\$(?!\d)"
    r"|\\\((?P<round>.{1,2000}?)\\\)"
    r"|\\\[(?P<square>.{1,2000}?)\\\]",
    re.S,
)
_CLOSED_BY = {"$$": "$$", "\\[": "\\]"}


def add_formulas(parser: MarkdownIt) -> None:
    """Teach a parser the two rules; its renderer needs `math_inline` and `math_block`."""
    parser.inline.ruler.before("escape", "math_inline", _inline)
    parser.block.ruler.before(
        "fence", "math_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )


def mathml(tex: str, env: dict, *, display: bool) -> str:
    """MathML of a formula, not sanitised yet; the source as code where it is none.

    `env["formulas"]` is the time left to all formulas of this text; what is used is taken off.
    """
    left = env.setdefault("formulas", SECONDS)
    start = time.monotonic()
    try:
        if left <= 0 or len(tex) > LONGEST:
            raise ValueError
        # Inside \text the converter would pass markup on as it stands.
        plain = tex.replace("<", r"\lt ").replace(">", r"\gt ")
        html = convert(plain, display="block" if display else "inline")
    except Exception:  # the converter raises what it likes on what is no LaTeX
        html = f"<code>{escape(tex)}</code>"
    env["formulas"] = left - (time.monotonic() - start)
    return html


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    found = _INLINE.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content = found[found.lastgroup].strip()
        token.meta = {"display": found.lastgroup in ("display", "square")}
    state.pos = found.end()
    return True


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if state.is_code_block(start):
        return False
    opening = state.src[state.bMarks[start] + state.tShift[start] :][:2]
    closing = _CLOSED_BY.get(opening)
    if closing is None:
        return False
    lines: list[str] = []
    for line in range(start, end):
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
        lines.append(text)
        body = "\n".join(lines)[2:]
        if not text.strip() or len(body) > LONGEST:
            return False  # a formula has no blank lines
        if body.rstrip().endswith(closing) and len(body.strip()) > len(closing):
            break
    else:
        return False
    if silent:
        return True
    token = state.push("math_block", "math", 0)
    token.block = True
    token.content = body.strip()[: -len(closing)].strip()
    token.map = [start, line + 1]
    state.line = line + 1
    return True


class FormulaRenderer:
    """The two methods a renderer needs; mixed into the house's own."""

    def math_inline(self, tokens: Sequence, idx: int, options, env) -> str:
        return mathml(tokens[idx].content, env, display=tokens[idx].meta["display"])

    def math_block(self, tokens: Sequence, idx: int, options, env) -> str:
        return f'<div class="formula">{mathml(tokens[idx].content, env, display=True)}</div>\n'
