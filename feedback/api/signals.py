"""Events in batches: what browsers kept while they were away, and told at least once."""

from uuid import UUID

from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback import events
from feedback.api.access import AUTHENTICATION, IsPerson, person_for
from feedback.api.serializers import EventIn, EventsIn, valid
from feedback.models import Message
from feedback.people import Person
from feedback.present import reactions_of
from feedback.services import signals
from feedback.threads import in_loop


class EventsView(APIView):
    """Store a batch of events, each exactly once by its id."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(request=EventsIn, responses=OpenApiTypes.OBJECT)
    def post(self, request) -> Response:
        """Answers with what became of each: stored, known (a repeat) or refused, with why.

        A refusal is final; only a batch that got no answer needs to be sent again.
        """
        told = valid(EventsIn, request)["events"]
        read = [EventIn(data=one) for one in told]
        person = person_for(request)
        fine = [_signal(one.validated_data) for one in read if one.is_valid()]
        outcomes = signals.record_many(person=person, signals=fine)
        _tell_windows(person, fine, outcomes)
        left = iter(outcomes)
        results = [
            _result(next(left)) if one.is_valid() else _unreadable(raw, one.errors)
            for raw, one in zip(told, read, strict=True)
        ]
        return Response({"results": results})


def _signal(data: dict) -> signals.Signal:
    rest = {name: value for name, value in data.items() if name not in ("id", "message")}
    return signals.Signal(client_event=data["id"], message_id=data["message"], **rest)


def _result(outcome: signals.Outcome) -> dict:
    return {
        "id": str(outcome.client_event),
        "state": outcome.state,
        "detail": outcome.detail or None,
    }


def _unreadable(raw: object, errors: dict) -> dict:
    given = raw.get("id") if isinstance(raw, dict) else None
    words = "; ".join(f"{name}: {' '.join(map(str, why))}" for name, why in errors.items())
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
            await events.tell(conversation_id, *news)

    in_loop(tell)
