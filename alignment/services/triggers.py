"""Rules: when a round begins by itself, and why it did not.

A rule is looked at every minute. A condition that holds begins a round unless the quiet hours, the
budget of the day or a round under way forbid it; either is kept with its numbers.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from alignment.models import Firing, Round, Rule
from alignment.services import locks, plan, rounds
from annotation.models import LogEntry, Project
from config.errors import DomainError, Invalid
from feedback.models import Event

logger = logging.getLogger(__name__)

FIELDS = (
    "enabled", "new_judgments", "new_reactions", "cron", "accuracy_drop", "agreement_drop",
    "prompt_shift", "quiet_from", "quiet_until", "time_zone", "rounds_a_day", "minutes_a_day",
    "config",
)  # fmt: skip
_CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def change(*, project: Project, by=None, **fields: Any) -> Rule:
    """Set a project's rule. Raises Invalid naming each field that cannot be used."""
    rule = Rule.objects.filter(project=project).first() or Rule(project=project)
    wrong = dict.fromkeys(set(fields) - set(FIELDS), "is not a part of a rule")
    for name in FIELDS:
        if name in fields:
            setattr(rule, name, fields[name])
    rule.changed_by = by
    try:
        rule.clean_fields(exclude=["changed_by", "project"])
    except ValidationError as error:
        wrong |= {name: " ".join(said) for name, said in error.message_dict.items()}
    if (rule.quiet_from is None) != (rule.quiet_until is None):
        wrong["quiet_until"] = "quiet hours need a beginning and an end"
    if rule.time_zone not in available_timezones():
        wrong["time_zone"] = "is not a time zone such as Europe/Berlin"
    if rule.cron and (problem := _cron_problem(rule.cron)):
        wrong["cron"] = problem
    if not wrong:
        try:
            plan.complete(project.options, rule.config)
        except DomainError as error:
            wrong["config"] = error.detail
    if wrong:
        said = "; ".join(f"{name}: {why}" for name, why in sorted(wrong.items()))
        raise Invalid(f"The rule was not changed. {said}.", fields=wrong)
    rule.save()
    return rule


def check_all() -> int:
    """Look at every rule that is on; how many rounds began."""
    rules = Rule.objects.filter(enabled=True, project__archived_at=None).select_related("project")
    begun = 0
    for rule in rules:
        try:
            begun += check(rule) is not None
        except Exception:  # what is wrong with one rule keeps none of the others waiting
            logger.exception("The rule of %s could not be looked at.", rule.project)
    return begun


def check(rule: Rule, *, now: datetime | None = None) -> Round | None:
    """Begin a round if a condition holds and no limit forbids it; keep what happened."""
    now = now or timezone.now()
    for condition, numbers in _holding(rule, now):
        refused = _forbidden(rule, now)
        turn = None
        if not refused:
            try:
                turn = rounds.start(project=rule.project, trigger=condition, config=rule.config)
            except DomainError as error:
                refused = error.detail
        _keep(rule, condition, numbers, refused, turn, now)
        return turn
    return None


def counts_since(rule: Rule) -> dict[str, int]:
    """Judgments and reactions that came after the last round's snapshot."""
    drawn = _last_drawn(rule.project)
    position = drawn.position if drawn else {}
    stored = LogEntry.objects.filter(
        project_id=rule.project_id, subject="judgment", action=LogEntry.Action.STORED
    )
    later = Q(position=None) | Q(position__gt=position.get("annotation", 0))
    reactions = Event.objects.filter(
        message__conversation__project=rule.project_id,
        kind=Event.Kind.REACTION,
        pk__gt=position.get("feedback", 0),
    )
    return {"judgments": stored.filter(later).count(), "reactions": reactions.count()}


def _last_drawn(project: Project):
    last = project.rounds.exclude(snapshot=None).select_related("snapshot").first()
    return last.snapshot if last else None


def _holding(rule: Rule, now: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """The conditions that hold, with the numbers that say so."""
    new = counts_since(rule)
    for name in ("judgments", "reactions"):
        wanted = getattr(rule, f"new_{name}")
        if wanted is not None and new[name] >= wanted:
            yield name, {"new": new[name], "wanted": wanted}
    if rule.cron and _due(rule, now):
        yield "cron", {"cron": rule.cron, "time_zone": rule.time_zone}
    yield from _drifted(rule)


def _drifted(rule: Rule) -> Iterator[tuple[str, dict[str, Any]]]:
    found = rule.measured
    begun = rule.project.rounds.order_by("-created_at").values_list("created_at", flat=True).first()
    if not found or (begun and rule.measured_at and begun > rule.measured_at):
        return  # what was measured was before the last round
    for name, allowed in (("accuracy", rule.accuracy_drop), ("agreement", rule.agreement_drop)):
        before, after = found.get(f"{name}_before"), found.get(f"{name}_now")
        if allowed is not None and None not in (before, after) and before - after > allowed:
            yield name, {"before": before, "now": after, "allowed_drop": allowed}
    p = found.get("prompt_p")
    if rule.prompt_shift is not None and p is not None and p <= rule.prompt_shift:
        yield "prompts", {"p": p, "distance": found.get("prompt_distance"), "at": rule.prompt_shift}


def _forbidden(rule: Rule, now: datetime) -> str:
    """Why no round may begin now; empty when one may."""
    here = now.astimezone(ZoneInfo(rule.time_zone))
    if rule.quiet_from is not None:
        start, end, at = rule.quiet_from, rule.quiet_until, here.time()
        quiet = start <= at < end if start <= end else at >= start or at < end
        if quiet:
            return f"Quiet hours until {end:%H:%M} ({rule.time_zone})."
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    today = list(rule.project.rounds.filter(created_at__gte=midnight))
    if len(today) >= rule.rounds_a_day:
        return f"The budget of the day is used: {len(today)} of {rule.rounds_a_day} rounds."
    spent = sum(((t.finished_at or now) - t.created_at).total_seconds() for t in today) / 60
    if rule.minutes_a_day is not None and spent >= rule.minutes_a_day:
        return f"The budget of the day is used: {spent:.0f} of {rule.minutes_a_day} minutes."
    active = rule.project.rounds.filter(state__in=Round.ACTIVE).first()
    return f"Round {active.number} is under way." if active else ""


@transaction.atomic
def _keep(
    rule: Rule,
    condition: str,
    numbers: dict[str, Any],
    refused: str,
    turn: Round | None,
    now: datetime,
) -> None:
    locks.wait_for(f"firings:{rule.project_id}")
    last = rule.project.firings.first()
    if refused and last and (last.condition, last.refused) == (condition, refused[:300]):
        last.times += 1
        last.numbers, last.last_at = numbers, now
        last.save(update_fields=["times", "numbers", "last_at"])
        return
    Firing.objects.create(
        project=rule.project,
        condition=condition,
        numbers=numbers,
        refused=refused[:300],
        round=turn,
        last_at=now,
    )


# Clocks -------------------------------------------------------------------------------------


def _due(rule: Rule, now: datetime) -> bool:
    """Whether a minute that the clock names came since the last round or change of the rule."""
    last = rule.project.rounds.order_by("-created_at").values_list("created_at", flat=True).first()
    since = max(filter(None, (last, rule.changed_at, now - timedelta(days=1))))
    at = since.replace(second=0, microsecond=0) + timedelta(minutes=1)
    zone = ZoneInfo(rule.time_zone)
    wanted = _parsed(rule.cron)
    while at <= now:
        if _named(wanted, at.astimezone(zone)):
            return True
        at += timedelta(minutes=1)
    return False


def _named(wanted: list[set[int]], at: datetime) -> bool:
    minute, hour, day, month, weekday = wanted
    if at.minute not in minute or at.hour not in hour or at.month not in month:
        return False
    by_day, by_weekday = at.day in day, at.isoweekday() % 7 in weekday
    # As cron has it: where both are stated either will do.
    both_stated = len(day) < 31 and len(weekday) < 7
    return by_day or by_weekday if both_stated else by_day and by_weekday


def _parsed(cron: str) -> list[set[int]]:
    fields = cron.split()
    if len(fields) != 5:
        raise ValueError("must have five fields: minute hour day month weekday")
    found = [_field(text, low, high) for text, (low, high) in zip(fields, _CRON, strict=True)]
    found[4] = {day % 7 for day in found[4]}
    return found


def _field(text: str, low: int, high: int) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if not all(
            one.isascii() and one.isdigit() for one in (first, last, step) if one not in "*"
        ):
            raise ValueError(f"'{part}' is not a number, a range or a step")
        begin = low if first == "*" else int(first)
        end = high if first == "*" or (step and not last) else int(last or first)
        if not low <= begin <= end <= high or (step and int(step) < 1):
            raise ValueError(f"'{part}' is not between {low} and {high}")
        values |= set(range(begin, end + 1, int(step or 1)))
    return values


def _cron_problem(cron: str) -> str:
    try:
        _parsed(cron)
    except ValueError as error:
        return str(error)
    return ""
