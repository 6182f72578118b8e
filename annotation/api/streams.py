"""Streaming a blocking iterator through an asynchronous server without gathering it first."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async

_END = object()


async def in_turns(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Draw each chunk in the request's own thread, where its database connection lives."""
    draw = sync_to_async(next)
    while (chunk := await draw(chunks, _END)) is not _END:
        yield chunk
