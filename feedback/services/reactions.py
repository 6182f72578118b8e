"""Reactions: given and taken back, each time by an event that is added."""

from datetime import datetime
from uuid import UUID

from feedback.models import Event
from feedback.people import Person
from feedback.present import reactions_of
from feedback.services import signals
from feedback.vocabulary import NEGATIVE, POSITIVE, REACTIONS

__all__ = ["NEGATIVE", "POSITIVE", "REACTIONS", "react"]


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
