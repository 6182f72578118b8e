"""Share a path of a conversation by a link that can be taken back."""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from config.errors import Conflict, Invalid
from feedback.models import Event, Image, Message, Share
from feedback.people import Person
from feedback.services import signals
from feedback.services.chat import title_of
from feedback.tree import FINAL, Tree


@dataclass(frozen=True, slots=True)
class Shared:
    """What a link shows: the title and the messages of one path, and nobody's name."""

    title: str
    thread: list[Message]


@transaction.atomic
def share(*, person: Person, conversation_id: UUID, leaf_id: UUID | None = None) -> Share:
    """The link to the path that ends in `leaf_id` (by default the one in view).

    The same path has one link; asking again gives it again. Raises Conflict while an answer on
    the path is being written, Invalid when there is nothing to show.
    """
    conversation = person.conversations.select_for_update(of=("self",)).get(pk=conversation_id)
    leaf_id = leaf_id or conversation.leaf_id
    if leaf_id is None:
        raise Invalid("There is nothing to share yet.")
    leaf = conversation.messages.select_related("model_version").get(pk=leaf_id)
    if leaf.state not in FINAL:
        raise Conflict("Wait for the answer to end, or stop it first; then share.")
    link, created = Share.objects.get_or_create(
        leaf=leaf, revoked_at=None, defaults={"conversation": conversation}
    )
    if created and leaf.model_version is not None:
        signals.note(person=person, kind=Event.Kind.SHARE, message=leaf, cause=link.pk)
    return link


def links(*, person: Person, conversation_id: UUID) -> list[Share]:
    """The live links of one conversation, newest first."""
    conversation = person.conversations.get(pk=conversation_id)
    return list(conversation.shares.filter(revoked_at=None))


def revoke(*, person: Person, share_id: UUID) -> None:
    """Make a link useless from now on; again changes nothing. Raises DoesNotExist."""
    link = Share.objects.get(pk=share_id, conversation__in=person.conversations)
    if link.revoked_at is None:
        link.revoked_at = timezone.now()
        link.save(update_fields=["revoked_at"])


def picture(token: str, image_id: UUID) -> Image:
    """A picture on a shared path. Raises DoesNotExist for any other, and for revoked links."""
    on_path = {one.pk for one in shown(token).thread}
    return Image.objects.get(pk=image_id, message__in=on_path)


def shown(token: str) -> Shared:
    """What a link shows to whoever has it. Raises DoesNotExist for revoked ones too."""
    link = Share.objects.select_related("conversation").get(token=token, revoked_at=None)
    path = Tree.of(link.conversation_id).path(link.leaf_id)
    thread = [one for one in path if one.role != Message.Role.SYSTEM]
    return Shared(_title(link, thread), thread)


def _title(link: Share, thread: list[Message]) -> str:
    """The chat's title, unless it was made of a question that the shared path leaves out."""
    title = link.conversation.title
    asked = Message.objects.filter(conversation=link.conversation_id, role=Message.Role.USER)
    elsewhere = asked.exclude(pk__in=[one.pk for one in thread]).values_list("text", flat=True)
    if title in {title_of(text) for text in elsewhere}:
        first = next((one for one in thread if one.role == Message.Role.USER), None)
        return title_of(first.text) if first else ""
    return title
