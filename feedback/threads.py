"""Database work from asynchronous code: a few threads, none of them waiting for another socket."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from channels.db import DatabaseSyncToAsync

P = ParamSpec("P")
T = TypeVar("T")

# Fewer than DATABASE_POOL, so that pages are never kept waiting for a connection by chats.
_threads = ThreadPoolExecutor(max_workers=6, thread_name_prefix="chat-db")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` with a database connection of its own, given back afterwards."""
    call: Callable[[], Awaitable[T]] = DatabaseSyncToAsync(
        partial(work, *args, **kwargs), thread_sensitive=False, executor=_threads
    )
    return await call()
