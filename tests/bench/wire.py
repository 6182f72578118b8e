"""The least HTTP/1.1 client that keeps a connection: a load driver must not be what is measured."""

import asyncio
import json


class WireError(Exception):
    """An answer that is not what was asked for."""


class Client:
    """One connection of one person, kept unless the server has no use for that:
    `await client.call("POST", "/api/...", {...})`."""

    def __init__(self, port: int, *, headers: dict[str, str] | None = None, kept: bool = True):
        self.port, self.kept = port, kept
        self.headers = headers or {}
        self.cookies: dict[str, str] = {}
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], asyncio.StreamReader]:
        """Send a request; returns status, headers (lower case) and the stream of its body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22)
        reader, writer = self._streams
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in {**self.headers, **(headers or {})}.items()]
        if self.cookies:
            lines.append("Cookie: " + "; ".join(f"{k}={v}" for k, v in self.cookies.items()))
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}", "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields: dict[str, str] = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
            if name.lower() == "set-cookie":
                key, _, rest = value.strip().partition("=")
                self.cookies[key] = rest.partition(";")[0]
        return int(head[0].split(" ", 2)[1]), fields, reader

    async def raw(self, method: str, path: str, body: bytes = b"", **rest) -> tuple[int, bytes]:
        """Send a request; returns the status and the whole body."""
        status, fields, reader = await self.send(method, path, body, **rest)
        parts = [part async for part in body_of(fields, reader)] if status != 204 else []
        if not self.kept or fields.get("connection") == "close":
            await self.close()
        return status, b"".join(parts)

    async def call(self, method: str, path: str, body: object = None, **rest):
        """The JSON answer of a call that succeeded, None for 204. Raises WireError otherwise."""
        data = b"" if body is None else json.dumps(body).encode()
        status, answer = await self.raw(method, path, data, **rest)
        if not 200 <= status < 300:
            raise WireError(f"{method} {path}: {status} {answer[:200].decode(errors='replace')}")
        return json.loads(answer) if answer else None


async def body_of(fields: dict[str, str], reader: asyncio.StreamReader):
    """The pieces of a body, by its length or in chunks."""
    if fields.get("transfer-encoding") == "chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    elif "content-length" not in fields:
        yield await reader.read()
    elif length := int(fields["content-length"]):
        yield await reader.readexactly(length)
