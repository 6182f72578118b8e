"""An answer for a client that brings the whole chat along with each request."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from config.errors import DomainError
from feedback.models import Message
from feedback.people import Person
from feedback.services import chat
from inference.models import Deployment

#: Names by which a client may ask for whatever the project serves.
ANY_MODEL = {"", "default", "preferendum"}


class UnknownModel(DomainError):
    """No serving model has the name that was asked for."""


@transaction.atomic
def ask(
    *, person: Person, messages: list[dict[str, str]], model: str = "", sampling: dict | None = None
) -> chat.Turn:
    """Store the chat as a conversation of its own and queue the answer to its last message.

    `model` is the name of a serving version, or one of ANY_MODEL. Raises UnknownModel.
    """
    conversation = chat.begin(person=person, source="api")
    if model not in ANY_MODEL:
        serving = Deployment.objects.serving(settings.CHAT_PROJECT)
        chosen = serving.filter(model_version__name=model).first()
        if chosen is None:
            raise UnknownModel(f"The model '{model}' does not serve here; see /v1/models.")
        conversation.deployment = chosen
        conversation.save(update_fields=["deployment"])
    parent = _history(conversation.pk, messages[:-1])
    return chat.send(
        person=person,
        conversation_id=conversation.pk,
        text=messages[-1]["content"],
        parent_id=parent,
        sampling=sampling,
    )


def _history(conversation_id: UUID, messages: list[dict[str, str]]) -> UUID | None:
    """Store the turns before the last as the client tells them; returns the last one's id."""
    if not messages:
        return None
    now = timezone.now()
    rows: list[Message] = []
    for number, message in enumerate(messages):
        told = message["role"] == Message.Role.ASSISTANT
        rows.append(
            Message(
                conversation_id=conversation_id,
                parent=rows[-1] if rows else None,
                role=message["role"],
                text=message["content"],
                # Which model said it is not known, and a complete answer names its model.
                state=Message.State.STOPPED if told else Message.State.COMPLETE,
                created_at=now - timedelta(microseconds=len(messages) - number),
            )
        )
    Message.objects.bulk_create(rows)
    return rows[-1].pk
