"""Reading records one at a time from hostile files: JSON Lines or a JSON array, plain or gzip.

Memory is bounded by the longest line allowed, not by the file. Nothing raises for what a file
holds: each record comes out as a `Line` with a value or with the reason it has none.
"""

import io
import json
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import orjson

LONGEST_LINE = 16 * 1024 * 1024
CHUNK = 1024 * 1024

#: gzip that unfolds more than this many times, past the first 256 MiB, is taken for a bomb.
BOMB_RATIO = 250
BOMB_FLOOR = 256 * 1024 * 1024

# What the fast reader would let through: escapes of NUL and of halves of surrogate pairs.
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_SOLID = re.compile(rb"[^\s]")
_BLANK = re.compile(rb"[ \t\r\n]*\n")
_LONG = 2.0**53


class Line(NamedTuple):
    """A record of the file: `number` counts lines (or items of an array) from 1."""

    number: int
    value: object = None
    error: str | None = None


class Unreadable(Exception):
    """The file itself, not one record, cannot be read on."""


def read(stream: BinaryIO, *, longest: int = LONGEST_LINE) -> Iterator[Line]:
    """Every record of a binary stream; gzip is known by its first bytes, not by its name.

    The last Line may carry the reason why the file could not be read to its end.
    """
    source = _Buffered(_plain(stream))
    number = 0
    try:
        head = source.peek(4)
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            yield Line(1, error="the file is UTF-16; save it as UTF-8")
            return
        if head[:3] == b"\xef\xbb\xbf":
            source.take(3)
        records = (
            _array(source, longest) if source.first_byte() == b"[" else _lines(source, longest)
        )
        for line in records:
            number = line.number
            yield line
    except Unreadable as exc:
        yield Line(number + 1, error=str(exc))


def _plain(stream: BinaryIO) -> Iterator[bytes]:
    """The bytes of the stream in chunks, unfolded when it is gzip."""
    first = stream.read(CHUNK)
    if first[:2] != b"\x1f\x8b":
        while first:
            yield first
            first = stream.read(CHUNK)
        return
    inflate, read_in, given_out, chunk = zlib.decompressobj(31), 0, 0, first
    while chunk:
        read_in += len(chunk)
        while chunk:
            try:
                out = inflate.decompress(chunk, CHUNK)
            except zlib.error:
                raise Unreadable("the gzip data is damaged here") from None
            given_out += len(out)
            if given_out > BOMB_FLOOR and given_out > BOMB_RATIO * read_in:
                raise Unreadable("the gzip file unfolds without end; it is refused as a bomb")
            if out:
                yield out
            chunk = inflate.unconsumed_tail
            if inflate.eof:  # several gzip members may follow one another
                chunk = inflate.unused_data
                if chunk[:2] == b"\x1f\x8b":
                    inflate = zlib.decompressobj(31)
                elif not chunk.strip(b"\x00"):
                    chunk = b""
                else:
                    raise Unreadable("bytes that are not gzip follow the gzip data")
        chunk = stream.read(CHUNK)
        if chunk and inflate.eof:
            inflate = zlib.decompressobj(31)
    if not inflate.eof:
        raise Unreadable("the gzip file ends in the middle; copy it again")


class _Buffered:
    """A forward reader over chunks: peek, take, and read to a newline within a limit."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks = chunks
        self.data = bytearray()
        self.ended = False

    def fill(self) -> bool:
        chunk = next(self._chunks, None)
        if chunk is None:
            self.ended = True
            return False
        self.data += chunk
        return True

    def peek(self, size: int) -> bytes:
        while len(self.data) < size and self.fill():
            pass
        return bytes(self.data[:size])

    def take(self, size: int) -> bytes:
        taken = bytes(self.data[:size])
        del self.data[:size]
        return taken

    def first_byte(self) -> bytes:
        """The first byte that is not white space; it stays in place."""
        searched = 0
        while True:
            found = _SOLID.search(self.data, searched)
            if found:
                return found.group()
            searched = len(self.data)
            if searched > LONGEST_LINE:
                raise Unreadable("white space without end; it is refused as a bomb")
            if not self.fill():
                return b""

    def line(self, longest: int) -> tuple[bytes | None, bool]:
        """The next line without its end and whether it was too long; None at the end."""
        searched = 0
        while True:
            at = self.data.find(b"\n", searched)
            if at >= 0:
                line = self.take(at + 1)[:-1]
                return (b"", True) if len(line) > longest else (line, False)
            searched = len(self.data)
            if searched > longest:
                return b"", self._drop_line()
            if not self.fill():
                return (self.take(searched), False) if searched else (None, False)

    def _drop_line(self) -> bool:
        while True:
            at = self.data.find(b"\n")
            if at >= 0:
                del self.data[: at + 1]
                return True
            self.data.clear()
            if not self.fill():
                return True


def _lines(source: _Buffered, longest: int) -> Iterator[Line]:
    number = 0
    while True:
        blank = _BLANK.match(source.data)
        if blank:  # a bomb of empty lines is passed over at a stroke
            number += blank.group().count(b"\n")
            source.take(blank.end())
        raw, too_long = source.line(longest)
        if raw is None:
            return
        number += 1
        if too_long:
            yield Line(number, error=f"the line is longer than {longest // 2**20} MiB")
        elif raw.strip():
            yield _parsed(number, raw)


def _array(source: _Buffered, longest: int) -> Iterator[Line]:
    """Items of one JSON array, decoded one by one."""
    number = 0
    source.first_byte()
    source.take(source.data.index(b"[") + 1)
    while True:
        opening = source.first_byte()
        if opening in (b"]", b""):
            if not opening:
                raise Unreadable("the array is not closed; the file ends in the middle")
            source.take(source.data.index(b"]") + 1)
            if source.first_byte():
                raise Unreadable("something follows the end of the array")
            return
        number += 1
        raw = _item(source, longest)
        yield _parsed(number, raw)
        after = source.first_byte()
        if after == b",":
            source.take(source.data.index(b",") + 1)
            if source.first_byte() == b"]":
                raise Unreadable("a comma stands before the end of the array")
        elif after != b"]":
            raise Unreadable("a comma is missing between items of the array")


_MARK = re.compile(rb'["\\\[\]{},]')


def _item(source: _Buffered, longest: int) -> bytes:
    """The bytes of the array's next item: up to a comma or bracket outside of everything."""
    depth, in_string, at = 0, False, 0
    while True:
        found = _MARK.search(source.data, at)
        if found is None:
            at = len(source.data)
            if at > longest:
                raise Unreadable(f"an item is longer than {longest // 2**20} MiB")
            if not source.fill():
                raise Unreadable("the array is not closed; the file ends in the middle")
            continue
        mark, at = found.group(), found.end()
        if in_string:
            if mark == b'"':
                in_string = False
            elif mark == b"\\":
                if at == len(source.data):
                    source.fill()
                at += 1
            continue
        if mark == b'"':
            in_string = True
        elif mark in b"[{":
            depth += 1
        elif mark in b"]}":
            if depth == 0:
                return source.take(at - 1)
            depth -= 1
        elif mark == b"," and depth == 0:
            return source.take(at - 1)
        if at > longest:
            raise Unreadable(f"an item is longer than {longest // 2**20} MiB")


def _refuse_constant(name: str):
    raise ValueError(f"{name} is not a JSON number")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _parsed(number: int, raw: bytes) -> Line:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        return Line(number, error=f"byte {exc.start + 1} is not UTF-8")
    if b"\\u" not in raw and b"\x00" not in raw:
        try:
            return Line(number, loads(raw))
        except orjson.JSONDecodeError:
            pass  # the strict reader says why, or takes it all the same
    try:
        value = _decode(text)
    except json.JSONDecodeError as exc:
        return Line(number, error=f"not JSON: {exc.msg} at character {exc.pos + 1}")
    except RecursionError:
        return Line(number, error="nested too deeply")
    except ValueError as exc:
        return Line(number, error=f"not JSON: {exc}")
    reason = unstorable(value) if b"\x00" in raw or _SUSPECT.search(raw) else None
    return Line(number, error=reason) if reason else Line(number, value)


def loads(raw: bytes | str) -> object:
    """JSON, fast, with whole numbers beyond 64 bits kept whole."""
    value = orjson.loads(raw)
    waiting = [value]
    for item in waiting:  # grows as it is walked
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, float) and not -_LONG < item < _LONG:
            return _decode(raw if isinstance(raw, str) else raw.decode())
    return value


def unstorable(value: object) -> str | None:
    """Why the database could not hold this text: NUL, or half a surrogate pair."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if "\x00" in item:
                return "holds a NUL character (U+0000), which text cannot hold"
            try:
                item.encode("utf-8")
            except UnicodeEncodeError:
                return "holds half of a surrogate pair, which is not a character"
        elif isinstance(item, list):
            stack += item
        elif isinstance(item, dict):
            stack += item.keys()
            stack += item.values()
    return None


def of_bytes(data: bytes) -> Iterator[Line]:
    """The records of bytes in hand."""
    return read(io.BytesIO(data))
