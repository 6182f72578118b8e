"""Template helpers of the console: `{% load console %}`."""

from django import template

from alignment import plots
from alignment.overview import TONES

register = template.Library()


@register.filter
def number(value: float | int | None) -> str:
    """Three significant digits, thin spaces, a true minus; an en dash for none."""
    return plots.number(value) if isinstance(value, int | float) else "–"


@register.inclusion_tag("alignment/interval.html")
def interval(numbers: dict, name: str, count: str = "") -> dict:
    """A number of `numbers` with its interval, `{name}_ci`, and n where `count` names it."""
    low, high = (numbers.get(f"{name}_ci") or (None, None))[:2]
    return {
        "value": numbers.get(name),
        "low": low,
        "high": high,
        "n": numbers.get(count) if count else None,
    }


@register.filter
def percent(weight: int) -> str:
    """A share in parts per thousand: 150 -> 15 %."""
    return f"{weight / 10:g}\u202f%"


@register.filter
def tone(state: str) -> str:
    """The tone of a badge for a state of a run, a round or a step."""
    return TONES.get(state, "")


@register.filter
def short(digest: str | None) -> str:
    """The first 12 digits of a hash."""
    return (digest or "")[:12]
