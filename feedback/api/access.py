"""Who may use the chat over REST: members by key or session, guests by their cookie."""

from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import BasePermission

from config.auth import BearerKeyAuthentication, scopes_of
from feedback.people import COOKIE, Person, new_guest, person_of, read_guest


class GuestAuthentication(BaseAuthentication):
    """The guest's cookie; as with any cookie, writing needs the CSRF token too."""

    def authenticate(self, request):
        if read_guest(request.COOKIES.get(COOKIE)) is None:
            return None
        SessionAuthentication().enforce_csrf(request)
        return AnonymousUser(), None

    def authenticate_header(self, request) -> str:
        return "Bearer"


class GuestScheme(OpenApiAuthenticationExtension):
    """Says in the API description how guests are known."""

    target_class = GuestAuthentication
    name = "guestCookie"

    def get_security_definition(self, auto_schema) -> dict:
        return {"type": "apiKey", "in": "cookie", "name": COOKIE}


AUTHENTICATION = [BearerKeyAuthentication, SessionAuthentication, GuestAuthentication]


class IsPerson(BasePermission):
    """A member with the scope 'feedback', or a guest with a valid cookie."""

    message = "Sign in, send a key with the scope 'feedback', or open the chat page first."

    def has_permission(self, request, view) -> bool:
        if request.user.is_authenticated:
            return "feedback" in scopes_of(request)
        return read_guest(request.COOKIES.get(COOKIE)) is not None


class MayBegin(IsPerson):
    """As IsPerson, and strangers become guests by beginning a conversation."""

    def has_permission(self, request, view) -> bool:
        if request.method == "POST" and not request.user.is_authenticated:
            return True
        return super().has_permission(request, view)


def person_for(request) -> Person:
    """The person of an authorised request; a stranger becomes a new guest."""
    return person_of(request.user, request.COOKIES.get(COOKIE)) or new_guest()
