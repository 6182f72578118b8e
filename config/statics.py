"""Static files, answered before Django: each would cost a trip through its middleware otherwise.

Which files there are and what is said of them (types, compressed forms, how long to keep them,
ranges) is WhiteNoise's doing, as in its middleware, which serves where this does not stand.
"""

from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware

_ASKED = {b"accept-encoding", b"if-none-match", b"if-modified-since", b"range"}
_SAID = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
    "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
}


class Statics:
    """ASGI: requests for a collected file are answered here, all others by `application`."""

    def __init__(self, application):
        self.application = application
        changing = settings.DEBUG or settings.SECURE_SSL_REDIRECT
        self.files = {} if changing else WhiteNoiseMiddleware(lambda _: None).files
        self.said = [(k.lower().encode(), v.encode()) for k, v in _SAID.items() if v]

    async def __call__(self, scope, receive, send) -> None:
        found = self.files.get(scope["path"]) if scope["type"] == "http" else None
        if found is None or scope["method"] not in ("GET", "HEAD"):
            await self.application(scope, receive, send)
            return
        asked = {
            "HTTP_" + name.decode().upper().replace("-", "_"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _ASKED
        }
        answer = found.get_response(scope["method"], asked)
        body = b""
        if answer.file is not None:
            with answer.file as file:
                body = file.read()
        headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in answer.headers]
        await send(
            {
                "type": "http.response.start",
                "status": int(answer.status),
                "headers": [*headers, *self.said],
            }
        )
        await send({"type": "http.response.body", "body": body})
