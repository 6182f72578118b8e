"""The chat socket: `/ws/chat/{conversation}/`. Authorise, tell the state, relay what changes.

From the server: snapshot, message, delta, blocks, done, busy, reaction, title, error. `blocks` is
the HTML of the part of an answer under way that is finished (feedback.blocks), by code points.
To the server: send, regenerate, edit, stop, react, resume, select.
"""

import asyncio
import json
import logging
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer
from django.core.exceptions import ObjectDoesNotExist
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

from config.errors import Busy, DomainError, Invalid
from config.markdown import render
from feedback import events, live
from feedback.blocks import Blocks
from feedback.models import Message
from feedback.people import person_of_scope
from feedback.present import message_json, reactions_of, tree_json
from feedback.services import chat, generation, reactions
from feedback.threads import in_thread
from feedback.tree import FINAL, Tree

logger = logging.getLogger(__name__)

NOT_FOUND = 4404
FRAME_LIMIT = 2_000_000
READER_BEAT_SECONDS = 5.0


class ChatConsumer(AsyncWebsocketConsumer):
    """One open window of one conversation."""

    async def connect(self) -> None:
        await self.accept()
        self.conversation_id: UUID = self.scope["url_route"]["kwargs"]["conversation_id"]
        self.sent: dict[str, int] = {}  # code points told, of messages under way
        self.blocks: dict[str, Blocks] = {}
        self.beat: asyncio.Task | None = None
        self.person = await in_thread(person_of_scope, self.scope)
        found = self.person is not None and await in_thread(self._exists)
        if not found:
            await self.close(NOT_FOUND)
            return
        # Join first and look second, so that nothing falls between.
        await self.channel_layer.group_add(events.group(self.conversation_id), self.channel_name)
        await self._read_on()
        await self._snapshot()
        self.beat = asyncio.create_task(self._keep_reading())

    async def disconnect(self, code: int) -> None:
        if self.beat is None:
            return
        self.beat.cancel()
        group = events.group(self.conversation_id)
        with suppress(Exception):  # Redis away: the group and the sign lapse by themselves
            await self.channel_layer.group_discard(group, self.channel_name)
            await live.read_off(self.conversation_id, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.beat is None:
            return
        request = None
        try:
            frame = _parse(text_data)
            request = frame.get("id") if isinstance(frame.get("id"), str) else None
            action = _ACTIONS.get(frame.get("type")) if isinstance(frame.get("type"), str) else None
            if action is None:
                raise Invalid("This kind of message is not known here.")
            await action(self, frame)
        except Busy as exc:
            await self._say(
                {"type": "busy", "message": None, "detail": exc.detail,
                 "retry_after": exc.retry_after, "request": request}
            )  # fmt: skip
        except DomainError as exc:
            await self._error(exc.detail, exc.code, request)
        except ObjectDoesNotExist:
            await self._error("There is no such message in this conversation.", "missing", request)
        except Exception:
            logger.exception("A chat request failed")
            await self._error(
                "Something went wrong here; what was stored is kept. Try again.",
                "internal",
                request,
            )

    async def chat_event(self, event: dict) -> None:
        """Something happened in the conversation; deltas are joined to what was told already."""
        payload = event["payload"]
        kind = payload["type"]
        if kind == "delta":
            await self._delta(payload["message"], payload["offset"], payload["text"])
            return
        if kind == "done":
            self.sent.pop(payload["message"]["id"], None)
            self.blocks.pop(payload["message"]["id"], None)
        await self._say(payload)

    async def _delta(self, message: str, offset: int, text: str) -> None:
        told = self.sent.get(message, 0)
        if offset > told:  # something was lost on the way: read it again
            with suppress(*live.Errors):
                whole = (await live.texts([UUID(message)])).get(UUID(message), "")
                offset, text = told, whole[told:]
        if offset > told or offset + len(text) <= told:
            return
        self.sent[message] = offset + len(text)
        await self._say(
            {"type": "delta", "message": message, "offset": told, "text": text[told - offset :]}
        )
        blocks = self.blocks.setdefault(message, Blocks())
        blocks.add(text[told - offset :])
        await self._say_blocks(message, blocks)

    async def _say_blocks(self, message: str, blocks: Blocks) -> None:
        finished = blocks.next()
        if finished is not None:
            start, end, text = finished
            html = await asyncio.to_thread(render, text)  # other windows must not wait for it
            await self._say(
                {"type": "blocks", "message": message, "from": start, "to": end, "html": html}
            )

    async def _send(self, frame: dict) -> None:
        turn = await in_thread(
            chat.send,
            person=self.person,
            conversation_id=self.conversation_id,
            text=frame.get("text"),
            parent_id=_uuid(frame, "parent", optional=True),
            request_id=_uuid(frame, "id"),
            image_ids=_uuids(frame, "images"),
            client_time=_time(frame.get("client_time")),
        )
        await announce(turn)

    async def _edit(self, frame: dict) -> None:
        turn = await in_thread(
            chat.edit,
            person=self.person,
            conversation_id=self.conversation_id,
            message_id=_uuid(frame, "message"),
            text=frame.get("text"),
            request_id=_uuid(frame, "id"),
            client_time=_time(frame.get("client_time")),
        )
        await announce(turn)

    async def _regenerate(self, frame: dict) -> None:
        turn = await in_thread(
            chat.regenerate,
            person=self.person,
            conversation_id=self.conversation_id,
            message_id=_uuid(frame, "message"),
            request_id=_uuid(frame, "id"),
            client_time=_time(frame.get("client_time")),
        )
        await announce(turn)

    async def _stop(self, frame: dict) -> None:
        message_id = _uuid(frame, "message")
        if not await in_thread(self._is_mine, message_id):
            raise Message.DoesNotExist
        told = _time(frame.get("client_time"))
        await in_thread(chat.note_stop, person=self.person, message_id=message_id, client_time=told)
        await generation.stop(message_id)

    async def _react(self, frame: dict) -> None:
        message_id = _uuid(frame, "message")
        if not await in_thread(self._is_mine, message_id):
            raise Message.DoesNotExist
        standing, _ = await in_thread(
            reactions.react,
            person=self.person,
            message_id=message_id,
            reaction=frame.get("reaction"),
            on=frame.get("on") is not False,
            client_event=_uuid(frame, "id"),
            reasons=frame.get("reasons") or [],
            comment=frame.get("comment") or "",
            client_time=_time(frame.get("client_time")),
        )
        payload = {"type": "reaction", "message": str(message_id), "reactions": standing}
        if not await events.tell(self.conversation_id, payload):
            await self._say(payload)

    async def _select(self, frame: dict) -> None:
        await in_thread(
            chat.select,
            person=self.person,
            conversation_id=self.conversation_id,
            message_id=_uuid(frame, "message"),
        )

    async def _resume(self, frame: dict) -> None:
        await self._snapshot()

    async def _snapshot(self) -> None:
        """The whole state, with the text so far of answers under way."""
        conversation, tree, standing = await in_thread(self._load)
        open_ids = [one.pk for one in tree.messages.values() if one.state not in FINAL]
        lost = await in_thread(_sweep, open_ids) if open_ids else []
        for message in lost:
            tree.messages[message.pk] = message
        texts: dict[UUID, str] = {}
        with suppress(*live.Errors):
            texts = await live.texts(
                [one for one in open_ids if tree.messages[one].state not in FINAL]
            )
        self.sent, self.blocks = {}, {}
        for message_id, text in texts.items():
            tree.messages[message_id].text = text
            self.sent[str(message_id)] = len(text)
            self.blocks[str(message_id)] = Blocks(text)
        for message_id in open_ids:
            message = tree.messages[message_id]
            here = generation.running(message_id)
            if message.state == Message.State.QUEUED and not (here and here.position):
                message.state = Message.State.STREAMING
        await self._say(
            {
                "type": "snapshot",
                "conversation": {
                    "id": str(conversation.pk),
                    "title": conversation.title,
                    "consent": conversation.consent,
                },
                "messages": tree_json(tree, standing),
                "leaf": str(conversation.leaf_id) if conversation.leaf_id else None,
            }
        )
        for message, blocks in list(self.blocks.items()):
            await self._say_blocks(message, blocks)

    def _load(self) -> tuple:
        conversation = self.person.conversations.get(pk=self.conversation_id)
        standing = reactions_of(self.person, message__conversation=conversation)
        return conversation, Tree.of(conversation.pk), standing

    def _exists(self) -> bool:
        return self.person.conversations.filter(pk=self.conversation_id).exists()

    def _is_mine(self, message_id: UUID) -> bool:
        return self.person.messages.filter(
            pk=message_id, conversation=self.conversation_id
        ).exists()

    async def _keep_reading(self) -> None:
        while True:
            await asyncio.sleep(READER_BEAT_SECONDS)
            await self._read_on()

    async def _read_on(self) -> None:
        with suppress(*live.Errors):
            await live.read_on(self.conversation_id, self.channel_name, 3 * READER_BEAT_SECONDS)

    async def _say(self, payload: dict) -> None:
        with suppress(RuntimeError):  # the window closed while this was on its way
            await self.send(json.dumps(payload, ensure_ascii=False))

    async def _error(self, detail: str, code: str, request: str | None) -> None:
        await self._say({"type": "error", "detail": detail, "code": code, "request": request})


_ACTIONS = {
    "send": ChatConsumer._send,
    "edit": ChatConsumer._edit,
    "regenerate": ChatConsumer._regenerate,
    "stop": ChatConsumer._stop,
    "react": ChatConsumer._react,
    "select": ChatConsumer._select,
    "resume": ChatConsumer._resume,
}


async def announce(turn: chat.Turn, *, attended: bool = False) -> generation.Generation | None:
    """Start to write the answer and show the new messages in all windows."""
    writing = await generation.start(turn, attended=attended)
    tree = turn.tree
    news = [one for one in (turn.question, turn.answer) if one is not None]
    if turn.created:
        # Those beside the new branch have a new sibling to offer.
        news += [tree.messages[one] for one in tree.siblings(news[0]) if one != news[0].pk]
    payloads = [
        {"type": "message", "message": message_json(one, siblings=tree.siblings(one))}
        for one in news
        if turn.created or one.state in FINAL
    ]
    for payload in payloads:
        if payload["message"]["state"] == Message.State.QUEUED:
            is_waiting = writing is not None and writing.position
            payload["message"]["state"] = "queued" if is_waiting else "streaming"
    if turn.title_changed:
        payloads.append({"type": "title", "title": turn.conversation.title})
    if payloads:
        await events.tell(turn.conversation.pk, *payloads)
    return writing


def _sweep(message_ids: list[UUID]) -> list[Message]:
    try:
        return generation.sweep(message_ids)
    except live.Errors:
        return []


def _parse(text: str | None) -> dict:
    if text is None:
        raise Invalid("Send text frames with one JSON object each.")
    if len(text) > FRAME_LIMIT:
        raise Invalid(f"A frame has at most {FRAME_LIMIT:,} characters; nothing was stored.")
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("The frame is not valid JSON; nothing was stored.") from None
    if not isinstance(frame, dict):
        raise Invalid("Send one JSON object per frame.")
    return frame


def _uuid(frame: dict, name: str, *, optional: bool = False) -> UUID | None:
    value = frame.get(name)
    if value is None and optional:
        return None
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise Invalid(f"'{name}' must be a UUID.", fields={name: "must be a UUID"}) from None


def _uuids(frame: dict, name: str) -> list[UUID]:
    values = frame.get(name) or []
    if not isinstance(values, list) or len(values) > 100:
        raise Invalid(f"'{name}' must be a short list.", fields={name: "must be a list"})
    return [_uuid({name: one}, name) for one in values]


def _time(value: object) -> datetime | None:
    """The client's clock, when it can be read; a wrong one is no reason to lose a reaction."""
    try:
        found = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if found is None or is_naive(found) else found
