"""The query of a snapshot: what may be asked, checked and completed."""

from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from alignment.services.records import KINDS
from annotation.models import Project
from config.errors import Invalid

SOURCES = ("human", "review", "vote")
#: What an implicit preference weighs beside one that was said in words, before its audit.
IMPLICIT = 0.3


def resolve_query(project: Project, query: dict[str, Any] | None) -> dict[str, Any]:
    """The query with its defaults, keys in a fixed form. Raises Invalid naming what is wrong.

    `projects`, `kinds`, `sources` and `people` (pseudonyms; empty: everyone) say whose words of
    what kind; `without` leaves people out; `since` and `until` bound the time; `flagged` false
    leaves out judgments that carry a flag; `weights` is `fitted` (by reliability) or `equal`;
    `min_weight` leaves out people whose word is worth less than this share of the average;
    `consent` is always `given`; `eval_share` of the prompts are held out, by their hash.
    `implicit` adds pairs from what people did with two answers (asked again, copied), each with
    this share of the weight of a spoken one; true stands for IMPLICIT, and none are drawn unasked.
    """
    given = dict(query or {})
    lists = {
        "projects": [project.slug],
        "kinds": list(KINDS),
        "sources": list(SOURCES),
        "people": [],
        "without": [],
    }
    resolved: dict[str, Any] = {
        name: sorted(set(_names(given.pop(name, default), name))) for name, default in lists.items()
    }
    plain = {
        "since": None,
        "until": None,
        "flagged": True,
        "weights": "fitted",
        "min_weight": 0.0,
        "consent": "given",
        "eval_share": 0.2,
    }
    resolved |= {name: given.pop(name, default) for name, default in plain.items()}
    implicit = given.pop("implicit", False)
    wrong: dict[str, str] = dict.fromkeys(given, "is not a known key of a query")
    if not isinstance(implicit, bool) and not _number(implicit, 0, 1, closed=True):
        wrong["implicit"] = "must be true, false, or a weight from 0 to 1"
    elif implicit:  # not named otherwise, so that queries from before it keep their digests
        resolved["implicit"] = IMPLICIT if implicit is True else float(implicit)
    known = set(
        Project.objects.filter(slug__in=resolved["projects"]).values_list("slug", flat=True)
    )
    missing = sorted(set(resolved["projects"]) - known)
    if missing or not resolved["projects"]:
        wrong["projects"] = f"no such project: {', '.join(missing) or 'none named'}"
    for name, choices in (("kinds", KINDS), ("sources", SOURCES)):
        if set(resolved[name]) - set(choices) or not resolved[name]:
            wrong[name] = f"choose from {', '.join(choices)}"
    for name in ("since", "until"):
        if resolved[name] is None:
            continue
        at = _moment(resolved[name])
        if at is None:
            wrong[name] = "must be a date and time with a zone, like 2026-01-31T12:00:00Z"
        else:
            resolved[name] = at.isoformat()
    if not isinstance(resolved["flagged"], bool):
        wrong["flagged"] = "must be true or false"
    if resolved["weights"] not in ("fitted", "equal"):
        wrong["weights"] = "choose from fitted, equal"
    if resolved["consent"] != "given":
        wrong["consent"] = "must be given: nothing is drawn that people withheld"
    if not _number(resolved["min_weight"], 0, 1, closed=True):
        wrong["min_weight"] = "must be a number from 0 to 1"
    if not _number(resolved["eval_share"], 0, 1):
        wrong["eval_share"] = "must be a number between 0 and 1"
    if wrong:
        said = "; ".join(f"{key}: {why}" for key, why in wrong.items())
        raise Invalid(f"The query cannot be used. {said}.", fields=wrong)
    return resolved


def _moment(value: Any):
    try:
        at = parse_datetime(str(value))
    except ValueError:
        return None
    return None if at is None or timezone.is_naive(at) else at


def _number(value: Any, low: float, high: float, *, closed: bool = False) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return low <= value <= high if closed else low < value < high


def _names(value: Any, field: str) -> list[str]:
    if isinstance(value, str) or not all(isinstance(item, str) for item in value or []):
        raise Invalid("The query cannot be used.", fields={field: "must be a list of names"})
    return list(value or [])
