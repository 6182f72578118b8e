"""The question asked later: was an earlier answer useful, now that its use has been seen?

A reaction is given before the advice is followed, a verdict in hindsight after it (Liang et al.
2025, RLHS, arXiv 2501.08617). A person is asked at most once in three days, about an answer of
the last two weeks, and only about answers that ended CHAT_HINDSIGHT_AFTER_H hours ago or earlier.
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

    Only complete answers of the chat, in conversations whose person consents. Of the newest 50
    that may be asked about, the one with the least hash: what was thought of an answer has no part
    in it, so that verdicts are not a selection, and the same one is asked about again when the
    page is loaded again, until another answer becomes old enough.
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
