"""Events in batches: what browsers kept while they were away, and told at least once."""

from contextlib import suppress
from uuid import UUID

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from config.errors import Invalid
from feedback import events, live
from feedback.api.access import AUTHENTICATION, IsPerson, person_for
from feedback.api.serializers import EventsIn
from feedback.models import Message
from feedback.people import Person
from feedback.present import reactions_of
from feedback.services import signals
from feedback.threads import in_loop
from feedback.vocabulary import REACTIONS, VERDICTS


class EventsView(APIView):
    """Store a batch of events, each exactly once by its id."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(request=EventsIn, responses=OpenApiTypes.OBJECT)
    def post(self, request) -> Response:
        """Answers with what became of each: stored, known (a repeat) or refused, with why.

        A refusal is final; only a batch that got no answer needs to be sent again.
        """
        told = _batch(request.data)
        read = [_signal(one) for one in told]
        person = person_for(request)
        fine = [one for one in read if isinstance(one, signals.Signal)]
        outcomes = signals.record_many(person=person, signals=fine)
        _tell_windows(person, fine, outcomes)
        left = iter(outcomes)
        results = [
            _result(next(left)) if isinstance(one, signals.Signal) else _unreadable(raw, one)
            for raw, one in zip(told, read, strict=True)
        ]
        return Response({"results": results})


def _batch(data: object) -> list:
    told = data.get("events") if isinstance(data, dict) else None
    if not isinstance(told, list) or not 1 <= len(told) <= signals.MAX_BATCH:
        words = f"Send a list of 1 to {signals.MAX_BATCH} events; none was stored."
        raise Invalid(words, fields={"events": "are not a list of that length"})
    return told


def _signal(raw: object) -> signals.Signal | str:
    """The event that was told, or why it cannot be read. What its kind may have is judged by
    `signals.checked`. By hand: a batch has hundreds, and a serializer costs more than storing."""
    if not isinstance(raw, dict):
        return "An event is an object."
    ids = []
    for name in ("id", "message"):
        try:
            ids.append(UUID(raw.get(name)))
        except (ValueError, TypeError, AttributeError):
            return f"{name}: Must be a valid UUID."
    kind, reaction = raw.get("kind"), raw.get("reaction") or ""
    if not isinstance(kind, str) or not isinstance(reaction, str):
        return "kind: Give the kind, and a reaction, as text."
    if reaction and reaction not in REACTIONS and reaction not in VERDICTS:
        return f"reaction: Choose one of {', '.join((*REACTIONS, *VERDICTS))}."
    at = raw.get("client_time")
    try:
        at = parse_datetime(at) if isinstance(at, str) else None
    except ValueError:
        at = None
    if raw.get("client_time") is not None and (at is None or is_naive(at)):
        return "client_time: Give a moment with its offset, as 2026-01-31T12:00:00Z."
    return signals.Signal(
        client_event=ids[0],
        kind=kind,
        message_id=ids[1],
        reaction=reaction,
        reasons=raw.get("reasons") or [],
        comment=raw.get("comment") or "",
        duration_ms=raw.get("duration_ms"),
        share_seen=raw.get("share_seen"),
        client_time=at,
    )


def _result(outcome: signals.Outcome) -> dict:
    return {
        "id": str(outcome.client_event),
        "state": outcome.state,
        "detail": outcome.detail or None,
    }


def _unreadable(raw: object, words: str) -> dict:
    given = raw.get("id") if isinstance(raw, dict) else None
    return {"id": given if isinstance(given, str) else None, "state": "refused", "detail": words}


def _tell_windows(
    person: Person, told: list[signals.Signal], outcomes: list[signals.Outcome]
) -> None:
    """Other windows of the same person see a reaction that came by this door."""
    kinds = (signals.Kind.REACTION, signals.Kind.RETRACTION)
    changed = {
        signal.message_id
        for signal, outcome in zip(told, outcomes, strict=True)
        if outcome.state == "stored" and signal.kind in kinds
    }
    if not changed:
        return
    standing = reactions_of(person, message__in=changed)
    homes = Message.objects.filter(pk__in=changed).values_list("conversation_id", "pk")
    payloads: dict[UUID, list[dict]] = {}
    for conversation_id, message_id in homes:
        payloads.setdefault(conversation_id, []).append(
            {
                "type": "reaction",
                "message": str(message_id),
                "reactions": standing.get(message_id, []),
            }
        )

    async def tell() -> None:
        for conversation_id, news in payloads.items():
            with suppress(*live.Errors):  # without Redis nobody can be told either
                if await live.is_read(conversation_id):
                    await events.tell(conversation_id, *news)

    in_loop(tell)
