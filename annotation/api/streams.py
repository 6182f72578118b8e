"""Streaming a blocking iterator through an asynchronous server without gathering it first."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async

CHUNK = 128 * 1024


def gathered(lines: Iterator[bytes], size: int = CHUNK) -> Iterator[bytes]:
    """Lines joined into chunks of about `size` bytes: one trip to the socket for many."""
    chunk = bytearray()
    for line in lines:
        chunk += line
        if len(chunk) >= size:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


async def in_turns(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Draw each chunk in the request's own thread, where its database connection lives."""
    draw = sync_to_async(next)
    while (chunk := await draw(chunks, None)) is not None:
        yield chunk
