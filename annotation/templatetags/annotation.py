"""Template helpers of the annotation pages: `{% load annotation %}`."""

from django import template

from annotation.prompts import content_text

register = template.Library()


@register.filter
def said(content: object) -> str:
    """The text of a message's content, plain or in typed parts."""
    return content_text(content) if isinstance(content, str | list) else ""
