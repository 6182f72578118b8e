"""Django without its middleware, for doors that read no cookie and show no page.

Sessions, languages, CSRF and messages are not for programs with a key, and each costs a request a
turn in a thread, which adds up to more than the answer's own work.
"""

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response

PREFIX = "/v1/"


class _Plain(ASGIHandler):
    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware = []
        self._template_response_middleware = []
        self._exception_middleware = []
        self._middleware_chain = convert_exception_to_response(self._get_response_async)


class Doors:
    """ASGI: requests under /v1/ the short way, everything else to `application`."""

    def __init__(self, application):
        self.application, self.plain = application, _Plain()

    async def __call__(self, scope, receive, send) -> None:
        is_door = scope["type"] == "http" and scope["path"].startswith(PREFIX)
        await (self.plain if is_door else self.application)(scope, receive, send)
