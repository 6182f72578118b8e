"""What people do with two answers to one question, as a preference with an audited probability.

Three signals, each between answers that stand side by side under the same question:

- `went-on`: asked for another answer, and then asked on from that one, copied or shared it;
- `regenerate`: asked for another answer, and left it at that one;
- `copied`: copied or shared one of several answers without asking for another.

`reworded` is the same person's question in nearly the same words, whose new answer was kept.

How often a signal is right is read from the pairs of which the same person also said in words
which answer was good: a reaction, or the later verdict where there is one (RLHS, arXiv
2501.08617). The probability is that share, drawn towards 0.6 by the weight of five pairs, so that
a signal that was never audited says little. It is never read off the pair it is used for: of a
pair that was judged in words the words are the better record, and no implicit one is given.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.db.models import Exists, OuterRef

from annotation.prompts import prompt_hash
from feedback.models import Conversation, Event, Image, Message
from feedback.selectors import guest_pseudonym
from feedback.tree import Tree
from feedback.vocabulary import NEGATIVE, POSITIVE

SIGNALS = ("went-on", "regenerate", "copied", "reworded")
#: Beta(3, 2): what is believed of a signal before any audit, worth five pairs.
PRIOR = (3.0, 2.0)
#: Share of words that two questions must have in common to be called the same.
SAME_WORDS = 0.6
CHUNK = 200
_KEPT = frozenset({"follow-up", "copy", "share"})
_VERDICT = {"helped": 1, "misled": -1}
_SIGNALLED = ("follow-up", "copy", "share", "regenerate", "edit")


@dataclass(frozen=True, slots=True)
class ImplicitRecord:
    """One implicit preference. `probability` is that the person would say so; `audited` is how
    many pairs it was read from; `weight` is how far the person's reactions are trusted."""

    chosen_id: UUID
    rejected_id: UUID
    person: str
    prompt: list[dict[str, str]]
    prompt_hash: str
    chosen: str
    rejected: str
    chosen_model: str
    rejected_model: str
    signal: str
    probability: float
    audited: int
    weight: float
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Audit:
    """How often a signal agreed with what the same person said of the same two answers."""

    agreed: int = 0
    audited: int = 0

    @property
    def probability(self) -> float:
        """Posterior mean under PRIOR."""
        good, bad = PRIOR
        return (self.agreed + good) / (self.audited + good + bad)


@dataclass(frozen=True, slots=True)
class _Pair:
    chosen: Message
    rejected: Message
    signal: str
    at: datetime
    says: int  # what the person said in words: 1 for the chosen, -1 against it, 0 nothing


def audits(*, project_ids: Iterable[int], position: int | None = None) -> dict[str, Audit]:
    """Each signal's audit over consenting conversations, as of an event id."""
    counts: dict[str, list[int]] = {name: [0, 0] for name in SIGNALS}
    for _tree, pairs in _talks(list(project_ids), position):
        for pair in pairs:
            if pair.says:
                counts[pair.signal][0] += pair.says > 0
                counts[pair.signal][1] += 1
    return {name: Audit(agreed, audited) for name, (agreed, audited) in counts.items()}


def preferences(
    *, project_ids: Iterable[int], until: datetime | None = None, position: int | None = None
) -> Iterator[ImplicitRecord]:
    """Implicit preferences in consenting conversations, in the order of the conversations.

    `position` is an event id: what was signalled later is not read. Two passes, so that every
    record has its signal's audit.
    """
    ids = list(project_ids)
    found = audits(project_ids=ids, position=position)
    trusted: dict[tuple, float] = {}
    for tree, pairs in _talks(ids, position):
        conversation = tree.conversation
        who = (conversation.owner_id, conversation.guest)
        for pair in pairs:
            if pair.says or (until is not None and pair.at > until):
                continue
            if who not in trusted:
                trusted[who] = _trust(*who, position)
            prompt = tree.prompt(pair.chosen.parent_id)
            audit = found[pair.signal]
            yield ImplicitRecord(
                chosen_id=pair.chosen.pk,
                rejected_id=pair.rejected.pk,
                person=_person(conversation),
                prompt=prompt,
                prompt_hash=prompt_hash(prompt),
                chosen=pair.chosen.text,
                rejected=pair.rejected.text,
                chosen_model=pair.chosen.model_version.name,
                rejected_model=pair.rejected.model_version.name,
                signal=pair.signal,
                probability=round(audit.probability, 4),
                audited=audit.audited,
                weight=trusted[who],
                created_at=pair.at,
            )


class _Talk(Tree):
    """A tree that knows its conversation."""

    conversation: Conversation


def _talks(ids: list[int], position: int | None) -> Iterator[tuple[_Talk, list[_Pair]]]:
    """Consenting conversations in which something was signalled, with their pairs."""
    told = Event.objects.filter(kind__in=_SIGNALLED, message__conversation=OuterRef("pk"))
    if position is not None:
        told = told.filter(pk__lte=position)
    conversations = (
        Conversation.objects.filter(Exists(told), project_id__in=ids, consent=True)
        .exclude(Exists(Image.objects.filter(message__conversation=OuterRef("pk"))))
        .exclude(source="side")  # comparisons are judged by votes
        .select_related("owner")
        .order_by("created_at", "pk")
        .iterator(chunk_size=CHUNK)
    )
    while chunk := list(islice(conversations, CHUNK)):
        messages, events = defaultdict(list), defaultdict(lambda: defaultdict(list))
        rows = Message.objects.filter(conversation__in=chunk).select_related("model_version")
        for message in rows.order_by("created_at", "pk"):
            messages[message.conversation_id].append(message)
        given = Event.objects.filter(message__conversation__in=chunk).select_related("message")
        if position is not None:
            given = given.filter(pk__lte=position)
        for event in given.order_by("pk"):
            events[event.message.conversation_id][event.message_id].append(event)
        for one in chunk:
            tree = _Talk(messages[one.pk])
            tree.conversation = one
            if pairs := list(_pairs(tree, events[one.pk])):
                yield tree, pairs


def _pairs(tree: _Talk, events: dict[UUID, list[Event]]) -> Iterator[_Pair]:
    for question in tree.messages.values():
        if question.role != Message.Role.USER:
            continue
        answers = [tree.messages[one] for one in tree.children(question.pk)]
        answers = [one for one in answers if _is_answer(one)]
        kinds = {one.pk: {event.kind for event in events.get(one.pk, ())} for one in answers}
        yield from _beside(answers, kinds, events)
        yield from _reworded(tree, question, answers, kinds, events)


def _beside(answers, kinds, events) -> Iterator[_Pair]:
    """Each answer that was asked for again, with the last one; else what was copied."""
    again = [one for one in answers if "regenerate" in kinds[one.pk]]
    last = answers[-1] if answers else None
    if again and last is not None and last not in again:
        signal = "went-on" if kinds[last.pk] & _KEPT else "regenerate"
        for one in again:
            if not kinds[one.pk] & _KEPT and one.text != last.text:
                yield _pair(last, one, signal, "regenerate", events)
    elif not again:
        taken = [one for one in answers if kinds[one.pk] & {"copy", "share"}]
        for one in answers:
            if len(taken) == 1 and one is not taken[0] and one.text != taken[0].text:
                yield _pair(taken[0], one, "copied", "copy", events)


def _reworded(tree, question, answers, kinds, events) -> Iterator[_Pair]:
    """The answer to a question that was asked again in nearly the same words."""
    edited = [one for one in answers if "edit" in kinds[one.pk]]
    if not edited:
        return
    later = [tree.messages[one] for one in tree.siblings(question)]
    later = [one for one in later if one.created_at > question.created_at and one.role == "user"]
    if not later or not _alike(question.text, later[-1].text):
        return
    news = [tree.messages[one] for one in tree.children(later[-1].pk)]
    news = [one for one in news if _is_answer(one)]
    if not news:
        return
    kept = {event.kind for event in events.get(news[-1].pk, ())}
    for one in edited:
        is_left = not kinds[one.pk] & _KEPT and not kept & {"regenerate", "edit"}
        if is_left and one.text != news[-1].text:
            yield _pair(news[-1], one, "reworded", "edit", events)


def _pair(chosen: Message, rejected: Message, signal: str, kind: str, events) -> _Pair:
    both = [*events.get(chosen.pk, ()), *events.get(rejected.pk, ())]
    at = max(event.server_time for event in both if event.kind in (kind, *_KEPT))
    said = _said(events.get(chosen.pk, ())) - _said(events.get(rejected.pk, ()))
    return _Pair(chosen, rejected, signal, at, (said > 0) - (said < 0))


def _said(events: Iterable[Event]) -> int:
    """What the person said of an answer: 1 good, -1 bad, 0 nothing. A later verdict goes first."""
    verdict, standing = 0, {}
    for event in events:
        if event.kind == "hindsight":
            verdict = _VERDICT.get(event.reaction, 0)
        elif event.kind == "reaction":
            standing.pop(event.reaction, None)
            standing[event.reaction] = None
        elif event.kind == "retraction":
            standing.pop(event.reaction, None)
    if verdict or not standing:
        return verdict
    newest = list(standing)[-1]
    return (newest in POSITIVE) - (newest in NEGATIVE)


def _trust(owner_id: int | None, guest: str, position: int | None) -> float:
    """The mean weight of the person's reactions; 1 for who gave none."""
    own = Event.objects.filter(kind="reaction", actor=owner_id, guest=guest)
    if position is not None:
        own = own.filter(pk__lte=position)
    rows = list(own.values_list("weight", "trust__weight"))
    if not rows:
        return 1.0
    weights = [weight * (1.0 if trust is None else trust) for weight, trust in rows]
    return round(sum(weights) / len(weights), 4)


def _person(conversation: Conversation) -> str:
    owner = conversation.owner
    return owner.pseudonym if owner else guest_pseudonym(conversation.guest)


def _is_answer(one: Message) -> bool:
    return one.role == "assistant" and one.state == "complete" and bool(one.text)


def _alike(one: str, other: str) -> bool:
    first, second = set(one.lower().split()), set(other.lower().split())
    return bool(first | second) and len(first & second) / len(first | second) >= SAME_WORDS
