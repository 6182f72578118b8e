"""Whose conversation it is: a member by account or key, a guest by a signed cookie."""

import re
import secrets
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core import signing
from django.http import HttpRequest, HttpResponse

from config.models import AccessKey, User
from feedback.models import Conversation, Event, Message

COOKIE = "guest"
_SALT = "preferendum.guest"
_YEAR = 365 * 24 * 3600
_KEY = re.compile(r"^[0-9a-f]{32}$")


@dataclass(frozen=True, slots=True)
class Person:
    """A member (`user`) or a guest (`guest`, the key in the cookie); never both."""

    user: User | None = None
    guest: str = ""

    @property
    def conversations(self):
        """The only door to conversations: those of this person."""
        return Conversation.objects.of(user=self.user, guest=self.guest)

    @property
    def messages(self):
        """Messages of this person's conversations."""
        if self.user is not None:
            return Message.objects.filter(conversation__owner=self.user)
        return (
            Message.objects.filter(conversation__guest=self.guest)
            if self.guest
            else (Message.objects.none())
        )

    @property
    def events(self):
        """What this person has signalled."""
        if self.user is not None:
            return Event.objects.filter(actor=self.user)
        return Event.objects.filter(actor=None, guest=self.guest)


def person_of(user: Any, cookie: str | None) -> Person | None:
    """The person behind a request or a socket; None for a stranger without a valid cookie."""
    if user is not None and user.is_authenticated:
        return Person(user=user)
    key = read_guest(cookie)
    return Person(guest=key) if key else None


def person_of_request(request: HttpRequest) -> Person | None:
    """As `person_of`, for a page or a REST request."""
    return person_of(getattr(request, "user", None), request.COOKIES.get(COOKIE))


def person_of_scope(scope: dict) -> Person | None:
    """As `person_of`, for a socket: session, then bearer key, then the guest's cookie."""
    user = scope.get("user") or AnonymousUser()
    if not user.is_authenticated:
        headers = dict(scope.get("headers", []))
        bearer = headers.get(b"authorization", b"").decode("latin-1")
        if bearer.lower().startswith("bearer "):
            key = AccessKey.objects.find(bearer[7:].strip())
            return Person(user=key.user) if key and "feedback" in key.scopes else None
        cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
        return person_of(None, cookies[COOKIE].value if COOKIE in cookies else None)
    return Person(user=user)


def new_guest() -> Person:
    """A guest nobody has met before."""
    return Person(guest=secrets.token_hex(16))


def read_guest(cookie: str | None) -> str | None:
    """The guest's key, when the cookie is one of ours."""
    if not cookie:
        return None
    try:
        key = signing.Signer(salt=_SALT).unsign(cookie)
    except signing.BadSignature:
        return None
    return key if _KEY.match(key) else None


def guest_cookie(person: Person) -> str:
    """The signed value to keep in the guest's browser."""
    return signing.Signer(salt=_SALT).sign(person.guest)


def remember(response: HttpResponse, person: Person, *, secure: bool) -> None:
    """Set the guest's cookie for a year; pages cannot read it and other sites cannot send it."""
    response.set_cookie(
        COOKIE, guest_cookie(person), max_age=_YEAR, httponly=True, samesite="Lax", secure=secure
    )
