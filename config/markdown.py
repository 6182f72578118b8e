"""The one door by which text from models, people and files becomes HTML.

Markdown is parsed with raw HTML switched off, code is coloured by class (never by style), formulas
become MathML (`config.formulas`), and the result passes an allow-list sanitiser, so that a mistake
in one step is caught by the next. Nothing that loads by itself (images, frames, styles) survives;
links only point to web and mail.
"""

import re
import time
from collections.abc import Sequence

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pygments import format as highlighted
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from config.formulas import TAGS as FORMULA_TAGS
from config.formulas import FormulaRenderer, add_formulas

# Longer texts are shown as they are: a person cannot read that much formatting, and the parser
# would hold the request.
MARKDOWN_LIMIT = 60_000
HIGHLIGHT_LIMIT = 20_000
HIGHLIGHT_SECONDS = 0.15  # for all code of one text; some lexers are quadratic on hostile input
LINK_LIMIT = 100  # bare addresses; the search for them is quadratic too
LANGUAGES = frozenset(
    "bash c c++ cpp c# csharp cs css diff docker dockerfile go golang html http ini java"
    " javascript js json jsx julia kotlin latex tex lua markdown md php powershell py python"
    " python3 r rb ruby rs rust scala sh shell sql swift toml ts typescript xml yaml yml".split()
)

# C0 and C1 controls but tab, newline and return; lone surrogates; non-characters that break UTF-8
# or HTML; and the bidirectional overrides that let a text disguise what follows it.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e]"
)
_TAGS = {
    "p", "br", "hr", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "blockquote",
    "ul", "ol", "li", "a", "table", "thead", "tbody", "tr", "th", "td", "div", "span",
    *FORMULA_TAGS,
}  # fmt: skip
_PYGMENTS_CLASS = re.compile(r"[a-z][a-z0-9]{0,3}")


def clean_text(text: str) -> str:
    """Replace what no page can show (controls, surrogates, bidi overrides) by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def render(text: str) -> SafeString:
    """Markdown to HTML that is safe to place in a page, whoever wrote the text.

    Never raises for any string. Texts above `MARKDOWN_LIMIT` code points, and texts on which the
    parser gives up, come back as one escaped block with their line breaks kept.
    """
    text = clean_text(text)
    if len(text) > MARKDOWN_LIMIT:
        return _plain(text)
    crowded = text.count("//") + text.count("mailto:") > LINK_LIMIT
    parser = _parser_without_bare_links if crowded else _parser
    try:
        html = parser.render(text, {"seconds": HIGHLIGHT_SECONDS})
    except (RecursionError, ValueError, IndexError):
        return _plain(text)
    return mark_safe(_cleaner.clean(html))  # noqa: S308 - this is the sanitiser


def _plain(text: str) -> SafeString:
    return mark_safe(f'<div class="prose--plain" dir="auto">{escape(text)}</div>')  # noqa: S308


def _highlight(code: str, language: str, env: dict) -> str:
    """Inner HTML of a code block; coloured when the language is known and time is left.

    `env["seconds"]` is the time left to all code blocks of this text; what is used is taken off.
    """
    if language not in LANGUAGES or len(code) > HIGHLIGHT_LIMIT:
        return escape(code)
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return escape(code)
    start, tokens = time.monotonic(), []
    for token in lexer.get_tokens(code):
        tokens.append(token)
        if time.monotonic() - start > env["seconds"]:
            break
    env["seconds"] -= time.monotonic() - start
    if env["seconds"] <= 0:
        return escape(code)
    return highlighted(tokens, HtmlFormatter(nowrap=True))


class _Renderer(FormulaRenderer, RendererHTML):
    """The house's HTML: a framed code block, text direction by content, no style attributes."""

    def fence(self, tokens: Sequence[Token], idx: int, options, env) -> str:
        token = tokens[idx]
        words = token.info.split(maxsplit=1)
        language = words[0][:24] if words else ""
        label = f' data-language="{escape(language)}"' if language else ""
        inner = _highlight(token.content, language.lower(), env)
        return f'<div class="code"{label}><pre tabindex="0"><code>{inner}</code></pre></div>\n'

    def code_block(self, tokens: Sequence[Token], idx: int, options, env) -> str:
        inner = escape(tokens[idx].content)
        return f'<div class="code"><pre tabindex="0"><code>{inner}</code></pre></div>\n'


def _house_rules(state) -> None:
    """Shift headings below the page's own, set direction, turn alignment into classes."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
        # On outermost blocks only: what is inside takes its direction from there, and `auto` does
        # not look into elements that have a direction of their own.
        if token.level == 0 and token.nesting == 1:
            token.attrSet("dir", "auto")
        style = token.attrs.pop("style", None)
        if style:
            side = str(style).rpartition(":")[2]
            token.attrSet("class", f"align-{side}")


def _allow(tag: str, attribute: str, value: str) -> str | None:
    """Keep only values that this module writes; everything else was smuggled in."""
    if attribute == "class":
        known = {
            "div": {"code", "formula", "prose--plain"},
            "th": {"align-left", "align-center", "align-right"},
            "td": {"align-left", "align-center", "align-right"},
        }
        fine = value in known.get(tag, ()) or (tag == "span" and _PYGMENTS_CLASS.fullmatch(value))
        return value if fine else None
    if tag == "math":
        return value if value in ("block", "inline") else None
    if attribute == "dir":
        return "auto"
    if attribute == "tabindex":
        return "0"
    return value


def _build(*, bare_links: bool) -> MarkdownIt:
    options = {"html": False, "linkify": bare_links}
    parser = MarkdownIt("commonmark", options, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"]).disable("image")
    if bare_links:
        parser.enable("linkify")
        parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
    add_formulas(parser)
    parser.core.ruler.push("house_rules", _house_rules)
    return parser


_parser = _build(bare_links=True)
_parser_without_bare_links = _build(bare_links=False)

_cleaner = nh3.Cleaner(
    tags=_TAGS,
    clean_content_tags={"script", "style"},
    attributes={
        "a": {"href", "title"},
        "ol": {"start", "dir"},
        "div": {"class", "data-language", "dir"},
        "pre": {"tabindex"},
        "span": {"class"},
        "math": {"display"},
        "th": {"class"},
        "td": {"class"},
        **{tag: {"dir"} for tag in ("p", "h3", "h4", "h5", "h6", "blockquote", "ul", "table")},
    },
    attribute_filter=_allow,
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer nofollow ugc",
    strip_comments=True,
)
