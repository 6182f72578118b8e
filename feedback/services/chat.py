"""What a person does in a conversation: begin, send, ask again, edit, choose a branch.

Each use-case is one transaction. It leaves the person's words stored for good and an answer in
state 'queued', which `feedback.services.generation` then writes.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID, uuid5

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.models import Project
from config.errors import Busy, Conflict, Invalid
from feedback.models import Conversation, Event, Image, Message
from feedback.people import Person
from feedback.services import images, signals
from feedback.text import checked
from feedback.tree import FINAL, Tree
from inference import windows
from inference.models import Deployment, ModelVersion
from inference.services import deployments

Role = Message.Role
State = Message.State
UNFINISHED = (State.QUEUED, State.STREAMING)
READ = (State.COMPLETE, State.STOPPED)
TITLE_LENGTH = 60
_REQUESTS = UUID("5f0d3f3e-7d3c-4a39-9d8d-0b0f6c1f8a52")


@dataclass(frozen=True, slots=True)
class Turn:
    """What a use-case made: the answer to be written, and what a model is given for it.

    `created` is false when the same request had been carried out before.
    """

    conversation: Conversation
    tree: Tree
    answer: Message
    question: Message | None
    prompt: list[dict[str, str]]
    created: bool = True
    title_changed: bool = False


def begin(
    *,
    person: Person,
    project: str | None = None,
    consent: bool = True,
    source: str = "chat",
    key: str = "",
) -> Conversation:
    """An empty conversation of this person; the same `key` gives the same one again."""
    slug = project or settings.CHAT_PROJECT
    home = Project.objects.filter(slug=slug).first()
    if home is None:
        raise Conflict(f"There is no project '{slug}' to chat in yet.")
    fields = {
        "project": home,
        "owner": person.user,
        "guest": person.guest,
        "consent": consent,
        "source": source,
    }
    if not key:
        return Conversation.objects.create(**fields)
    whose = person.guest or f"user {person.user.pk}"
    begun, _ = Conversation.objects.get_or_create(
        pk=uuid5(_REQUESTS, f"{whose} {key}"), defaults=fields
    )
    return begun


def send(
    *,
    person: Person,
    conversation_id: UUID,
    text: str,
    parent_id: UUID | None = None,
    request_id: UUID | None = None,
    sampling: dict | None = None,
    client_time: datetime | None = None,
    image_ids: list[UUID] = (),
) -> Turn:
    """Add a question under `parent_id` (by default the current leaf) and queue its answer.

    `image_ids` are pictures added before; raises Invalid where the model takes none.
    """
    text = checked(text)
    with _Once():
        conversation, tree = _locked(person, conversation_id)
        if request_id and (earlier := _earlier(tree, request_id)):
            return _repeat(conversation, tree, earlier)
        parent = _parent(tree, parent_id or conversation.leaf_id)
        attach = partial(images.attach, person=person, image_ids=list(image_ids))
        turn = _ask(
            person, conversation, tree, parent, text, request_id, sampling,
            pictures=attach if image_ids else None,
        )  # fmt: skip
        _note(person, Event.Kind.FOLLOW_UP, parent, turn, client_time)
        return turn


def edit(
    *,
    person: Person,
    conversation_id: UUID,
    message_id: UUID,
    text: str,
    request_id: UUID | None = None,
    client_time: datetime | None = None,
) -> Turn:
    """Ask the question `message_id` in other words: a branch beside it, nothing overwritten."""
    text = checked(text)
    with _Once():
        conversation, tree = _locked(person, conversation_id)
        if request_id and (earlier := _earlier(tree, request_id)):
            return _repeat(conversation, tree, earlier)
        old = _message(tree, message_id)
        if old.role != Role.USER:
            raise Invalid("Only your own messages can be edited.")
        parent = tree.messages.get(old.parent_id) if old.parent_id else None
        read = tree.answer_to(old.pk, conversation.leaf_id)
        keep = partial(images.copy, old=old)
        turn = _ask(
            person, conversation, tree, parent, text, request_id, None,
            pictures=keep if hasattr(old, "pictures") else None,
        )  # fmt: skip
        _note(person, Event.Kind.EDIT, read, turn, client_time)
        return turn


def regenerate(
    *,
    person: Person,
    conversation_id: UUID,
    message_id: UUID,
    request_id: UUID | None = None,
    client_time: datetime | None = None,
) -> Turn:
    """Queue another answer beside `message_id` (or under it, when it is a question)."""
    with _Once():
        conversation, tree = _locked(person, conversation_id)
        if request_id and (earlier := _earlier(tree, request_id)):
            return _repeat(conversation, tree, earlier)
        target = _message(tree, message_id)
        question = target
        if target.role == Role.ASSISTANT:
            if target.state not in FINAL:
                raise Conflict("This answer is still being written; stop it first.")
            question = tree.messages.get(target.parent_id) if target.parent_id else None
        if question is None or question.role != Role.USER:
            raise Invalid("There is no question to answer again.")
        answer, prompt = _answer(person, conversation, tree, question, None, None)
        answer.request_id = request_id
        answer.save(force_insert=True)
        tree.add(answer)
        conversation.leaf = answer
        conversation.save(update_fields=["leaf", "deployment", "updated_at"])
        turn = Turn(conversation, tree, answer, None, prompt)
        _note(person, Event.Kind.REGENERATE, target, turn, client_time)
        return turn


@transaction.atomic
def select(*, person: Person, conversation_id: UUID, message_id: UUID) -> UUID:
    """Remember the branch the person looks at; returns the leaf it ends in."""
    conversation, tree = _locked(person, conversation_id)
    leaf = tree.leaf_below(_message(tree, message_id).pk)
    if conversation.leaf_id != leaf:
        Conversation.objects.filter(pk=conversation.pk).update(leaf=leaf)
    return leaf


def finish(
    message_id: UUID,
    *,
    text: str,
    state: str,
    error: str = "",
    prompt_tokens: int | None = None,
    completion_tokens: int | None = None,
    first_token_ms: int | None = None,
    duration_ms: int | None = None,
) -> bool:
    """Give an answer its final text and state, once; False when that had been done before."""
    return bool(
        Message.objects.filter(pk=message_id, state__in=UNFINISHED).update(
            text=text,
            state=state,
            error=error[:300],
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            first_token_ms=first_token_ms,
            duration_ms=duration_ms,
            finished_at=timezone.now(),
        )
    )


def note_stop(*, person: Person, message_id: UUID, client_time: datetime | None = None) -> None:
    """Remember that the person stopped this answer, if it was still being written.

    Raises DoesNotExist for messages of other people.
    """
    message = person.messages.get(pk=message_id)
    if message.state in UNFINISHED:
        kind = Event.Kind.STOP
        signals.note(person=person, kind=kind, message=message, cause=message_id, at=client_time)


def _note(
    person: Person, kind: str, about: Message | None, turn: Turn, client_time: datetime | None
) -> None:
    """Remember what a turn says of an answer, if a model gave that one and it was read."""
    if about is None or about.model_version is None or about.state not in READ:
        return
    signals.note(person=person, kind=kind, message=about, cause=turn.answer.pk, at=client_time)


class _Once:
    """One transaction; a request id used elsewhere at the same moment becomes a Conflict."""

    def __enter__(self) -> None:
        self._atomic = transaction.atomic()
        self._atomic.__enter__()

    def __exit__(self, kind, value, trace) -> None:
        self._atomic.__exit__(kind, value, trace)
        if isinstance(value, IntegrityError):
            raise Conflict("This request id has been used for something else.") from value


def _locked(person: Person, conversation_id: UUID) -> tuple[Conversation, Tree]:
    """The person's conversation, held so that two windows take turns, and its tree."""
    conversation = (
        person.conversations.select_for_update(of=("self",))
        .select_related("project", "deployment__model_version")
        .get(pk=conversation_id)
    )
    return conversation, Tree.of(conversation.pk)


def _message(tree: Tree, message_id: UUID) -> Message:
    found = tree.messages.get(message_id)
    if found is None:
        raise Message.DoesNotExist
    return found


def _parent(tree: Tree, parent_id: UUID | None) -> Message | None:
    parent = _message(tree, parent_id) if parent_id else None
    if parent is not None and parent.state not in FINAL:
        raise Conflict("Wait for the answer to end, or stop it first.")
    return parent


def _earlier(tree: Tree, request_id: UUID) -> Message | None:
    return next((one for one in tree.messages.values() if one.request_id == request_id), None)


def _repeat(conversation: Conversation, tree: Tree, earlier: Message) -> Turn:
    """What the same request made the first time."""
    if earlier.role == Role.ASSISTANT:
        return Turn(conversation, tree, earlier, None, [], created=False)
    answer = tree.messages[uuid5(earlier.pk, "answer")]
    return Turn(conversation, tree, answer, earlier, [], created=False)


def _ask(
    person: Person,
    conversation: Conversation,
    tree: Tree,
    parent: Message | None,
    text: str,
    request_id: UUID | None,
    sampling: dict | None,
    pictures: Callable[..., list[Image]] | None,
) -> Turn:
    question = Message(
        conversation=conversation,
        parent=parent,
        role=Role.USER,
        text=text,
        state=State.COMPLETE,
        request_id=request_id,
        created_at=timezone.now(),
        finished_at=timezone.now(),
    )
    if pictures is not None:
        question.save(force_insert=True)
        question.pictures = pictures(message=question)
    tree.add(question)
    answer, prompt = _answer(
        person, conversation, tree, question, sampling, uuid5(question.pk, "answer")
    )
    tree.add(answer)
    Message.objects.bulk_create([question, answer] if pictures is None else [answer])
    title_changed = not conversation.title
    if title_changed:
        conversation.title = title_of(text)
    conversation.leaf = answer
    conversation.save(update_fields=["leaf", "deployment", "title", "updated_at"])
    return Turn(conversation, tree, answer, question, prompt, title_changed=title_changed)


def _answer(
    person: Person,
    conversation: Conversation,
    tree: Tree,
    question: Message,
    sampling: dict | None,
    answer_id: UUID | None,
) -> tuple[Message, list[dict[str, str]]]:
    """A queued answer that knows its model and sampling, not yet stored, and its prompt."""
    under_way = person.messages.filter(state__in=UNFINISHED).count()
    if under_way >= settings.CHAT_PARALLEL:
        raise Busy(
            f"{under_way} of your answers are still being written; wait for one or stop it.",
            retry_after=5,
        )
    deployment = _deployment(conversation)
    version = deployment.model_version
    prompt = tree.prompt(question.pk, pictures=images.taken_by(version))
    if getattr(question, "pictures", ()) and not images.taken_by(version):
        raise Invalid(f"The model '{version.name}' takes no pictures; send the words alone.")
    wanted, prompt = prepared(version, prompt, sampling)
    answer = Message(
        conversation=conversation,
        parent=question,
        role=Role.ASSISTANT,
        state=State.QUEUED,
        model_version=version,
        deployment=deployment,
        sampling=wanted,
        created_at=timezone.now(),
    )
    if answer_id:
        answer.pk = answer_id
    return answer, images.with_images(prompt)


def prepared(
    version: ModelVersion, prompt: list[dict], sampling: dict | None
) -> tuple[dict, list[dict]]:
    """How an answer is sampled, and as much of the prompt as the model can read."""
    wanted = {
        "temperature": settings.CHAT_TEMPERATURE,
        "top_p": settings.CHAT_TOP_P,
        "max_tokens": settings.CHAT_MAX_TOKENS,
        "seed": secrets.randbelow(2**31),
        **version.metadata.get("sampling", {}),
        **(sampling or {}),
    }
    fitted = windows.fit(version, prompt, wanted["max_tokens"])
    wanted["max_tokens"] = fitted.max_tokens
    if fitted.dropped_messages or fitted.dropped_characters:
        wanted["trimmed"] = {
            "messages": fitted.dropped_messages,
            "characters": fitted.dropped_characters,
        }
    return wanted, fitted.messages


def _deployment(conversation: Conversation) -> Deployment:
    """The arm this conversation was dealt; dealt anew when that one serves no more."""
    dealt = conversation.deployment
    if dealt is None or dealt.state != Deployment.State.SERVING:
        dealt = deployments.choose(project=conversation.project.slug, key=str(conversation.pk))
        conversation.deployment = dealt
    return dealt


def title_of(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= TITLE_LENGTH:
        return line
    return f"{line[:TITLE_LENGTH].rsplit(' ', 1)[0][:TITLE_LENGTH]}…"
