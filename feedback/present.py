"""Messages as the browser and REST clients get them: one shape for every door."""

from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID

from config.markdown import render
from feedback.models import Conversation, Event, Image, Message
from feedback.people import Person
from feedback.tree import FINAL, Tree


def message_json(
    message: Message, *, siblings: Iterable[UUID] = (), reactions: Iterable[str] = ()
) -> dict:
    """One message. `html` is given for finished answers only; what people type is plain text."""
    is_answer = message.role == Message.Role.ASSISTANT
    return {
        "id": str(message.pk),
        "parent": str(message.parent_id) if message.parent_id else None,
        "role": message.role,
        "text": message.text,
        "html": _html(message.text) if is_answer and message.state in FINAL else "",
        "state": message.state,
        "created_at": message.created_at.isoformat(),
        "model": named(message),
        "siblings": [str(one) for one in siblings] or [str(message.pk)],
        "reactions": list(reactions),
        "error": message.error or None,
        "request": str(message.request_id) if message.request_id else None,
        "note": trimmed_note(message.sampling.get("trimmed")),
        "images": [image_json(one) for one in getattr(message, "pictures", ())],
    }


def tree_json(tree: Tree, reactions: dict[UUID, list[str]]) -> list[dict]:
    """All messages of a conversation, oldest first."""
    return [
        message_json(
            message, siblings=tree.siblings(message), reactions=reactions.get(message.pk, ())
        )
        for message in tree.messages.values()
    ]


def image_json(image: Image) -> dict:
    """A picture of a question, for its own person."""
    return {
        "id": str(image.pk),
        "url": f"/api/images/{image.pk}/",
        "width": image.width,
        "height": image.height,
    }


def conversation_json(conversation: Conversation) -> dict:
    """What a conversation is called and may be used for."""
    return {
        "id": str(conversation.pk),
        "title": conversation.title,
        "consent": conversation.consent,
        "updated_at": conversation.updated_at.isoformat(),
    }


def reactions_of(person: Person, **where) -> dict[UUID, list[str]]:
    """The person's standing reactions by message, in the order they were made: one query."""
    standing: dict[UUID, dict[str, None]] = {}
    events = person.events.reactions().filter(**where).order_by("pk")
    for kind, message_id, reaction in events.values_list("kind", "message_id", "reaction"):
        here = standing.setdefault(message_id, {})
        here.pop(reaction, None)
        if kind == Event.Kind.REACTION:
            here[reaction] = None
    return {message_id: list(names) for message_id, names in standing.items() if names}


def trimmed_note(trimmed: dict | None) -> str | None:
    """Words for what the model could not be shown, or None when it was shown everything."""
    if not trimmed:
        return None
    parts = []
    if messages := trimmed.get("messages"):
        parts.append(f"the {messages} oldest messages were left out")
    if characters := trimmed.get("characters"):
        parts.append(f"the first {characters:,} characters of the last message were left out")
    return f"The conversation is longer than the model can read: {' and '.join(parts)}."


def named(message: Message) -> str | None:
    """The model that wrote it; nobody in a blind comparison, whose page tells after the vote."""
    if message.model_version is None or message.sampling.get("blind"):
        return None
    return message.model_version.name


@lru_cache(maxsize=2000)
def _html(text: str) -> str:
    return str(render(text))
