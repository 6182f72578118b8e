"""Who is asking, and what may they do: bearer keys, roles, scopes. Closed by default."""

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission

from config.models import AccessKey


class BearerKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer pk-...`; `request.auth` is the AccessKey."""

    def authenticate(self, request):
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != b"bearer":
            return None
        if len(parts) != 2:
            raise AuthenticationFailed("Send the key as 'Authorization: Bearer KEY'.")
        try:
            secret = parts[1].decode("ascii")
        except UnicodeDecodeError:
            raise AuthenticationFailed("The key is not valid.") from None
        key = AccessKey.objects.find(secret)
        if key is None:
            raise AuthenticationFailed("The key is not valid or was revoked.")
        return key.user, key

    def authenticate_header(self, request) -> str:
        return "Bearer"


class Closed(BasePermission):
    """The default: a view that names no scope lets nobody in."""

    def has_permission(self, request, view) -> bool:
        return False


def scopes_of(request) -> set[str]:
    """What this request may do: the key's scopes within the person's role."""
    user = request.user
    if not user.is_authenticated:
        return set()
    if isinstance(getattr(request, "auth", None), AccessKey):
        return set(request.auth.scopes) & user.scopes
    return user.scopes


def scope(name: str) -> type[BasePermission]:
    """A permission class that asks for one scope: annotate, feedback, review, research, admin."""

    class HasScope(BasePermission):
        message = f"This needs the scope '{name}'."

        def has_permission(self, request, view) -> bool:
            return name in scopes_of(request)

    HasScope.__name__ = f"Has{name.title()}Scope"
    return HasScope


def role_required(role: str) -> Callable:
    """For pages: sends strangers to the log-in page and refuses people below `role`."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def guarded(request: HttpRequest, *args, **kwargs) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not request.user.has_role(role):
                raise PermissionDenied(f"This page is for the role '{role}' and above.")
            return view(request, *args, **kwargs)

        return guarded

    return decorate
