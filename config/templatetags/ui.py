"""Template helpers shared by all pages: `{% load ui %}`."""

import json
from functools import lru_cache
from pathlib import Path

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from config import markdown as sanitiser

register = template.Library()


@register.simple_tag(takes_context=True)
def import_map(context: template.Context) -> SafeString:
    """The import map: every file of static/js under its bare name ("lib/api", "feedback/chat").

    Bare names survive hashed file names. The element carries the CSP nonce of this response.
    """
    request = context.get("request")
    if request is None:
        return SafeString("")
    imports = _imports_now() if settings.DEBUG else _imports()
    return format_html(
        '<script type="importmap" nonce="{}">{}</script>',
        request.csp_nonce,
        mark_safe(imports),  # noqa: S308 - JSON of our own file names, "<" escaped
    )


@lru_cache(maxsize=1)
def _imports() -> str:
    return _imports_now()


def _imports_now() -> str:
    names = sorted(
        path.relative_to(folder)
        for folder in settings.STATICFILES_DIRS
        for path in (Path(folder) / "js").rglob("*.js")
    )
    imports = {
        name.relative_to("js").with_suffix("").as_posix(): static(name.as_posix()) for name in names
    }
    # "<" cannot occur in an address, but nothing is left to chance inside a script element.
    return json.dumps({"imports": imports}).replace("<", "\\u003c")


@register.simple_tag
def icon(name: str) -> SafeString:
    """A line icon from static/icons.svg; the word beside it or its button's label says it."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>',
        static("icons.svg"),
        name,
    )


@register.filter
def markdown(text: str) -> SafeString:
    """Text of a model or a person as safe HTML; place it inside `<div class="prose">`."""
    return sanitiser.render(text or "")


@register.filter
def thin(value: float | int | None, digits: int = 0) -> str:
    """A number with thin spaces between thousands: 12345 -> 12 345; None -> an en dash."""
    return "–" if value is None else f"{value:,.{digits}f}".replace(",", "\u202f")


@register.filter
def per_cent(share: float | None) -> str:
    """A share as per cent with one decimal: 0.1234 -> 12.3 %; None -> an en dash."""
    return "–" if share is None else f"{100 * share:.1f}\u202f%"
