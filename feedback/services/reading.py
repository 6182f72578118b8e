"""Conversations read by researchers: found, opened, and every look written down.

What people did not consent to share is shown without its words: when messages were sent and how
long they are, which model answered and what was made of it. Neither titles nor comments nor
pictures are shown, and no search by words reaches them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.contrib.postgres.search import SearchQuery
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.dateparse import parse_date

from annotation.models import Project
from config.errors import Invalid
from config.models import User
from feedback.models import Conversation, Event, Handover, Message, ReadingLog
from feedback.models.messages import WORDS
from feedback.search import MAX_LENGTH, excerpt
from feedback.selectors import guest_pseudonym
from feedback.vocabulary import REACTIONS

PAGE = 30
SOURCES = dict(Conversation._meta.get_field("source").choices)


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; empty fields ask for nothing."""

    q: str = ""
    model: str = ""
    arm: str = ""
    reaction: str = ""
    reported: bool = False
    consent: str = ""
    source: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> "Query":
        """From the query of an address. Raises Invalid naming what cannot be asked."""
        told = {
            name: str(given.get(name, "")).replace("\x00", "").strip()[:MAX_LENGTH]
            for name in cls.__slots__
            if name != "reported"
        }
        wrong = {}
        allowed = {
            "reaction": {"", "any", *REACTIONS}, "consent": {"", "yes", "no"},
            "source": {"", *SOURCES},
        }  # fmt: skip
        for name, choices in allowed.items():
            if told[name] not in choices:
                wrong[name] = f"choose from {', '.join(sorted(choices - {''}))}"
        for name in ("since", "until"):
            if told[name] and _day(told[name]) is None:
                wrong[name] = "must be a date like 2026-01-31"
        if wrong:
            said = "; ".join(f"{name}: {why}" for name, why in wrong.items())
            raise Invalid(f"This cannot be looked for. {said}.", fields=wrong)
        return cls(**told, reported=str(given.get("reported", "")) in ("1", "true", "on", "yes"))

    @property
    def asked(self) -> dict:
        """The fields that ask for something."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True)
class Found:
    """One page of conversations, newest first; `before` asks for the next one."""

    rows: list[dict]
    before: str | None


def search(*, project: Project, by: User, query: Query, before: str = "") -> Found:
    """Find a project's conversations by what `query` asks. The search is written down."""
    matching = _matching(project, query)
    if before:
        at, pk = _cursor(before)
        matching = matching.filter(Q(updated_at__lt=at) | Q(updated_at=at, pk__lt=pk))
        matching = matching.filter(updated_at__lte=at)  # what the index can use
    page = list(matching.select_related("owner").order_by("-updated_at", "-pk")[: PAGE + 1])
    rows = _rows(page[:PAGE], query.q)
    shown = any(row["consent"] for row in rows)
    note(project=project, by=by, action="searched", words=shown, what=query.asked)
    last = page[PAGE - 1] if len(page) > PAGE else None
    return Found(rows, f"{last.updated_at.isoformat()}~{last.pk}" if last else None)


def note(
    *,
    project: Project,
    by: User | str,
    action: str,
    conversation: UUID | None = None,
    words: bool = False,
    what: dict | None = None,
) -> None:
    """Write down who looked (a person, or what acts by itself); for good."""
    ReadingLog.objects.create(
        project_id=project.pk,
        reader=by if isinstance(by, str) else by.pseudonym,
        action=action,
        conversation=conversation,
        with_words=words,
        what=what or {},
    )


def looks(*, project: Project, before: int | None = None, limit: int = 100) -> list[dict]:
    """The newest entries of a project's log, with the names of those who still have accounts."""
    entries = ReadingLog.objects.filter(project_id=project.pk)
    if before is not None:
        entries = entries.filter(pk__lt=before)
    entries = list(entries[:limit])
    names = dict(
        User.objects.filter(pseudonym__in={one.reader for one in entries}).values_list(
            "pseudonym", "username"
        )
    )
    return [
        {
            "id": one.pk,
            "reader": one.reader,
            "name": names.get(one.reader),
            "action": one.action,
            "conversation": str(one.conversation) if one.conversation else None,
            "with_words": one.with_words,
            "what": one.what,
            "at": one.at.isoformat(),
        }
        for one in entries
    ]


def standing_events() -> QuerySet[Event]:
    """Reactions that were not taken back."""
    taken_back = Event.objects.filter(
        kind=Event.Kind.RETRACTION,
        message=OuterRef("message"),
        reaction=OuterRef("reaction"),
        pk__gt=OuterRef("pk"),
    )
    return Event.objects.filter(~Exists(taken_back), kind=Event.Kind.REACTION)


def _matching(project: Project, query: Query) -> QuerySet[Conversation]:
    found = Conversation.objects.filter(project=project).exclude(leaf=None)
    said = Message.objects.filter(conversation=OuterRef("pk"))
    if query.q:
        words = SearchQuery(query.q, config="simple", search_type="websearch")
        about = said.annotate(words=WORDS).filter(words=words).exclude(role=Message.Role.SYSTEM)
        found = found.filter(Exists(about), consent=True)
    if query.model:
        found = found.filter(Exists(said.filter(model_version__name=query.model)))
    if query.arm:
        found = found.filter(Exists(said.filter(deployment__arm=query.arm)))
    if query.reaction:
        given = standing_events().filter(message__conversation=OuterRef("pk"))
        if query.reaction != "any":
            given = given.filter(reaction=query.reaction)
        found = found.filter(Exists(given))
    if query.reported:
        reports = Event.objects.filter(kind="report", message__conversation=OuterRef("pk"))
        found = found.filter(Exists(reports))
    if query.consent:
        found = found.filter(consent=query.consent == "yes")
    if query.source:
        found = found.filter(source=query.source)
    if query.since:
        found = found.filter(updated_at__gte=_day(query.since))
    if query.until:
        found = found.filter(updated_at__lt=_day(query.until) + timedelta(days=1))
    return found


def _rows(page: list[Conversation], words: str) -> list[dict]:
    """What the list says of each: four queries for all of them."""
    ids = [one.pk for one in page]
    said: dict[UUID, list[Message]] = defaultdict(list)
    messages = Message.objects.filter(conversation_id__in=ids).exclude(role="system")
    messages = messages.select_related("model_version", "deployment").order_by("created_at", "pk")
    for message in messages.defer("sampling"):
        said[message.conversation_id].append(message)
    given: dict[UUID, Counter] = defaultdict(Counter)
    standing = standing_events().filter(message__conversation__in=ids)
    for conversation_id, reaction in standing.values_list("message__conversation_id", "reaction"):
        given[conversation_id][reaction] += 1
    reports = Counter(
        Event.objects.filter(kind="report", message__conversation__in=ids).values_list(
            "message__conversation_id", flat=True
        )
    )
    sent: dict[UUID, list[str]] = defaultdict(list)
    handed = Handover.objects.filter(conversation__in=ids)
    for conversation_id, slug in handed.values_list("conversation_id", "target__slug"):
        sent[conversation_id].append(slug)
    return [
        _row(one, said[one.pk], words)
        | {"reactions": dict(given[one.pk]), "reports": reports[one.pk], "sent": sent[one.pk]}
        for one in page
    ]


def _row(one: Conversation, said: list[Message], words: str) -> dict:
    answers = [message for message in said if message.role == Message.Role.ASSISTANT]
    place = ""
    if one.consent:
        place = _place(said, words)
    return {
        "id": str(one.pk),
        "title": one.title if one.consent else None,
        "place": place,
        "consent": one.consent,
        "source": one.source,
        "person": person_name(one),
        "messages": len(said),
        "models": sorted({one.model_version.name for one in answers if one.model_version}),
        "arms": sorted({one.deployment.arm for one in answers if one.deployment}),
        "created_at": one.created_at,
        "updated_at": one.updated_at,
    }


def _place(said: Iterable[Message], words: str) -> str:
    """The surroundings of the first wanted word, or else how the conversation begins."""
    wanted = [word.strip('"-').lower() for word in words.split()]
    for message in said:
        low = message.text.lower()
        at = next((word for word in wanted if word and word in low), None)
        if at is not None:
            return excerpt(message.text, at)
    first = next((message.text for message in said if message.role == "user"), "")
    return excerpt(first, "")


def person_name(conversation: Conversation) -> str:
    """The pseudonym of whose conversation it is."""
    if conversation.owner is not None:
        return conversation.owner.pseudonym
    return guest_pseudonym(conversation.guest)


def _day(text: str) -> datetime | None:
    try:
        day = parse_date(text)
    except ValueError:
        return None
    if day is None or day == date.max:  # the day after it is asked for, too
        return None
    return datetime.combine(day, time(), tzinfo=UTC)


def _cursor(before: str) -> tuple[datetime, UUID]:
    try:
        at, _, pk = before.partition("~")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError(at)
        return moment, UUID(pk)
    except ValueError:
        raise Invalid(
            "'before' is what the page before gave.", fields={"before": "is not a place"}
        ) from None
