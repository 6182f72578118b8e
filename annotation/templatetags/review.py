"""Template helpers of the review and quality pages: `{% load review %}`."""

from django import template

from annotation.services import review

register = template.Library()


@register.simple_tag(takes_context=True)
def unread_notes(context) -> int:
    """How many notes of reviewers the person on this page has not opened."""
    user = getattr(context.get("request"), "user", None)
    return review.unread(user) if user is not None and user.is_authenticated else 0


@register.filter
def figure(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals and a true minus; an en dash for none."""
    if not isinstance(value, int | float):  # an unknown name in a template is blank text
        return "–"
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


@register.filter
def whole_percent(value: float | None) -> str:
    """A share in [0, 1] as whole per cent; an en dash for none."""
    return f"{100 * value:.0f}\u202f%" if isinstance(value, int | float) else "–"


@register.filter
def of(mapping, key):
    """What a mapping has under a key; None for nothing."""
    return mapping.get(key) if mapping else None
