"""ASGI: every request gets an id, is counted and timed.

The id comes from X-Request-ID where a proxy set a sane one, goes back in the answer, and stands in
every line logged meanwhile. Times are kept by the first part of the path, never by the whole, so
that the number of series stays small.
"""

import re
import uuid
from time import perf_counter

from prometheus_client import Counter, Histogram

from config.logs import about

AREAS = frozenset({"api", "v1", "annotate", "review", "console", "login", "manage", "static"})
_SANE = re.compile(rb"[A-Za-z0-9._-]{1,64}")

SECONDS = Histogram(
    "preferendum_http_seconds",
    "Seconds from a request to the first byte of its answer.",
    ["area", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30),
)
REQUESTS = Counter("preferendum_http_requests", "Requests answered.", ["area", "method", "status"])
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Observed:
    """Wraps the HTTP application."""

    def __init__(self, application):
        self.application = application

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        given = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"")
        name = given.decode() if _SANE.fullmatch(given) else uuid.uuid4().hex
        begun = perf_counter()
        first = scope["path"].removeprefix("/").partition("/")[0]  # `OPTIONS *` has no slash
        area = first if first in AREAS else "other"
        method = scope["method"] if scope["method"] in METHODS else "other"

        async def told(message) -> None:
            if message["type"] == "http.response.start":
                SECONDS.labels(area, method).observe(perf_counter() - begun)
                REQUESTS.labels(area, method, message["status"]).inc()
                headers = [*message.get("headers", ()), (b"x-request-id", name.encode())]
                message = {**message, "headers": headers}
            await send(message)

        with about(request=name):
            await self.application(scope, receive, told)
