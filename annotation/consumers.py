"""The socket of a project's work: `/ws/annotate/{project}/`, queue and presence.

From the server: `queue` (tasks, open, done, wanted, judgments, held, here; for reviewers also the
pseudonyms of who is here) when it changes, `lease` after a heartbeat, `error`.
To the server: `heartbeat` with the id of one's own assignment, which extends its lease.
"""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

from channels.generic.websocket import AsyncWebsocketConsumer
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from annotation import live, policies
from annotation.models import Project
from annotation.services import queue
from config.errors import DomainError, Invalid
from config.models import User

NOT_FOUND = 4404
FRAME_LIMIT = 4096
BEAT_SECONDS = 5.0
TOLD = ("tasks", "open", "done", "wanted", "judgments", "held")


class WorkConsumer(AsyncWebsocketConsumer):
    """One open page of one project."""

    beat: asyncio.Task | None = None
    project: Project
    person: User
    told: dict | None = None

    async def connect(self) -> None:
        await self.accept()
        try:
            await _in_thread(self._enter)
        except (ObjectDoesNotExist, DatabaseError):
            await self.close(NOT_FOUND)
            return
        self.beat = asyncio.create_task(self._keep_telling())

    async def disconnect(self, code: int) -> None:
        if self.beat is not None:
            self.beat.cancel()
            await asyncio.wait({self.beat})
            await _in_thread(self._gone)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.beat is None:
            return
        try:
            frame = _parse(text_data)
            if frame.get("type") != "heartbeat":
                raise Invalid("This kind of message is not known here.")
            lease = await _in_thread(self._extend, queue.valid_uuid(frame.get("assignment")))
            await self._say({"type": "lease", **lease})
        except DomainError as exc:
            await self._say({"type": "error", "detail": exc.detail, "code": exc.code})
        except ObjectDoesNotExist:
            detail = "There is no such assignment of yours."
            await self._say({"type": "error", "detail": detail, "code": "not_found"})
        except DatabaseError:
            detail = "The database is away; try again soon."
            await self._say({"type": "error", "detail": detail, "code": "busy"})

    async def _keep_telling(self) -> None:
        while True:
            try:
                state = await _in_thread(self._look)
            except (DatabaseError, *live.Errors):
                state = self.told  # away for now: told again when it is back
            except ObjectDoesNotExist:
                await self.close(NOT_FOUND)
                return
            if state != self.told:
                self.told = state
                await self._say({"type": "queue", **state})
            await asyncio.sleep(BEAT_SECONDS)

    async def _say(self, frame: dict) -> None:
        await self.send(text_data=json.dumps(frame))

    # In threads -------------------------------------------------------------------------------

    def _enter(self) -> None:
        """Find the person and the project, each time anew: who was shut out is out."""
        user = self.scope.get("user")
        self.person = User.objects.get(pk=user.pk if user else None, is_active=True)
        if "annotate" not in self.person.scopes:
            raise User.DoesNotExist
        slug = self.scope["url_route"]["kwargs"]["slug"]
        self.project = policies.access_project(slug=slug, by=self.person)

    def _look(self) -> dict:
        self._enter()
        live.arrive(self.project.pk, self.person.pseudonym)
        here = live.present(self.project.pk)
        totals = live.totals(self.project.pk)
        state = {name: totals[name] for name in TOLD} | {"here": len(here)}
        if self.person.has_role("reviewer"):
            state["people"] = here
        return state

    def _gone(self) -> None:
        try:
            live.leave(self.project.pk, self.person.pseudonym)
        except live.Errors:
            return  # the sign lapses by itself

    def _extend(self, assignment_id) -> dict:
        lease = queue.heartbeat(assignment_id=assignment_id, by=self.person)
        left = (lease.expires_at - timezone.now()).total_seconds()
        return {"id": str(lease.pk), "seconds_left": max(0, round(left))}


# Fewer than DATABASE_POOL, so that pages are never kept waiting for a connection by sockets.
_threads = ThreadPoolExecutor(max_workers=3, thread_name_prefix="work-db")


async def _in_thread(work, *arguments):
    """Run `work` with a database connection of its own; a call that is cancelled ends first."""
    running = asyncio.get_running_loop().run_in_executor(_threads, _connected, work, *arguments)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def _connected(work, *arguments):
    close_old_connections()
    try:
        return work(*arguments)
    finally:
        close_old_connections()


def _parse(text: str | None) -> dict:
    try:
        frame = json.loads(text if text is not None and len(text) <= FRAME_LIMIT else "")
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, dict):
        raise Invalid("Send a JSON object of at most 4096 characters.")
    return frame
