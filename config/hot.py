"""A short way through ASGI for the few calls that carry the load, before Django's own.

A hot door answers only what goes well: the same answer its REST view would give, at a fraction of
the cost. Anything else (a refusal, a stranger, a strange header, a database that is away) it
leaves to Django, which gets the request as if nothing had happened. A door must therefore change
nothing unless it answers.

Who is asking is settled in the door's own first statement (`Asker.person` is a subquery), so a
revoked key, an ended session, a changed password or role takes effect at once: nothing about it
is kept here but which user a session's own data named.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from http.cookies import CookieError
from io import BytesIO
from typing import NamedTuple
from weakref import WeakKeyDictionary

import orjson
import psycopg
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http.request import split_domain_port, validate_host
from django.middleware.csrf import CsrfViewMiddleware

from config.models import ROLE_SCOPES, User

logger = logging.getLogger(__name__)

LARGEST_BODY = 256 * 1024
SESSIONS_KEPT = 4096


class PassOn(Exception):
    """Not for the short way: Django answers this request."""


# Connections --------------------------------------------------------------------------------


class Connections:
    """Connections of one event loop, each in autocommit: a statement is a transaction."""

    def __init__(self, most: int):
        self._free: list[psycopg.AsyncConnection] = []
        self._places = asyncio.Semaphore(most)

    @asynccontextmanager
    async def one(self):
        """A connection for as long as the block; one that failed is not used again."""
        async with self._places:
            while self._free:
                connection = self._free.pop()
                if not connection.closed:
                    break
            else:
                connection = await _connect()
            try:
                yield connection
            except BaseException:
                await connection.close()
                raise
            self._free.append(connection)

    async def close(self) -> None:
        """End the connections that nobody uses."""
        while self._free:
            await self._free.pop().close()


async def _connect() -> psycopg.AsyncConnection:
    from django.db import connection

    values = connection.get_connection_params()
    for name in ("pool", "cursor_factory", "context", "prepare_threshold", "server_side_binding"):
        values.pop(name, None)
    values["options"] = f"{values.get('options', '')} -c TimeZone=UTC".strip()
    return await psycopg.AsyncConnection.connect(**values, autocommit=True, prepare_threshold=0)


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Connections] = WeakKeyDictionary()


def connections() -> Connections:
    """The connections of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _by_loop:
        pool = settings.DATABASES["default"]["OPTIONS"]["pool"]
        _by_loop[loop] = Connections(max(2, pool["max_size"] // 2))
    return _by_loop[loop]


# Requests -----------------------------------------------------------------------------------


class Asker(NamedTuple):
    """Who asks, as a subquery that gives the id of the user, or NULL, with its values."""

    person: str
    values: list


def _by_key(scope_name: str) -> str:
    return f"""(
        SELECT k.user_id FROM config_accesskey k JOIN config_user u ON u.id = k.user_id
        WHERE k.digest = %s AND k.revoked_at IS NULL AND '{scope_name}' = ANY(k.scopes)
          AND u.is_active AND u.role = ANY(%s))"""  # noqa: S608 - a word of this module's callers


_BY_SESSION = """(
    SELECT u.id FROM config_user u
    WHERE u.id = %s AND u.is_active AND u.password = %s AND u.role = ANY(%s)
      AND EXISTS (SELECT 1 FROM django_session s WHERE s.session_key = %s
                  AND s.session_data = %s AND s.expire_date > now()))"""

#: Session key -> its data, the user it names and the password it was made under.
_sessions: OrderedDict[str, tuple[str, int, str]] = OrderedDict()


class Request:
    """What a door needs of a request; raises PassOn for anything out of the ordinary."""

    def __init__(self, scope: dict, body: bytes):
        self.scope, self.body = scope, body
        self.session: str | None = None
        self.headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in self.headers:
                raise PassOn
            self.headers[name] = value
        host = self.headers.get(b"host", b"").decode("latin-1")
        if settings.USE_X_FORWARDED_HOST or not host:
            raise PassOn
        if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
            raise PassOn
        if settings.SECURE_SSL_REDIRECT:
            raise PassOn

    def header(self, name: bytes) -> str | None:
        """A header's text, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def json(self) -> dict:
        """The body, when it is a JSON object sent as one."""
        kind = self.headers.get(b"content-type", b"").partition(b";")[0].strip()
        if kind != b"application/json" or b"content-encoding" in self.headers:
            raise PassOn
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise PassOn from None
        if not isinstance(body, dict):
            raise PassOn
        return body

    async def asker(self, scope_name: str, connection: psycopg.AsyncConnection) -> Asker:
        """Who asks: by key, or by session with its CSRF token."""
        roles = [str(role) for role, scopes in ROLE_SCOPES.items() if scope_name in scopes]
        given = self.headers.get(b"authorization")
        if given is not None:
            kind, _, secret = given.partition(b" ")
            if kind.lower() != b"bearer" or not secret.isascii():
                raise PassOn
            return Asker(_by_key(scope_name), [hashlib.sha256(secret.strip()).hexdigest(), roles])
        self.session = self._session_key()
        data, user, password = await _session(self.session, connection)
        return Asker(_BY_SESSION, [user, password, roles, self.session, data])

    def _session_key(self) -> str:
        """The session's key, when the request carries the page's own CSRF token."""
        if b"cookie" not in self.headers or "backends.db" not in settings.SESSION_ENGINE + ".":
            raise PassOn
        try:
            request = ASGIRequest(self.scope, BytesIO())
            check = CsrfViewMiddleware(lambda _: None)
            check.process_request(request)
            if check.process_view(request, None, (), {}) is not None:
                raise PassOn
            return request.COOKIES[settings.SESSION_COOKIE_NAME]
        except (KeyError, DisallowedHost, CookieError, UnicodeError):
            raise PassOn from None


async def _session(key: str, connection: psycopg.AsyncConnection) -> tuple[str, int, str]:
    known = _sessions.get(key)
    if known is not None:
        # Whether it still holds is asked with the door's own statement.
        _sessions.move_to_end(key)
        return known
    cursor = await connection.execute(
        "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > now()",
        [key],
    )
    row = await cursor.fetchone()
    said = SessionStore().decode(row[0]) if row else {}
    if SESSION_KEY not in said or not str(said[SESSION_KEY]).isdigit():
        raise PassOn
    cursor = await connection.execute(
        "SELECT id, password FROM config_user WHERE id = %s AND is_active", [int(said[SESSION_KEY])]
    )
    found = await cursor.fetchone()
    if found is None:
        raise PassOn
    user = User(id=found[0], password=found[1])
    if user.get_session_auth_hash() != said.get(HASH_SESSION_KEY):
        raise PassOn
    _sessions[key] = (row[0], user.pk, user.password)
    while len(_sessions) > SESSIONS_KEPT:
        _sessions.popitem(last=False)
    return _sessions[key]


# Answers ------------------------------------------------------------------------------------

Answer = tuple[int, object]
Door = Callable[[Request, psycopg.AsyncConnection, str], Awaitable[Answer]]


def _headers() -> list[tuple[bytes, bytes]]:
    """What Django's middleware would say with an answer that is no page."""
    made = {
        "Content-Type": "application/json",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
        "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
        "X-Frame-Options": settings.X_FRAME_OPTIONS,
        "Content-Security-Policy": "default-src 'none'",
        "Cache-Control": "no-store",
        "Vary": "Cookie",
    }
    return [(k.lower().encode(), v.encode()) for k, v in made.items() if v]


class Hot:
    """ASGI: requests that a door knows go through it, everything else to `application`."""

    def __init__(self, application, find: Callable[[str, str], tuple[Door, str] | None]):
        self.application, self.find = application, find
        self.headers = _headers()

    async def __call__(self, scope, receive, send) -> None:
        found = self.find(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if found is None or scope["query_string"] not in (b"", b"next=1"):
            await self.application(scope, receive, send)
            return
        door, name = found
        taken, body = await _body(receive)
        if body is not None:
            request = None
            try:
                request = Request(scope, body)
                async with connections().one() as connection:
                    status, answer = await door(request, connection, name)
            except PassOn:
                # Its data may have changed, or it ended: read it anew the next time.
                _sessions.pop(request and request.session, None)
            except (psycopg.Error, OSError) as exc:
                logger.debug("left to Django: %s", exc)
            except Exception:
                logger.exception("The short way failed; Django answers.")
            else:
                await self._answer(send, status, answer)
                return
        await self.application(scope, _replayed(taken, receive), send)

    async def _answer(self, send, status: int, answer: object) -> None:
        body = b"" if answer is None else orjson.dumps(answer)
        length = (b"content-length", b"%d" % len(body))
        await send(
            {"type": "http.response.start", "status": status, "headers": [*self.headers, length]}
        )
        await send({"type": "http.response.body", "body": body})


async def _body(receive) -> tuple[list[dict], bytes | None]:
    """The messages taken, and the body, or None when it is too large or the client has gone."""
    taken: list[dict] = []
    size = 0
    while True:
        message = await receive()
        taken.append(message)
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or size > LARGEST_BODY:
            return taken, None
        if not message.get("more_body"):
            return taken, b"".join(part.get("body", b"") for part in taken)


def _replayed(taken: Iterable[dict], receive):
    """A `receive` that gives again what was taken, then the rest."""
    again = iter(taken)

    async def replay() -> dict:
        return next(again, None) or await receive()

    return replay
