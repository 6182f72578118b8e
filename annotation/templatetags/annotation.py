"""Template helpers of the annotation pages: `{% load annotation %}`."""

import re
from urllib.parse import urlsplit
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from annotation.prompts import content_text
from config.markdown import clean_text

register = template.Library()

#: Pictures that travel inside the text itself; the policy of the page loads no others.
_INLINE_IMAGE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+")
LONGEST_INLINE_IMAGE = 4_000_000


@register.filter
def said(content: object) -> str:
    """The text of a message's content, plain or in typed parts."""
    return content_text(content) if isinstance(content, str | list) else ""


@register.filter
def parts(content: object) -> list[dict]:
    """Content as parts to show: `text`, `image` with its address, or `link` to one elsewhere."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        return []
    return [_part(item) for item in content if isinstance(item, dict)]


def _part(item: dict) -> dict:
    kind = item.get("type")
    if kind == "text":
        return {"type": "text", "text": str(item.get("text", ""))}
    if kind not in ("image", "image_url"):
        return {"type": "text", "text": f"[{kind}]"}
    given = item.get(kind)
    if isinstance(given, dict):
        given = given.get("url") or given.get("id")
    alt = str(item.get("alt") or "")[:500]
    return _image(given if isinstance(given, str) else "", alt)


def _image(given: str, alt: str) -> dict:
    try:
        own = reverse("annotate-media", args=[UUID(given)])
        return {"type": "image", "address": own, "alt": alt}
    except ValueError:
        pass
    if len(given) <= LONGEST_INLINE_IMAGE and _INLINE_IMAGE.fullmatch(given):
        return {"type": "image", "address": given, "alt": alt}
    try:
        address = urlsplit(given)
        host = address.hostname if address.scheme in ("http", "https") else None
    except ValueError:
        host = None
    if host:
        return {"type": "link", "address": given, "host": host, "alt": alt}
    return {"type": "text", "text": "[image]"}


@register.filter
def raw(text: str) -> SafeString:
    """Text for marking: each code point of it is one code point in the page.

    What cannot be shown is replaced one for one, and a carriage return is written as a reference,
    because a browser would swallow a bare one and every offset after it would be wrong.
    """
    return mark_safe(escape(clean_text(text)).replace("\r", "&#13;"))  # noqa: S308 - escaped
