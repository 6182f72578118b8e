"""A real Chromium on real templates, scripts and policy; only the server's answers are staged."""

import json
import mimetypes
import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from csp.middleware import CSPMiddleware
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.test import RequestFactory
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "http://127.0.0.1:8123"  # nothing listens there; every request is answered here
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip


def chromium() -> str:
    """The system's Chromium; the test fails, rather than skips, without one."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "This test needs Chromium on PATH."
    return found


@contextmanager
def running_browser():
    """Chromium for as long as the block lasts."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=QUIET)
        yield browser
        browser.close()


@contextmanager
def clean_page(browser: Browser, **options):
    """A page with storage of its own; errors of scripts and of the policy fail the test."""
    context = browser.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: message.type == "error" and complaints.append(message.text),
    )
    yield page
    context.close()
    assert complaints == []


def rendered(template: str, context: dict, path: str) -> HttpResponse:
    """What the server would send for this page, with its security policy."""
    request = RequestFactory().get(path)
    request.user = AnonymousUser()
    return CSPMiddleware(
        lambda asked: HttpResponse(render_to_string(template, context, request=asked))
    )(request)


def static(route: Route, path: str) -> None:
    """Answer with the file of the checkout that a path below /static/ names."""
    file = ROOT / path.removeprefix("/")
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    route.fulfill(body=file.read_bytes(), content_type=kind)


def stage(
    page: Page,
    template: str,
    context: dict,
    api: Callable[[Route], None],
    step: Callable[[Route], None] | None = None,
) -> None:
    """Answer pages from the template, /static/ from the files, /api/ and /step/ by functions."""

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(ORIGIN).partition("?")[0]
        if path.startswith("/static/"):
            static(route, path)
        elif path.startswith("/api/"):
            api(route)
        elif step is not None and path.endswith("/step/"):
            step(route)
        else:
            made = rendered(template, context, path)
            route.fulfill(body=made.content, headers=dict(made.items()))

    page.route(f"{ORIGIN}/**", answer)


class Socket:
    """The server's end of the page's WebSocket: what came in, and a way to say things."""

    def __init__(self, page: Page):
        self.received: list[dict] = []
        self.openings = 0
        self.on_open: Callable[[], None] = lambda: None
        self._route: WebSocketRoute | None = None
        page.route_web_socket(f"{ORIGIN.replace('http', 'ws')}/**", self._opened)

    def _opened(self, route: WebSocketRoute) -> None:
        self._route = route
        self.openings += 1
        route.on_message(lambda text: self.received.append(json.loads(text)))
        self.on_open()

    def say(self, **frame) -> None:
        self._route.send(json.dumps(frame))

    def cut(self) -> None:
        self._route.close(code=1012)

    def of_type(self, kind: str) -> list[dict]:
        return [frame for frame in self.received if frame["type"] == kind]
