"""Static files before Django: the same answers as WhiteNoise's middleware, and nothing else."""

import gzip

import pytest
from asgiref.sync import async_to_sync
from django.test import RequestFactory
from whitenoise.middleware import WhiteNoiseMiddleware

from config.statics import Statics

STYLE = b"body { color: black }\n" * 50


@pytest.fixture
def statics(tmp_path, settings):
    (tmp_path / "site.css").write_bytes(STYLE)
    (tmp_path / "site.css.gz").write_bytes(gzip.compress(STYLE))
    settings.STATIC_ROOT = tmp_path

    async def passed_on(scope, receive, send):
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return Statics(passed_on)


@pytest.fixture
def ask(statics):
    """`ask("GET", "/static/site.css", range="bytes=0-3")` -> (status, headers, body)."""

    def call(method: str, path: str, **headers: str) -> tuple[int, dict, bytes]:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ],
        }
        said = []

        async def send(message):
            said.append(message)

        async_to_sync(statics)(scope, None, send)
        start, body = said
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], names, body["body"]

    return call


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("GET", {"accept_encoding": "gzip, br"}),
        ("GET", {"range": "bytes=5-9"}),
        ("GET", {"range": "bytes=99999-"}),
        ("HEAD", {}),
    ],
)
def test_a_file_is_answered_as_the_middleware_answers_it(method, headers, ask):
    status, names, body = ask(method, "/static/site.css", **headers)
    request = RequestFactory().generic(
        method, "/static/site.css", **{f"HTTP_{k.upper()}": v for k, v in headers.items()}
    )
    expected = WhiteNoiseMiddleware(None)(request)
    assert status == expected.status_code
    assert {k.lower(): v for k, v in expected.headers.items()}.items() <= names.items()
    assert body == b"".join(expected.streaming_content)
    expected.close()
    assert names["x-content-type-options"] == "nosniff"


def test_a_file_that_did_not_change_is_not_sent_again(ask):
    _, names, _ = ask("GET", "/static/site.css")
    status, _, body = ask("GET", "/static/site.css", if_none_match=names["etag"])
    assert (status, body) == (304, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/static/none.css"), ("GET", "/static/../site.css"), ("GET", "/"),
     ("POST", "/static/site.css")],
)  # fmt: skip
def test_everything_else_is_passed_on(method, path, ask):
    assert ask(method, path)[0] == 299


def test_files_that_change_while_developing_are_left_to_django(settings, statics):
    settings.DEBUG = True
    assert Statics(None).files == {}
