"""What base.html needs on every page: the remembered theme and the rooms of this person."""

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from config.models import Role

THEMES = ("light", "dark")
#: Pages that belong to a room without lying under its address.
_INSIDE = {"/annotate/": ("/annotate/", "/manage/", "/my-work/")}
_ROOMS = (
    ("/", _("Chat"), None),
    ("/annotate/", _("Annotate"), Role.ANNOTATOR),
    ("/review/", _("Review"), Role.REVIEWER),
    ("/console/", _("Console"), Role.RESEARCHER),
)


def interface(request: HttpRequest) -> dict:
    """`theme` ("light", "dark" or "" for the system's) and `rooms`, the current one marked."""
    theme = request.COOKIES.get("theme", "")
    return {"theme": theme if theme in THEMES else "", "rooms": _rooms(request)}


def _rooms(request: HttpRequest) -> list[dict]:
    user = getattr(request, "user", None)
    path = request.path
    rooms = []
    for address, name, role in _ROOMS:
        if role is None or (user is not None and user.is_authenticated and user.has_role(role)):
            in_chat = path == "/" or path.startswith("/c/")
            here = in_chat if address == "/" else path.startswith(_INSIDE.get(address, address))
            rooms.append({"address": address, "name": name, "current": here})
    return rooms
