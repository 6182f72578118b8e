"""The event stream: what browsers send at least once is stored exactly once, by its own id."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from django.db import IntegrityError, transaction

from config.errors import Conflict, DomainError, Invalid
from feedback.models import Event, Message
from feedback.people import Person
from feedback.services import webhooks
from feedback.text import storable
from feedback.tree import FINAL
from feedback.vocabulary import REACTIONS, VERDICTS

Kind = Event.Kind
#: What a client may tell; the rest is noted here when it happens.
TOLD = frozenset(
    {Kind.REACTION, Kind.RETRACTION, Kind.COPY, Kind.REPORT, Kind.EXPOSURE, Kind.DWELL,
     Kind.HINDSIGHT}
)  # fmt: skip
MAX_BATCH = 200
MAX_REASONS = 10
MAX_REASON = 60
MAX_COMMENT = 2000
MAX_DURATION_MS = 24 * 3600 * 1000
TAKEN = "This event id has been used for something else."
MISSING = "There is no such answer of yours."
_NOTED = UUID("8e0f1d5e-3c0b-4a7f-9f6e-54b2b2f0a6c1")


@dataclass(frozen=True, slots=True)
class Signal:
    """One event as a client tells it; `client_event` makes telling it twice harmless."""

    client_event: UUID
    kind: str
    message_id: UUID
    reaction: str = ""
    reasons: list[str] | tuple[str, ...] = ()
    comment: str = ""
    duration_ms: int | None = None
    share_seen: float | None = None
    client_time: datetime | None = None

    def names(self, event: Event) -> bool:
        """Whether a stored event is this one."""
        told = (self.message_id, self.kind, self.reaction)
        return told == (event.message_id, event.kind, event.reaction)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a signal: stored, known (it had been stored before) or refused."""

    client_event: UUID
    state: str
    detail: str = ""


def record(*, person: Person, signal: Signal) -> bool:
    """Add one event to the stream; False when it had been added before.

    Raises Invalid, Conflict (the id was used for another event), or DoesNotExist for messages of
    other people.
    """
    checked(signal)
    message = person.messages.get(pk=signal.message_id)
    _judgeable(message)
    try:
        with transaction.atomic():
            _row(person, signal).save(force_insert=True)
            if signal.kind in webhooks.REACTION_KINDS:
                webhooks.note_reactions([signal.client_event])
    except IntegrityError:
        earlier = Event.objects.filter(client_event=signal.client_event).first()
        if earlier is None or not signal.names(earlier):
            raise Conflict(TAKEN) from None
        return False
    return True


def record_many(*, person: Person, signals: Iterable[Signal]) -> list[Outcome]:
    """Add a batch in three queries; one that is refused does not hold up the others."""
    signals = list(signals)
    if len(signals) > MAX_BATCH:
        raise Invalid(f"Send at most {MAX_BATCH} events at once; none was stored.")
    try:
        return _store(person, signals)
    except IntegrityError:  # a conversation was deleted at this very moment: look again
        return _store(person, signals)


def note(
    *, person: Person, kind: str, message: Message, cause: object, at: datetime | None = None
) -> None:
    """Add an event that the server itself saw happen; once for each `cause`."""
    event = Event(
        client_event=uuid5(_NOTED, f"{kind} {cause}"), kind=kind, message=message,
        actor=person.user, guest=person.guest, client_time=at,
    )  # fmt: skip
    Event.objects.bulk_create([event], ignore_conflicts=True)


def checked(signal: Signal) -> None:
    """Raises Invalid for what cannot be an event, whoever's message it is about."""
    if signal.kind not in TOLD:
        raise Invalid(f"Choose one of {', '.join(sorted(TOLD))}.", fields={"kind": "is unknown"})
    if signal.kind in (Kind.REACTION, Kind.RETRACTION) and signal.reaction not in REACTIONS:
        raise Invalid(f"Choose one of {', '.join(REACTIONS)}.", fields={"reaction": "is unknown"})
    if signal.kind == Kind.HINDSIGHT and signal.reaction not in VERDICTS:
        raise Invalid(f"Choose one of {', '.join(VERDICTS)}.", fields={"reaction": "is unknown"})
    _check_words(signal)
    _check_measures(signal)


def _check_words(signal: Signal) -> None:
    reasons = signal.reasons
    is_list = isinstance(reasons, list | tuple) and len(reasons) <= MAX_REASONS
    if not is_list or not all(isinstance(one, str) and len(one) <= MAX_REASON for one in reasons):
        raise Invalid(
            f"Give at most {MAX_REASONS} reasons of at most {MAX_REASON} characters.",
            fields={"reasons": "are not valid"},
        )
    for one in reasons:
        storable(one, field="reasons")
    if not isinstance(signal.comment, str) or len(signal.comment) > MAX_COMMENT:
        raise Invalid(
            f"A comment has at most {MAX_COMMENT:,} characters.", fields={"comment": "is too long"}
        )
    storable(signal.comment, field="comment")
    if signal.kind == Kind.REPORT and not (reasons or signal.comment.strip()):
        raise Invalid("Say what is wrong with the answer.", fields={"reasons": "are missing"})


def _check_measures(signal: Signal) -> None:
    timed = signal.kind in (Kind.EXPOSURE, Kind.DWELL)
    duration, share = signal.duration_ms, signal.share_seen
    is_whole = isinstance(duration, int) and not isinstance(duration, bool)
    if duration is not None and not (timed and is_whole and 0 <= duration <= MAX_DURATION_MS):
        raise Invalid(
            "A duration is a whole number of milliseconds, at most a day, of exposure or dwell.",
            fields={"duration_ms": "is not valid"},
        )
    if signal.kind == Kind.DWELL and duration is None:
        raise Invalid("Say how long.", fields={"duration_ms": "is missing"})
    is_number = isinstance(share, int | float) and not isinstance(share, bool)
    is_share = is_number and math.isfinite(share) and 0 <= share <= 1
    if share is not None and not (timed and is_share):
        raise Invalid(
            "The share seen is a number from 0 to 1.", fields={"share_seen": "is not valid"}
        )


def _judgeable(message: Message) -> None:
    if message.role != Message.Role.ASSISTANT or message.state not in FINAL:
        raise Invalid("Only an answer that has ended can be reacted to.")


@transaction.atomic
def _store(person: Person, signals: list[Signal]) -> list[Outcome]:
    messages = person.messages.in_bulk({one.message_id for one in signals})
    ids = {one.client_event for one in signals}
    known = {one.client_event: one for one in Event.objects.filter(client_event__in=ids)}
    outcomes, rows = [], []
    for signal in signals:
        earlier = known.get(signal.client_event)
        if earlier is not None:
            state = ("known",) if signal.names(earlier) else ("refused", TAKEN)
            outcomes.append(Outcome(signal.client_event, *state))
            continue
        try:
            checked(signal)
            message = messages.get(signal.message_id)
            if message is None:
                raise Invalid(MISSING)
            _judgeable(message)
        except DomainError as exc:
            outcomes.append(Outcome(signal.client_event, "refused", exc.detail))
            continue
        row = known[signal.client_event] = _row(person, signal)
        rows.append(row)
        outcomes.append(Outcome(signal.client_event, "stored"))
    Event.objects.bulk_create(rows, ignore_conflicts=True)
    taken = _taken(rows)
    reactions = [row.client_event for row in rows if row.kind in webhooks.REACTION_KINDS]
    if reactions:
        webhooks.note_reactions(one for one in reactions if one not in taken)
    return [
        Outcome(one.client_event, "refused", TAKEN)
        if one.state == "stored" and one.client_event in taken
        else one
        for one in outcomes
    ]


def _taken(rows: list[Event]) -> set[UUID]:
    """Ids that somebody else has used for another event between our looking and our storing."""
    stored = Event.objects.in_bulk([row.client_event for row in rows], field_name="client_event")

    def what(event: Event) -> tuple:
        return event.message_id, event.kind, event.reaction

    return {row.client_event for row in rows if what(row) != what(stored[row.client_event])}


def _row(person: Person, signal: Signal) -> Event:
    return Event(
        client_event=signal.client_event,
        kind=signal.kind,
        message_id=signal.message_id,
        actor=person.user,
        guest=person.guest,
        reaction=signal.reaction,
        reasons=list(signal.reasons),
        comment=signal.comment,
        duration_ms=signal.duration_ms,
        share_seen=signal.share_seen,
        client_time=signal.client_time,
    )
