"""Write an answer: a task of this process, told piece by piece to every open window.

The task belongs to the message, not to a window: windows come and go, on any process, and find
the text so far in Redis. It ends by itself when nobody has been reading for a while.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from time import monotonic
from uuid import UUID

from django.conf import settings

from config.errors import DomainError
from feedback import events, live
from feedback.models import Message
from feedback.present import message_json
from feedback.services import chat
from feedback.threads import in_thread
from inference import client
from inference.errors import EngineBusy

logger = logging.getLogger(__name__)

State = Message.State
#: Pieces that arrive within this many seconds travel together.
TOGETHER_SECONDS = 0.02
#: How often a stop from another process, and the readers, are looked for.
PULSE_SECONDS = 1.0
NOBODY_READS = "Stopped because nobody was reading."
RESTARTED = "The server was stopped before the answer was complete."
BROKE_OFF = "The answer broke off because the server was restarted. Ask again to retry."

_running: dict[UUID, "Generation"] = {}


class Generation:
    """One answer being written by this process.

    `attended` says that somebody in this very process waits for it (a REST request), so that it
    goes on without open windows.
    """

    def __init__(self, turn: chat.Turn, *, attended: bool = False):
        self.answer = turn.answer
        self.conversation_id = turn.conversation.pk
        self.text = ""
        self.usage: client.Usage | None = None
        self.finish_reason: str | None = None
        self.failure: DomainError | None = None
        self.ended = False
        self.position = 0  # in the engine's waiting line; 0 = its turn has come
        self._begun = False
        self._closing = False
        self._prompt = turn.prompt
        self._siblings = list(turn.tree.siblings(turn.answer))
        self._attended = attended
        self._sent = 0
        self._whole = False  # Redis missed something: give it the whole text
        self._changed = asyncio.Event()
        self._grown = asyncio.Condition()
        self._stop_note: str | None = None
        self._first_ms: int | None = None
        self._started = monotonic()
        self.task = asyncio.create_task(self._run(), name=f"answer {self.answer.pk}")
        _running[self.answer.pk] = self
        self.task.add_done_callback(lambda _: _running.pop(self.answer.pk, None))

    def stop(self, note: str = "") -> None:
        """End now and keep what is there; `note` is shown with the message."""
        if not self._begun:  # a task cancelled before its first step would never store anything
            asyncio.get_running_loop().call_soon(self.stop, note)
        elif self._stop_note is None and not self.ended:
            self._stop_note = note
            self.task.cancel()

    async def wait(self) -> None:
        """Wait for the end; a caller that goes away does not take the answer with it."""
        await asyncio.shield(self.task)

    async def pieces(self) -> AsyncIterator[str]:
        """The text from the beginning, as it grows, for a reader in this process."""
        at = 0
        while True:
            async with self._grown:
                await self._grown.wait_for(lambda seen=at: len(self.text) > seen or self.ended)
            if len(self.text) > at:
                piece, at = self.text[at:], len(self.text)
                yield piece
            elif self.ended:
                return

    async def _run(self) -> None:
        self._begun = True
        relay = asyncio.create_task(self._relay())
        watch = asyncio.create_task(self._watch())
        state, error = State.FAILED, RESTARTED
        try:
            await self._write()
            state, error = State.COMPLETE, ""
        except DomainError as exc:
            self.failure, error = exc, exc.detail
        except asyncio.CancelledError:
            if self._stop_note is not None:
                state, error = State.STOPPED, self._stop_note
        except Exception:
            logger.exception("Answer %s failed", self.answer.pk)
            error = "Something went wrong while the answer was written. Ask again to retry."
        finally:
            watch.cancel()
            self._closing = True
            self._changed.set()
            await relay  # never cancelled: a piece on its way would be lost
            await self._finish(state, error)
            self.ended = True
            async with self._grown:
                self._grown.notify_all()

    async def _write(self) -> None:
        version = self.answer.model_version
        pieces = client.stream(
            model_version=version,
            messages=self._prompt,
            sampling=self.answer.sampling,
            on_wait=self._wait_in_line,
        )
        async with aclosing(pieces):
            async for piece in pieces:
                if piece.text:
                    self.position = 0
                    if self._first_ms is None:
                        self._first_ms = self._elapsed_ms()
                    self.text += piece.text
                    self._changed.set()
                    async with self._grown:
                        self._grown.notify_all()
                self.usage = piece.usage or self.usage
                self.finish_reason = piece.finish_reason or self.finish_reason

    def _wait_in_line(self, position: int) -> None:
        first, self.position = not self.position, position
        if first:
            shown = message_json(self.answer, siblings=self._siblings)
            tell = events.tell(self.conversation_id, {"type": "message", "message": shown})
            self._telling = asyncio.ensure_future(tell)

    async def _relay(self) -> None:
        """Pass on what is new, at once the first time and together when it comes fast."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._flush()
            if self._closing:  # the end may have come during that flush
                await self._flush()
                return
            await asyncio.sleep(TOGETHER_SECONDS)

    async def _flush(self) -> None:
        offset, self._sent = self._sent, len(self.text)
        piece = self.text[offset : self._sent]
        if not piece:
            return
        try:
            if self._whole:
                await live.replace(self.answer.pk, self.text[: self._sent])
            else:
                await live.append(self.answer.pk, piece)
            self._whole = False
        except live.Errors as exc:
            self._whole = True
            logger.warning("The text so far of %s was not kept: %s", self.answer.pk, exc)
        delta = {"type": "delta", "message": str(self.answer.pk), "offset": offset, "text": piece}
        await events.tell(self.conversation_id, delta)

    async def _watch(self) -> None:
        """Renew the sign of life; stop when asked to, or when nobody reads any more."""
        read_at = monotonic()
        while True:
            try:
                stop, readers = await live.pulse(self.answer.pk, self.conversation_id)
            except live.Errors:
                stop, readers = False, 1
            if stop:
                self.stop()
            if readers or self._attended:
                read_at = monotonic()
            elif monotonic() - read_at > settings.CHAT_GRACE_S:
                self.stop(NOBODY_READS)
            await asyncio.sleep(min(PULSE_SECONDS, settings.CHAT_GRACE_S / 2))

    async def _finish(self, state: str, error: str) -> None:
        """Store the answer before anybody is told that it is done."""
        answer = self.answer
        counted = self.usage
        values = {
            "text": self.text,
            "state": state,
            "error": error,
            "prompt_tokens": counted.prompt_tokens if counted else None,
            "completion_tokens": counted.completion_tokens if counted else None,
            "first_token_ms": self._first_ms,
            "duration_ms": self._elapsed_ms(),
        }
        if not await self._store(values):
            return
        for name, value in values.items():
            setattr(answer, name, value)
        with suppress(*live.Errors):
            await live.end(answer.pk)
        done = {"type": "done", "message": message_json(answer, siblings=self._siblings)}
        if isinstance(self.failure, EngineBusy):
            busy = {
                "type": "busy",
                "message": str(answer.pk),
                "detail": self.failure.detail,
                "retry_after": self.failure.retry_after,
            }
            await events.tell(self.conversation_id, done, busy)
        else:
            await events.tell(self.conversation_id, done)

    async def _store(self, values: dict) -> bool:
        """Write to the database, again if it is away for a moment; the sweep is the last resort."""
        for pause in (0.5, 2.0, 5.0, None):
            try:
                return await in_thread(chat.finish, self.answer.pk, **values)
            except Exception:
                logger.exception("Answer %s could not be stored", self.answer.pk)
                if pause is None:
                    return False
                await asyncio.sleep(pause)
        return False

    def _elapsed_ms(self) -> int:
        return round((monotonic() - self._started) * 1000)


async def start(turn: chat.Turn, *, attended: bool = False) -> Generation | None:
    """Begin to write a turn's answer; None when it has been begun before."""
    if not turn.created:
        return _running.get(turn.answer.pk)
    with suppress(*live.Errors):
        await live.begin(turn.answer.pk)
    return Generation(turn, attended=attended)


def running(message_id: UUID) -> Generation | None:
    """The generation of a message, when it is this process that writes it."""
    return _running.get(message_id)


async def stop(message_id: UUID) -> None:
    """Stop an answer wherever it is being written."""
    here = _running.get(message_id)
    if here is not None:
        here.stop()
    else:
        with suppress(*live.Errors):
            await live.ask_to_stop(message_id)


def sweep(message_ids: list[UUID] | None = None) -> list[Message]:
    """Mark answers whose process has died as failed, with the text they had; returns those.

    Synchronous, for the worker; a window that opens runs it for its own conversation.
    """
    unfinished = Message.objects.filter(state__in=chat.UNFINISHED)
    if message_ids is not None:
        unfinished = unfinished.filter(pk__in=message_ids)
    swept = []
    lost = live.orphans(list(unfinished.values_list("pk", flat=True)))
    for message_id, text in lost.items():
        if chat.finish(message_id, text=text, state=State.FAILED, error=BROKE_OFF):
            swept.append(Message.objects.select_related("model_version").get(pk=message_id))
    return swept
