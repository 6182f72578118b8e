"""Between threads and the event loop: database work from one, socket work from the other."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, async_to_sync
from django.db import close_old_connections

from feedback import live
from inference import client

P = ParamSpec("P")
T = TypeVar("T")

# Fewer than DATABASE_POOL, so that pages are never kept waiting for a connection by chats.
_threads = ThreadPoolExecutor(max_workers=6, thread_name_prefix="chat-db")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` with a database connection of its own, given back afterwards."""
    call = partial(copy_context().run, _with_connection, work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_threads, call)


def _with_connection(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    close_old_connections()
    try:
        return work(*args, **kwargs)
    finally:
        close_old_connections()


async def in_turns(pieces: Iterator[T]) -> AsyncIterator[T]:
    """The pieces of a synchronous iterator that reads the database, one turn in a thread each."""
    end = object()
    while (piece := await in_thread(next, pieces, end)) is not end:
        yield piece


def in_loop(work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a coroutine function from synchronous code and return what it returns.

    In the web server it runs in the server's own loop. Elsewhere (a worker, a script) it gets a
    loop of its own, and the connections made there are closed with it.
    """
    servers = getattr(SyncToAsync.threadlocal, "main_event_loop", None)

    async def run() -> T:
        try:
            return await work(*args, **kwargs)
        finally:
            if asyncio.get_running_loop() is not servers:
                await live.close()
                await client.close()

    return async_to_sync(run)()
