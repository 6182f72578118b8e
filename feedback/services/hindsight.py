"""The question asked later: was an earlier answer useful, now that its use has been seen?

A reaction is given before the advice is followed; a verdict in hindsight is not (Liang et al.
2025, RLHS). At most one question in a few days, about an answer the person may still remember.
"""

import hashlib
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from feedback.models import Event, Message
from feedback.people import Person

AT_MOST_DAYS = 14
PAUSE_DAYS = 3
CANDIDATES = 50


def due(*, person: Person) -> Message | None:
    """The answer to ask this person about now, or None.

    Only complete answers of the chat, in conversations whose person consents. Which of them is
    chosen does not depend on what was thought of it, so that verdicts are not a selection.
    """
    now = timezone.now()
    asked = person.events.filter(kind=Event.Kind.HINDSIGHT)
    if asked.filter(server_time__gt=now - timedelta(days=PAUSE_DAYS)).exists():
        return None
    ripe = now - timedelta(hours=settings.CHAT_HINDSIGHT_AFTER_H)
    candidates = (
        person.messages.filter(
            role=Message.Role.ASSISTANT,
            state=Message.State.COMPLETE,
            finished_at__gt=now - timedelta(days=AT_MOST_DAYS),
            finished_at__lte=ripe,
            conversation__consent=True,
            conversation__source="chat",
        )
        .exclude(pk__in=asked.values("message"))
        .exclude(text="")
        .order_by("-finished_at")
        .values_list("pk", flat=True)[:CANDIDATES]
    )
    # By hash: at random, and yet the same one when the page is loaded again.
    chosen = min(candidates, key=lambda pk: hashlib.sha256(pk.bytes).digest(), default=None)
    return chosen and Message.objects.select_related("parent").get(pk=chosen)
