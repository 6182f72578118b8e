"""Feedback's part in erasing a person (`config.erasure`): chats, signals, tasks made of them."""

from functools import partial

from django.db import transaction

from annotation.models import PromptItem, Task
from annotation.prompts import prompt_hash
from annotation.services import erasing
from config.erasure import Erasure
from feedback.models import Event, Message
from feedback.people import Person
from feedback.services import arena, chat, generation, own_data
from feedback.threads import in_loop
from feedback.tree import Tree


def would(erasure: Erasure) -> dict[str, int]:
    """What there is of the person."""
    person = Person(user=erasure.person)
    return {
        "conversations": person.conversations.count(),
        "messages": person.messages.count(),
        "signals": person.events.count(),
        "tasks of own questions": _asked(person).count(),
    }


def erase(erasure: Erasure) -> dict[str, int]:
    """Conversations, signals and votes go whatever becomes of the judgments: they are the
    person's own words. So do tasks whose prompt is a question of theirs."""
    person = Person(user=erasure.person)
    touched = would(erasure)
    for message in person.messages.filter(state__in=chat.UNFINISHED):
        transaction.on_commit(partial(in_loop, generation.stop, message.pk))
    erasing.erase_tasks(_asked(person), actor=erasure.by)
    own_data.erase(person=person)
    Event.objects.filter(actor=erasure.person).delete()
    arena.settle()  # the judgments that came of their votes
    return touched


def _asked(person: Person):
    """Tasks that a round made of this person's questions, where no list of prompts has them."""
    hashes = set()
    ids = person.conversations.filter(consent=True).values_list("pk", flat=True)
    for conversation_id in list(ids):
        tree = Tree.of(conversation_id)
        for message in tree.messages.values():
            if message.role == Message.Role.USER:
                hashes.add(prompt_hash(tree.prompt(message.pk)))
    listed = PromptItem.objects.filter(prompt_hash__in=hashes).values("prompt_hash")
    return Task.objects.filter(source="round", prompt_hash__in=hashes).exclude(
        prompt_hash__in=listed
    )
