"""An answer for a client that brings the whole chat along with each request.

Nothing waits for the database before the engine is asked: what is stored (the chat as a
conversation of its own, and the answer) is stored in one transaction when the answer ends, before
the client is told that it has.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from time import monotonic
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from annotation.models import Project
from config.errors import Conflict, DomainError
from config.models import AccessKey
from feedback import quota
from feedback.models import Conversation, Message
from feedback.services import chat
from feedback.threads import in_thread
from feedback.tree import Tree
from inference import client, selectors
from inference.models import Deployment
from inference.services import deployments

logger = logging.getLogger(__name__)

#: Names by which a client may ask for whatever the project serves.
ANY_MODEL = {"", "default", "preferendum"}
BROKEN = "Something went wrong while the answer was written. Ask again to retry."
NOT_KEPT = "The answer could not be stored. Ask again to retry."
State = Message.State


class UnknownModel(DomainError):
    """No serving model has the name that was asked for."""


class Answer:
    """One answer to one request: written while `pieces` is read, stored when that ends."""

    def __init__(
        self, *, key: AccessKey, messages: list[dict[str, str]], model: str, sampling: dict,
        serving: list[Deployment],
    ):  # fmt: skip
        """`serving` is what serves now. Raises UnknownModel, Conflict or Invalid."""
        self.conversation = Conversation(
            pk=uuid4(), owner_id=key.user_id, source="api",
            title=chat.title_of(messages[-1]["content"]),
        )  # fmt: skip
        deployment = _chosen(serving, model, str(self.conversation.pk))
        self.conversation.deployment = deployment
        self._told = _chain(self.conversation, messages)
        wanted = {"seed": secrets.randbelow(2**31), **sampling}
        prompt = Tree(self._told).prompt(self._told[-1].pk)
        self._sampling, self._prompt = chat.prepared(deployment.model_version, prompt, wanted)
        self.version = deployment.model_version
        self._key = key
        self.id = uuid4()
        self.text = ""
        self.usage: client.Usage | None = None
        self.finish_reason: str | None = None
        self.failure: DomainError | None = None
        self._begun_at, self._begun = timezone.now(), monotonic()
        self._first_ms: int | None = None

    async def pieces(self) -> AsyncIterator[str]:
        """The text as it is written. Whoever stops reading stops the answer, and what there was
        is kept. A failure is left in `failure`, and nothing is raised for it."""
        state, error = State.STOPPED, ""
        try:
            stream = client.stream(
                model_version=self.version, messages=self._prompt, sampling=self._sampling
            )
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    self.usage = piece.usage or self.usage
                    self.finish_reason = piece.finish_reason or self.finish_reason
                    if piece.text:
                        self._first_ms = self._first_ms or self._elapsed_ms()
                        self.text += piece.text
                        yield piece.text
            state = State.COMPLETE
        except DomainError as exc:
            self.failure, state, error = exc, State.FAILED, exc.detail
        except Exception:
            logger.exception("Answer %s failed", self.id)
            self.failure, state, error = DomainError(BROKEN), State.FAILED, BROKEN
        finally:
            await self._store(state, error)

    async def _store(self, state: str, error: str) -> None:
        values = {
            "text": self.text,
            "state": state,
            "error": error,
            "prompt_tokens": self.usage.prompt_tokens if self.usage else None,
            "completion_tokens": self.usage.completion_tokens if self.usage else None,
            "first_token_ms": self._first_ms,
            "duration_ms": self._elapsed_ms(),
        }
        if self.usage is not None:
            await quota.spend(self._key, self.usage.prompt_tokens + self.usage.completion_tokens)
        # A client that goes away at this very moment does not take the record with it.
        storing = asyncio.ensure_future(in_thread(self._keep, values))
        try:
            await asyncio.shield(storing)
        except asyncio.CancelledError:
            await storing
            raise
        except Exception:
            logger.exception("Answer %s could not be stored", self.id)
            self.failure = self.failure or DomainError(NOT_KEPT)

    @transaction.atomic
    def _keep(self, values: dict) -> None:
        talk = self.conversation
        talk.project = Project.objects.only("pk").get(slug=settings.CHAT_PROJECT)
        talk.leaf_id = self.id  # looked at when the transaction ends
        talk.save(force_insert=True)
        answer = Message(
            pk=self.id, conversation=talk, parent=self._told[-1], role=Message.Role.ASSISTANT,
            model_version=self.version, deployment=talk.deployment, sampling=self._sampling,
            created_at=self._begun_at, finished_at=timezone.now(), **values,
        )  # fmt: skip
        Message.objects.bulk_create([*self._told, answer])

    def _elapsed_ms(self) -> int:
        return round((monotonic() - self._begun) * 1000)


def serving() -> list[Deployment]:
    """What serves the chat's project now."""
    return selectors.serving(project=settings.CHAT_PROJECT)


def _chosen(serving: list[Deployment], model: str, key: str) -> Deployment:
    if not serving:
        raise Conflict(f"No model serves in '{settings.CHAT_PROJECT}' yet.")
    if model in ANY_MODEL:
        return deployments.deal(serving, project=settings.CHAT_PROJECT, key=key)
    for one in serving:
        if one.model_version.name == model:
            return one
    raise UnknownModel(f"The model '{model}' does not serve here; see /v1/models.")


def _chain(conversation: Conversation, messages: list[dict[str, str]]) -> list[Message]:
    """The turns as the client tells them, each under the one before."""
    now = timezone.now()
    rows: list[Message] = []
    for number, message in enumerate(messages):
        told = message["role"] == Message.Role.ASSISTANT
        at = now - timedelta(microseconds=len(messages) - number)
        rows.append(
            Message(
                conversation=conversation,
                parent=rows[-1] if rows else None,
                role=message["role"],
                text=message["content"],
                # Which model said it is not known, and a complete answer names its model.
                state=State.STOPPED if told else State.COMPLETE,
                created_at=at,
                finished_at=at,
            )
        )
    return rows
