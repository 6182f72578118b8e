"""A person's own data: all of it to take along, or all of it gone; and a guest who signs in."""

import json
from collections.abc import Iterator
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from config.models import User
from feedback.models import Conversation, Event, Image, Message, Share, Vote
from feedback.people import Person
from feedback.present import named
from feedback.services import handover, images
from feedback.tree import Tree

FORMAT = "preferendum-chats-1"


def export(*, person: Person) -> Iterator[str]:
    """Everything said by and to this person, and what they made of it, as one JSON object.

    In pieces, one conversation each, so that memory does not grow with their number.
    """
    head = {"format": FORMAT, "exported_at": timezone.now().isoformat()}
    yield json.dumps(head)[:-1] + ', "conversations": ['
    ids = person.conversations.order_by("created_at", "pk").values_list("pk", flat=True)
    comma = ""
    for conversation_id in list(ids):
        found = person.conversations.filter(pk=conversation_id).select_related("project").first()
        if found is not None:  # else it was deleted meanwhile
            yield f"{comma}\n{json.dumps(_told(found), ensure_ascii=False)}"
            comma = ","
    yield "\n]}\n"


def erase(*, person: Person) -> dict[str, int]:
    """Delete all conversations with what was said in them and about them; returns the counts.

    Tasks made of them that nobody has judged go, too; judgments of annotators are not touched.
    Answers still being written must have been told to stop by the caller.
    """
    with transaction.atomic():
        conversations = person.conversations.select_for_update(of=("self",))
        ids = list(conversations.values_list("pk", flat=True))
        counts = {
            "conversations": len(ids),
            "messages": Message.objects.filter(conversation__in=ids).count(),
            "events": Event.objects.filter(message__conversation__in=ids).count(),
        }
        handover.take_back(conversation_ids=ids)
        Conversation.objects.filter(pk__in=ids).delete()
        images.forget(person=person)
    return counts


@transaction.atomic
def take_over(*, user: User, guest: Person) -> int:
    """Give a guest's conversations and events to the account they signed in with.

    Returns how many conversations there were. Safe to repeat: the guest has none afterwards.
    """
    if not guest.guest:
        return 0
    taken = guest.conversations.update(owner=user, guest="")
    guest.events.update(actor=user, guest="")
    images.take_over(guest=guest, person=Person(user=user))
    return taken


def _told(conversation: Conversation) -> dict:
    tree = Tree.of(conversation.pk)
    events = Event.objects.filter(message__conversation=conversation).order_by("pk")
    links = Share.objects.filter(conversation=conversation)
    votes = Vote.objects.filter(battle__conversation=conversation).select_related(
        "battle__left__model_version", "battle__right__model_version"
    )
    pictures: dict[UUID, list[str]] = {}
    for image in Image.objects.filter(message__conversation=conversation):
        pictures.setdefault(image.message_id, []).append(images.address(image))
    return {
        "id": str(conversation.pk),
        "title": conversation.title,
        "project": conversation.project.slug,
        "door": conversation.source,
        "consent": conversation.consent,
        "created_at": conversation.created_at.isoformat(),
        "updated_at": conversation.updated_at.isoformat(),
        "messages": [_message(one, pictures.get(one.pk)) for one in tree.messages.values()],
        "events": [_event(one) for one in events],
        "votes": [_vote(one) for one in votes],
        "links": [
            {
                "leaf": str(one.leaf_id),
                "created_at": one.created_at.isoformat(),
                "revoked_at": one.revoked_at and one.revoked_at.isoformat(),
            }
            for one in links
        ],
    }


def _message(message: Message, pictures: list[str] | None) -> dict:
    told = {
        "id": str(message.pk),
        "parent": str(message.parent_id) if message.parent_id else None,
        "role": message.role,
        "text": message.text,
        "state": message.state,
        "model": named(message),
        "created_at": message.created_at.isoformat(),
    }
    return told | {"images": pictures} if pictures else told


def _vote(vote: Vote) -> dict:
    battle = vote.battle
    return {
        "left": str(battle.left_id),
        "right": str(battle.right_id),
        "models": [battle.left.model_version.name, battle.right.model_version.name],
        "outcome": vote.outcome,
        "created_at": vote.created_at.isoformat(),
    }


def _event(event: Event) -> dict:
    told = {
        "message": str(event.message_id),
        "kind": event.kind,
        "reaction": event.reaction,
        "reasons": event.reasons,
        "comment": event.comment,
        "duration_ms": event.duration_ms,
        "share_seen": event.share_seen,
        "client_time": event.client_time and event.client_time.isoformat(),
        "server_time": event.server_time.isoformat(),
    }
    return {name: value for name, value in told.items() if value not in ("", None, [])}
