"""Template helpers of the annotation pages: `{% load annotation %}`."""

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from annotation.prompts import content_text
from config.markdown import clean_text

register = template.Library()


@register.filter
def said(content: object) -> str:
    """The text of a message's content, plain or in typed parts."""
    return content_text(content) if isinstance(content, str | list) else ""


@register.filter
def raw(text: str) -> SafeString:
    """Text for marking: each code point of it is one code point in the page.

    What cannot be shown is replaced one for one, and a carriage return is written as a reference,
    because a browser would swallow a bare one and every offset after it would be wrong.
    """
    return mark_safe(escape(clean_text(text)).replace("\r", "&#13;"))  # noqa: S308 - escaped
