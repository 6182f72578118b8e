"""What other apps may read of conversations: reactions as they stand, and prompts people asked.

Only conversations whose person consents are read, and only what was not taken back.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q

from annotation.prompts import prompt_hash
from feedback.models import Conversation, Event, Image, Message, Vote
from feedback.tree import Tree
from feedback.vocabulary import NEGATIVE, POSITIVE

CHUNK = 500


@dataclass(frozen=True, slots=True)
class ReactionRecord:
    """What one person thinks of one answer now; `prompt` is the path up to the answer."""

    event_id: int
    message_id: UUID
    person: str
    prompt: list[dict[str, str]]
    prompt_hash: str
    answer: str
    model_version: str | None
    reaction: str
    positive: bool
    weight: float
    consent: bool
    created_at: datetime


def reactions(
    *,
    project_ids: Iterable[int],
    until: datetime | int | None = None,
    position: int | None = None,
) -> Iterator[ReactionRecord]:
    """The standing reaction of each person to each answer (the newest of several), by event id.

    `until` is a moment or an event id (inclusive): the state as it was then. Read in chunks, so
    memory does not grow with the number of reactions. `position` is an event id that holds besides.
    """
    events = (
        Event.objects.reactions()
        .filter(
            message__conversation__project_id__in=list(project_ids),
            message__conversation__consent=True,
        )
        .exclude(message__conversation__in=_with_pictures())
    )
    if isinstance(until, int):
        events = events.filter(pk__lte=until)
    elif until is not None:
        events = events.filter(server_time__lte=until)
    if position is not None:
        events = events.filter(pk__lte=position)
    person = ("message_id", "actor_id", "guest")
    last_words = events.order_by(*person, "reaction", "-pk").distinct(*person, "reaction")
    standing = (
        Event.objects.filter(pk__in=last_words.values("pk"), kind=Event.Kind.REACTION)
        .order_by(*person, "-pk")
        .distinct(*person)
    )
    rows = (
        Event.objects.filter(pk__in=standing.values("pk"))
        .select_related("actor", "message__model_version", "trust")
        .order_by("pk")
        .iterator(chunk_size=CHUNK)
    )
    while chunk := list(islice(rows, CHUNK)):
        trees = _trees({event.message.conversation_id for event in chunk})
        for event in chunk:
            answer = event.message
            prompt = trees[answer.conversation_id].prompt(answer.parent_id)
            yield ReactionRecord(
                event_id=event.pk,
                message_id=answer.pk,
                person=event.actor.pseudonym if event.actor else guest_pseudonym(event.guest),
                prompt=prompt,
                prompt_hash=prompt_hash(prompt),
                answer=answer.text,
                model_version=answer.model_version.name if answer.model_version else None,
                reaction=event.reaction,
                positive=event.reaction in POSITIVE,
                weight=_weight(event),
                consent=True,
                created_at=event.server_time,
            )


def prompts(*, project_ids: Iterable[int], limit: int) -> list[list[dict[str, str]]]:
    """Distinct prompts that consenting people asked, newest first, each ending in a question."""
    asked = (
        Message.objects.filter(
            role=Message.Role.USER,
            conversation__project_id__in=list(project_ids),
            conversation__consent=True,
        )
        .exclude(conversation__in=_with_pictures())
        .order_by("-created_at", "-pk")
        .values_list("conversation_id", "pk")
        .iterator(chunk_size=CHUNK)
    )
    found: dict[str, list[dict[str, str]]] = {}
    while len(found) < limit and (chunk := list(islice(asked, CHUNK))):
        trees = _trees({conversation_id for conversation_id, _ in chunk})
        for conversation_id, message_id in chunk:
            prompt = trees[conversation_id].prompt(message_id)
            if len(found) < limit and prompt:
                found.setdefault(prompt_hash(prompt), prompt)
    return list(found.values())


def counts(*, project_ids: Iterable[int]) -> dict[str, int]:
    """How many conversations, answers and reaction events there are, consenting or not."""
    ids = list(project_ids)
    answers = Message.objects.filter(
        role=Message.Role.ASSISTANT, conversation__project_id__in=ids
    ).exclude(state__in=[Message.State.QUEUED, Message.State.STREAMING])
    events = Event.objects.filter(message__conversation__project_id__in=ids)
    return {
        "conversations": Conversation.objects.filter(project_id__in=ids).count(),
        "answers": answers.count(),
        "reactions": events.filter(kind=Event.Kind.REACTION).count(),
    }


def log_position() -> int:
    """The id of the newest event; with it `reactions(until=...)` can be asked again."""
    return Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def _weight(event: Event) -> float:
    """How far the reaction counts: the event's own weight times what trust leaves of it."""
    trust = getattr(event, "trust", None)
    return event.weight * (trust.weight if trust is not None else 1.0)


def vote_weights(*, project_ids: Iterable[int]) -> dict[UUID, float]:
    """Judgments that came from votes which count less than fully, with what they count."""
    rows = Vote.objects.filter(
        weight__lt=1, judgment__project_id__in=list(project_ids)
    ).values_list("judgment_id", "weight")
    return dict(rows.iterator())


def withheld_judgments(*, project_ids: Iterable[int]) -> set[UUID]:
    """Judgments from votes in conversations whose person does not consent."""
    rows = Vote.objects.filter(
        battle__conversation__consent=False, judgment__project_id__in=list(project_ids)
    )
    return set(rows.values_list("judgment_id", flat=True))


@dataclass(frozen=True, slots=True)
class FollowUpRecord:
    """What a person wrote next after an answer; `message_id` is that of the follow-up."""

    message_id: UUID
    person: str
    prompt: list[dict[str, str]]
    prompt_hash: str
    answer: str
    model_version: str | None
    followup: str
    created_at: datetime


def followups(
    *, project_ids: Iterable[int], until: datetime | None = None
) -> Iterator[FollowUpRecord]:
    """Turns that follow a whole answer, in conversations whose person consents, oldest first."""
    rows = Message.objects.filter(
        role=Message.Role.USER,
        parent__role=Message.Role.ASSISTANT,
        parent__state=Message.State.COMPLETE,
        conversation__project_id__in=list(project_ids),
        conversation__consent=True,
    ).exclude(conversation__in=_with_pictures())
    if until is not None:
        rows = rows.filter(created_at__lte=until)
    rows = rows.select_related("parent__model_version", "conversation__owner")
    rows = rows.order_by("created_at", "pk").iterator(chunk_size=CHUNK)
    while chunk := list(islice(rows, CHUNK)):
        trees = _trees({message.conversation_id for message in chunk})
        for message in chunk:
            answer, owner = message.parent, message.conversation.owner
            prompt = trees[message.conversation_id].prompt(answer.parent_id)
            yield FollowUpRecord(
                message_id=message.pk,
                person=owner.pseudonym if owner else guest_pseudonym(message.conversation.guest),
                prompt=prompt,
                prompt_hash=prompt_hash(prompt),
                answer=answer.text,
                model_version=answer.model_version.name if answer.model_version else None,
                followup=message.text,
                created_at=message.created_at,
            )


def guest_pseudonym(guest: str) -> str:
    """A stable name for a guest from which the cookie's key cannot be had."""
    return f"g-{hashlib.sha256(guest.encode()).hexdigest()[:10]}"


def _with_pictures():
    """Conversations whose words alone do not say what was asked."""
    return Image.objects.exclude(message=None).values("message__conversation")


def _trees(conversation_ids: set[UUID]) -> dict[UUID, Tree]:
    """The trees of some conversations: one query."""
    found: dict[UUID, list[Message]] = {one: [] for one in conversation_ids}
    messages = Message.objects.filter(conversation_id__in=conversation_ids)
    fields = ("conversation_id", "parent_id", "role", "state", "text", "created_at")
    for message in messages.only(*fields).order_by("created_at", "pk"):
        found[message.conversation_id].append(message)
    return {one: Tree(messages) for one, messages in found.items()}


_OUTCOMES = """
SELECT c.deployment_id, count(*),
       count(*) FILTER (WHERE seen.loved), count(*) FILTER (WHERE seen.complained),
       count(*) FILTER (WHERE seen.slow), count(*) FILTER (WHERE seen.failed)
FROM feedback_conversation c
CROSS JOIN LATERAL (
    SELECT count(*) AS answers,
           bool_or(m.first_token_ms > %(slow_ms)s) AS slow,
           bool_or(m.state = 'failed') AS failed,
           bool_or(said.loved) AS loved, bool_or(said.complained) AS complained
    FROM feedback_message m
    LEFT JOIN LATERAL (
        SELECT bool_or(e.kind = 'reaction' AND e.reaction = 'love') AS loved,
               bool_or(e.kind = 'report'
                       OR e.kind = 'reaction' AND e.reaction = ANY(%(negative)s)) AS complained
        FROM feedback_event e
        LEFT JOIN feedback_reactiontrust t ON t.event_id = e.id
        WHERE e.message_id = m.id AND e.kind IN ('reaction', 'report')
          AND e.server_time <= c.created_at + %(window)s AND coalesce(t.weight, 1) >= 0.5
          AND NOT EXISTS (
              SELECT 1 FROM feedback_event back
              WHERE back.message_id = m.id AND back.kind = 'retraction' AND back.id > e.id
                AND back.reaction = e.reaction AND back.actor_id IS NOT DISTINCT FROM e.actor_id
                AND back.guest = e.guest AND back.server_time <= c.created_at + %(window)s)
    ) said ON true
    WHERE m.conversation_id = c.id AND m.role = 'assistant'
      AND m.deployment_id = c.deployment_id AND m.created_at <= c.created_at + %(window)s
) seen
WHERE c.deployment_id = ANY(%(arms)s) AND c.source <> 'side' AND seen.answers > 0
  AND c.created_at > %(since)s AND c.created_at <= %(until)s
GROUP BY c.deployment_id
"""


def arm_outcomes(
    *,
    deployments: Iterable[UUID],
    since: datetime,
    until: datetime,
    window: timedelta,
    slow_ms: int,
) -> dict[UUID, dict[str, int]]:
    """What came of the conversations begun in (since, until], by the arm they were dealt.

    Each counts once, by what happened within `window` of its beginning, so that its outcome
    never changes afterwards: `loved`, `complained` (a negative reaction or a report), `slow` (a
    first token later than `slow_ms`), `failed`; `n` conversations with an answer in all.
    """
    values = {
        "arms": list(deployments), "since": since, "until": until, "window": window,
        "slow_ms": slow_ms, "negative": sorted(NEGATIVE),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_OUTCOMES, values)
        rows = cursor.fetchall()
    names = ("n", "loved", "complained", "slow", "failed")
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def dealt(*, deployments: Iterable[UUID], since: datetime) -> dict[UUID, int]:
    """How many conversations begun after `since` each arm was dealt."""
    rows = (
        Conversation.objects.filter(deployment__in=list(deployments), created_at__gt=since)
        .exclude(source="side")
        .values_list("deployment")
        .annotate(n=Count("pk"))
        .order_by()
    )
    return dict(rows)


def votes_between(
    *, project_ids: Iterable[int], model: UUID, other: UUID, since: datetime
) -> dict[str, int]:
    """Side-by-side votes between two models since a moment, seen from `model`."""
    rows = (
        Vote.objects.filter(
            battle__conversation__project_id__in=list(project_ids),
            created_at__gt=since,
            weight__gte=0.5,
        )
        .filter(
            Q(battle__left__model_version=model, battle__right__model_version=other)
            | Q(battle__left__model_version=other, battle__right__model_version=model)
        )
        .values_list("outcome", "battle__left__model_version")
    )
    found = {"wins": 0, "losses": 0, "ties": 0}
    for outcome, left in rows.iterator():
        if outcome in ("left", "right"):
            found["wins" if (outcome == "left") == (left == model) else "losses"] += 1
        else:
            found["ties"] += 1
    return found
