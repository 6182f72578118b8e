"""Database work from asynchronous code: a few threads, none of them waiting for another socket."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

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
