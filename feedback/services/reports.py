"""Reported answers: listed for reviewers until one of them has ruled."""

from django.db import IntegrityError, transaction

from config.errors import Conflict, Invalid
from config.models import User
from feedback.models import Event, ReportRuling
from feedback.text import storable

MAX_NOTE = 500


def waiting() -> "list[Event]":
    """Open reports, oldest first."""
    return _reports().filter(ruling=None).order_by("pk")


def decided() -> "list[Event]":
    """Reports that were ruled on, newest ruling first."""
    return _reports().exclude(ruling=None).order_by("-ruling__created_at")


def _reports():
    return Event.objects.filter(kind=Event.Kind.REPORT).select_related(
        "ruling__by", "actor", "message__model_version", "message__conversation__project"
    )


def rule(*, report_id: int, by: User, verdict: str, note: str = "") -> ReportRuling:
    """Uphold or dismiss a report, once. Raises Invalid, Conflict or DoesNotExist."""
    if verdict not in ReportRuling.Verdict.values:
        raise Invalid("Uphold the report or dismiss it.", fields={"verdict": "is unknown"})
    if len(note) > MAX_NOTE:
        raise Invalid(f"A note has at most {MAX_NOTE} characters.", fields={"note": "is too long"})
    report = Event.objects.get(pk=report_id, kind=Event.Kind.REPORT)
    try:
        with transaction.atomic():
            return ReportRuling.objects.create(
                report=report, by=by, verdict=verdict, note=storable(note, field="note")
            )
    except IntegrityError:
        raise Conflict("Somebody else has ruled on this report already.") from None
