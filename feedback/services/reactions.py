"""Reactions and signals: events that are added and never changed."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from config.errors import Conflict, Invalid
from feedback.models import Event, Message
from feedback.people import Person
from feedback.present import reactions_of
from feedback.text import storable
from feedback.tree import FINAL

POSITIVE = frozenset({"love", "like", "laugh"})
NEGATIVE = frozenset({"dislike", "sad"})
REACTIONS = ("love", "like", "dislike", "laugh", "sad")
MAX_REASONS = 10
MAX_REASON = 60
MAX_COMMENT = 2000


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
    if reaction not in REACTIONS:
        raise Invalid(f"Choose one of {', '.join(REACTIONS)}.", fields={"reaction": "is unknown"})
    kind = Event.Kind.REACTION if on else Event.Kind.RETRACTION
    created = record(
        person=person, message_id=message_id, kind=kind, client_event=client_event,
        reaction=reaction, reasons=reasons, comment=comment, client_time=client_time,
    )  # fmt: skip
    return reactions_of(person, message=message_id).get(message_id, []), created


def record(
    *,
    person: Person,
    message_id: UUID,
    kind: str,
    client_event: UUID,
    reaction: str = "",
    reasons: list[str] = (),
    comment: str = "",
    client_time: datetime | None = None,
) -> bool:
    """Add one event to the stream; False when it had been added before."""
    reasons = _reasons(reasons)
    if not isinstance(comment, str) or len(comment) > MAX_COMMENT:
        raise Invalid(
            f"A comment has at most {MAX_COMMENT:,} characters.", fields={"comment": "is too long"}
        )
    storable(comment, field="comment")
    message = person.messages.get(pk=message_id)
    if message.role != Message.Role.ASSISTANT or message.state not in FINAL:
        raise Invalid("Only an answer that has ended can be reacted to.")
    try:
        with transaction.atomic():
            Event.objects.create(
                client_event=client_event, kind=kind, message=message, actor=person.user,
                guest=person.guest, reaction=reaction, reasons=reasons, comment=comment,
                client_time=client_time,
            )  # fmt: skip
    except IntegrityError:
        earlier = Event.objects.filter(client_event=client_event).first()
        if earlier is None or (earlier.message_id, earlier.kind, earlier.reaction) != (
            message.pk, kind, reaction,
        ):  # fmt: skip
            raise Conflict("This event id has been used for something else.") from None
        return False
    return True


def _reasons(reasons: object) -> list[str]:
    is_list = isinstance(reasons, list | tuple) and len(reasons) <= MAX_REASONS
    if not is_list or not all(isinstance(one, str) and len(one) <= MAX_REASON for one in reasons):
        raise Invalid(
            f"Give at most {MAX_REASONS} reasons of at most {MAX_REASON} characters.",
            fields={"reasons": "are not valid"},
        )
    return [storable(one, field="reasons") for one in reasons]
