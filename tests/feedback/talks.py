"""Conversations as they are after people talked, without waiting for an engine."""

from datetime import timedelta
from uuid import uuid4

from django.utils import timezone

from annotation.models import Project
from feedback.models import Conversation, Event, Message
from inference.models import Deployment


def talk(
    served: Deployment, questions: list[str], answers: list[str], *, guest: str = "a" * 32,
    owner=None, consent: bool = True, source: str = "chat", ago: timedelta = timedelta(0),
) -> Conversation:  # fmt: skip
    """A conversation whose last question got all of `answers`, each one before it the first."""
    made = Conversation.objects.create(
        project=Project.objects.get(slug=served.project), guest="" if owner else guest,
        owner=owner, consent=consent, source=source, deployment=served, title=questions[0][:60],
    )  # fmt: skip
    parent = None
    for question in questions:
        asked = Message.objects.create(conversation=made, parent=parent, role="user", text=question)
        given = answers if question is questions[-1] else answers[:1]
        for text in given:
            parent = Message.objects.create(
                conversation=made, parent=asked, role="assistant", text=text,
                model_version=served.model_version, deployment=served,
                sampling={"temperature": 0.9, "seed": 7}, completion_tokens=20, prompt_tokens=10,
                first_token_ms=100, duration_ms=600, finished_at=timezone.now(),
            )  # fmt: skip
    made.leaf = parent
    made.save()
    Conversation.objects.filter(pk=made.pk).update(updated_at=timezone.now() - ago)
    made.refresh_from_db()
    return made


def react(
    conversation: Conversation, reaction: str, *, kind: str = "reaction", comment: str = "",
    message: Message | None = None,
) -> Event:  # fmt: skip
    """What the conversation's person makes of its last answer."""
    return Event.objects.create(
        client_event=uuid4(), kind=kind, message=message or conversation.leaf, reaction=reaction,
        actor=conversation.owner, guest=conversation.guest, comment=comment,
    )  # fmt: skip
