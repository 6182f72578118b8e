"""Reactions: given and taken back, each time by an event that is added."""

from datetime import datetime
from uuid import UUID, uuid5

from django.db import transaction

from feedback.models import Event
from feedback.people import Person
from feedback.present import reactions_of
from feedback.services import signals
from feedback.vocabulary import NEGATIVE, POSITIVE, REACTIONS

__all__ = ["NEGATIVE", "POSITIVE", "REACTIONS", "choose", "react"]

_OPPOSITE = {
    **dict.fromkeys(POSITIVE, NEGATIVE),
    **dict.fromkeys(NEGATIVE, POSITIVE),
    None: POSITIVE | NEGATIVE,
}


def react(
    *,
    person: Person,
    message_id: UUID,
    reaction: str,
    on: bool = True,
    client_event: UUID,
    reasons: list[str] = (),
    comment: str = "",
    client_time: datetime | None = None,
) -> tuple[list[str], bool]:
    """Give a reaction, or take it back; returns what now stands and whether this was new.

    The same `client_event` counts once. Raises Invalid for unknown reactions and for messages
    that are not finished answers, DoesNotExist for other people's messages, and Conflict when
    the event id has been used for another message.
    """
    signal = signals.Signal(
        client_event=client_event,
        kind=Event.Kind.REACTION if on else Event.Kind.RETRACTION,
        message_id=message_id,
        reaction=reaction,
        reasons=reasons,
        comment=comment,
        client_time=client_time,
    )
    created = signals.record(person=person, signal=signal)
    return reactions_of(person, message=message_id).get(message_id, []), created


@transaction.atomic
def choose(
    *,
    person: Person,
    message_id: UUID,
    reaction: str | None,
    client_event: UUID,
    reasons: list[str] = (),
    comment: str = "",
    client_time: datetime | None = None,
) -> list[str]:
    """Give a reaction and take back what says the opposite; None takes back everything.

    Returns what stands. The same `client_event` counts once; raises as `react` does.
    """
    told = {"person": person, "message_id": message_id, "client_time": client_time}
    # One at a time for an answer, so that of two opposite choices at once one stands.
    person.messages.select_for_update(of=("self",)).get(pk=message_id)
    taking_back = {other: uuid5(client_event, other) for other in REACTIONS}
    repeated = Event.objects.filter(client_event__in=[client_event, *taking_back.values()]).exists()
    standing = reactions_of(person, message=message_id).get(message_id, [])
    for other in () if repeated else standing:
        if other in _OPPOSITE[reaction]:
            react(reaction=other, on=False, client_event=taking_back[other], **told)
    if reaction is not None:
        react(reaction=reaction, client_event=client_event, reasons=reasons, comment=comment,
              **told)  # fmt: skip
    return reactions_of(person, message=message_id).get(message_id, [])
