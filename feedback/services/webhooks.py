"""Webhooks: noted with what they tell, in one transaction; sent by a worker until answered.

Signed as the Standard Webhooks specification says: `webhook-id`, `webhook-timestamp` and
`webhook-signature: v1,BASE64(HMAC-SHA256(secret, "ID.TIMESTAMP.BODY"))`. The id stays the same
when a delivery is repeated, so that a receiver can tell.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
from asgiref.sync import async_to_sync
from django.db import transaction
from django.utils import timezone

from annotation.models import Project
from config.errors import Invalid
from config.models import User
from feedback.models import Delivery, Event, Vote, Webhook
from feedback.outward import Forbidden, Outward
from feedback.vocabulary import POSITIVE, REASONS

#: Seconds to wait after each attempt that failed; after the last the delivery is given up.
PAUSES = (5, 30, 120, 600, 3600, 6 * 3600, 24 * 3600)
#: An answer's status must be there by then; its body is not read.
TIMEOUT_SECONDS = 10.0
BATCH = 40
AT_ONCE = 10
#: Longer than a whole batch can take.
LEASE_SECONDS = 3 * TIMEOUT_SECONDS * BATCH / AT_ONCE
GONE = 410
REACTION_KINDS = (Event.Kind.REACTION, Event.Kind.RETRACTION)


def register(*, project: Project, url: str, kinds: list[str], by: User) -> Webhook:
    """Tell `url` of these kinds of events from now on. Raises Invalid."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise Invalid("Give an http or https address.", fields={"url": "is no web address"})
    if not kinds or not set(kinds) <= set(Webhook.KINDS):
        raise Invalid(f"Choose from {', '.join(Webhook.KINDS)}.", fields={"kinds": "are not known"})
    return Webhook.objects.create(project=project, url=url, kinds=sorted(set(kinds)), created_by=by)


def note_reactions(client_events: Iterable) -> None:
    """Note deliveries of reactions stored in this transaction; without consent nobody is told."""
    hooks = list(Webhook.objects.filter(active=True, kinds__contains=["reaction"]))
    if not hooks:
        return
    stored = Event.objects.filter(
        client_event__in=list(client_events),
        kind__in=REACTION_KINDS,
        message__conversation__consent=True,
    ).values_list("pk", "message__conversation__project_id")
    _note(
        Delivery(webhook=hook, event_id=pk)
        for pk, project_id in stored
        for hook in hooks
        if hook.project_id == project_id
    )


def note_vote(vote: Vote) -> None:
    """Note deliveries of a vote stored in this transaction."""
    conversation = vote.battle.conversation
    if conversation.consent:
        hooks = Webhook.objects.filter(
            active=True, kinds__contains=["vote"], project=conversation.project_id
        )
        _note(Delivery(webhook=hook, vote=vote) for hook in hooks)


def _note(deliveries: Iterable[Delivery]) -> None:
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)


def send_due() -> int:
    """Try every delivery whose time has come; returns how many were answered well."""
    done = 0
    while batch := _claim():
        ready = [(one, letter) for one in batch if (letter := _letter(one)) is not None]
        statuses = async_to_sync(_post_all)([letter for _, letter in ready])
        for (delivery, _), status in zip(ready, statuses, strict=True):
            done += _note_answer(delivery, status)
    return done


def signature(secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    """What the header `webhook-signature` must say."""
    signed = b".".join([delivery_id.encode(), str(timestamp).encode(), body])
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def payload(delivery: Delivery) -> dict:
    """What is told: ids, names of models and the judgment, no words that people wrote."""
    if delivery.event is not None:
        return _reaction(delivery.event)
    return _vote(delivery.vote)


@transaction.atomic
def _claim() -> list[Delivery]:
    """Deliveries this worker holds for a while; another one takes them up if it dies."""
    now = timezone.now()
    batch = list(
        Delivery.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(state=Delivery.State.WAITING, next_at__lte=now)
        .select_related(
            "webhook", "event__message__model_version", "event__message__deployment",
            "event__message__conversation__project", "vote__battle__left__model_version",
            "vote__battle__right__model_version", "vote__battle__conversation__project",
        )
        .order_by("next_at")[:BATCH]
    )  # fmt: skip
    Delivery.objects.filter(pk__in=[one.pk for one in batch]).update(
        next_at=now + timedelta(seconds=LEASE_SECONDS)
    )
    return batch


def _letter(delivery: Delivery) -> tuple[str, dict, bytes] | None:
    """Address, headers and body; None where nobody may be told any more."""
    hook = delivery.webhook
    delivery.attempts += 1
    if not hook.active:
        _end(delivery, Delivery.State.FAILED, error="The webhook was switched off.")
        return None
    about = delivery.event.message if delivery.event else delivery.vote.battle
    if not about.conversation.consent:
        _end(delivery, Delivery.State.FAILED, error="The person took the consent back.")
        return None
    body = json.dumps(payload(delivery)).encode()
    now = int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": "preferendum-webhooks",
        "webhook-id": str(delivery.pk),
        "webhook-timestamp": str(now),
        "webhook-signature": signature(hook.secret, str(delivery.pk), now, body),
    }
    return hook.url, headers, body


async def _post_all(letters: list[tuple[str, dict, bytes]]) -> list[int | str]:
    """The status each letter was answered with, or why there was none."""
    gate = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(
        transport=Outward(), timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False
    ) as client:

        async def post(url: str, headers: dict, body: bytes) -> int | str:
            async with gate:
                try:
                    async with (
                        asyncio.timeout(TIMEOUT_SECONDS),
                        client.stream("POST", url, content=body, headers=headers) as answer,
                    ):
                        return answer.status_code
                except TimeoutError:
                    return f"No answer within {TIMEOUT_SECONDS:.0f} seconds."
                except Forbidden as exc:
                    return str(exc)
                except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as exc:
                    return f"No answer: {exc}"[:300]

        return await asyncio.gather(*(post(*letter) for letter in letters))


def _note_answer(delivery: Delivery, status: int | str) -> bool:
    """Write down what became of it; true when it was answered well."""
    if isinstance(status, str):
        return _later(delivery, error=status)
    delivery.status = status
    if 200 <= status < 300:
        return _end(delivery, Delivery.State.DELIVERED)
    if status == GONE:
        Webhook.objects.filter(pk=delivery.webhook_id).update(active=False)
        return _end(delivery, Delivery.State.FAILED, error="The address said that it is gone.")
    return _later(delivery, error=f"The address answered {status}.")


def _later(delivery: Delivery, *, error: str) -> bool:
    if delivery.attempts > len(PAUSES):
        return _end(delivery, Delivery.State.FAILED, error=error)
    pause = timedelta(seconds=PAUSES[delivery.attempts - 1])
    _keep(delivery, next_at=timezone.now() + pause, error=error)
    return False


def _end(delivery: Delivery, state: str, error: str = "") -> bool:
    done = state == Delivery.State.DELIVERED
    _keep(delivery, state=state, error=error, delivered_at=timezone.now() if done else None)
    return done


def _keep(delivery: Delivery, **values) -> None:
    """Write down what became of it, if what it tells was not deleted meanwhile."""
    # One that another worker has ended stays as it ended.
    Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.WAITING).update(
        attempts=delivery.attempts, status=delivery.status, **values
    )


def _reaction(event: Event) -> dict:
    message = event.message
    given = event.kind == Event.Kind.REACTION
    return {
        "type": "reaction.given" if given else "reaction.retracted",
        "timestamp": event.server_time.isoformat(),
        "data": {
            "id": str(event.client_event),
            "project": message.conversation.project.slug,
            "message": str(message.pk),
            "completion_id": f"chatcmpl-{message.pk.hex}",
            "reaction": event.reaction,
            "positive": event.reaction in POSITIVE,
            "reasons": [one for one in event.reasons if one in REASONS],
            "model": message.model_version.name if message.model_version else None,
            "arm": message.deployment.arm if message.deployment else None,
        },
    }


def _vote(vote: Vote) -> dict:
    battle = vote.battle
    return {
        "type": "vote.cast",
        "timestamp": vote.created_at.isoformat(),
        "data": {
            "id": str(vote.client_event),
            "project": battle.conversation.project.slug,
            "battle": str(battle.pk),
            "outcome": vote.outcome,
            "left": {"message": str(battle.left_id), "model": battle.left.model_version.name},
            "right": {"message": str(battle.right_id), "model": battle.right.model_version.name},
        },
    }
