"""The doors for programs: limits, other clients than the official one, and whatever can be sent."""

import asyncio
import json
import threading

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.doors import Doors
from config.models import AccessKey
from feedback import live, quota
from feedback.models import Message
from tests.feedback.test_completions import HELLO, site
from tests.inference.double import DIE

__all__ = ["site"]

pytestmark = pytest.mark.django_db(transaction=True)

ASK = {"model": "first", "messages": HELLO}


@pytest.fixture
def post(client, served, alice):
    """`post(path, body, **limits of the key)` with one key of alice throughout."""
    made: dict[str, str] = {}

    def send(path, body, *, door="feedback", **limits):
        if not made:
            _, made["key"] = AccessKey.objects.issue(user=alice, scopes=[door], **limits)
        return client.post(
            path, body, content_type="application/json",
            headers={"Authorization": f"Bearer {made['key']}"},
        )  # fmt: skip

    return send


class TestLimits:
    def test_a_key_that_asks_too_often_is_told_when_to_come_back(self, post, monkeypatch):
        monkeypatch.setattr(quota.time, "time", lambda: 1_000_000_045.0)
        answers = [post("/v1/chat/completions", ASK, requests_per_minute=2) for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 429]
        assert [one["x-ratelimit-remaining-requests"] for one in answers] == ["1", "0", "0"]
        refused = answers[-1]
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert refused["Retry-After"] == "36"
        assert refused["x-ratelimit-limit-requests"] == "2"
        assert Message.objects.filter(role="assistant").count() == 2
        # Another door, and the next minute.
        assert post("/v1/feedback", {}).status_code == 400
        monkeypatch.setattr(quota.time, "time", lambda: 1_000_000_081.0)
        assert post("/v1/chat/completions", ASK).status_code == 200

    def test_tokens_of_a_day_are_counted_when_the_answer_has_ended(self, post, monkeypatch):
        monkeypatch.setattr(quota.time, "time", lambda: 1_000_000_045.0)
        answers = [post("/v1/chat/completions", ASK, tokens_per_day=15) for _ in range(3)]
        # Ten tokens each: the second answer begins within the limit and ends beyond it.
        assert [one.status_code for one in answers] == [200, 200, 429]
        assert [one["x-ratelimit-remaining-tokens"] for one in answers] == ["15", "5", "0"]
        assert "15 tokens a day" in answers[-1].json()["error"]["message"]
        assert 0 < int(answers[-1]["Retry-After"]) <= 86_400

    def test_keys_take_the_limits_of_the_instance_unless_they_have_their_own(
        self, post, settings, capsys, alice
    ):
        settings.API_REQUESTS_PER_MINUTE = 1
        first = post("/v1/chat/completions", ASK)
        assert first["x-ratelimit-limit-requests"] == "1"
        assert post("/v1/chat/completions", ASK).status_code == 429
        call_command("create_key", user="alice", scopes="feedback", requests_per_minute=0)
        assert AccessKey.objects.latest("pk").requests_per_minute == 0
        with pytest.raises(CommandError, match="0 or more"):
            call_command("create_key", user="alice", scopes="feedback", tokens_per_day=-1)

    def test_without_redis_nobody_is_refused(self, post, monkeypatch):
        def away():
            raise live.Errors[1]("no connection")

        monkeypatch.setattr(quota, "store", away)
        answers = [post("/v1/chat/completions", ASK, requests_per_minute=1) for _ in range(2)]
        assert [one.status_code for one in answers] == [200, 200]


def test_a_client_of_another_house_asks_streams_and_hears_of_errors(
    site, alice, key_of, served, engine_double, monkeypatch
):
    """huggingface_hub speaks the protocol with code of its own."""
    import huggingface_hub
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # it would refuse to call anybody
    client = huggingface_hub.InferenceClient(
        base_url=f"{site}/v1", api_key=key_of(alice, "feedback"), timeout=20
    )
    engine_double.says("Good ", "day.")
    whole = client.chat_completion(HELLO, model="first", max_tokens=20, stop=["never"])
    assert whole.choices[0].message.content == "Good day."
    assert (whole.choices[0].finish_reason, whole.usage.total_tokens) == ("stop", 9)
    chunks = list(
        client.chat_completion(
            HELLO, model="first", stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == (
        "Good day."
    )
    assert chunks[-1].usage.completion_tokens == 2
    engine_double.says("One. Two. Three.")
    cut = client.chat_completion(HELLO, model="first", stop=["Two"])
    assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == ("One. ", "stop")
    with pytest.raises(huggingface_hub.errors.HfHubHTTPError, match="404"):
        client.chat_completion(HELLO, model="gpt-9")


def test_an_engine_that_fails_before_the_first_word_gives_a_status_even_to_a_stream(
    post, engine_double
):
    engine_double.says(DIE)
    answer = post("/v1/chat/completions", {**ASK, "stream": True})
    assert answer.status_code in (400, 503)
    assert answer["Content-Type"] == "application/json"
    assert Message.objects.get(role="assistant").state == "failed"


def test_a_reader_who_leaves_keeps_the_part_that_was_written(
    post, served, alice, engine_double, key_of
):
    from feedback.services import completions
    from tests.inference.double import Gate

    engine_double.says("as far as this", Gate(), "never")
    key = AccessKey.objects.issue(user=alice, scopes=["feedback"])[0]

    async def leave() -> None:
        writing = completions.Answer(
            key=key, messages=HELLO, model="first", sampling={}, serving=[served]
        )
        pieces = writing.pieces()
        assert await anext(pieces) == "as far as this"
        await pieces.aclose()
        await live.close()
        from inference import client

        await client.close()

    thread = threading.Thread(target=lambda: asyncio.run(leave()))
    thread.start()
    thread.join(20)
    stored = Message.objects.get(role="assistant")
    assert (stored.state, stored.text) == ("stopped", "as far as this")
    assert engine_double.left.wait(10)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=3),
    max_leaves=6,
)  # fmt: skip
_MESSAGE = st.fixed_dictionaries(
    {}, optional={"role": st.sampled_from(["system", "user", "assistant"]) | _JSON,
                  "content": st.text(max_size=10) | _JSON}
)  # fmt: skip
_CHAT = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(_MESSAGE, max_size=3) | _JSON,
        **dict.fromkeys(
            ("model", "temperature", "top_p", "max_tokens", "stop", "seed", "n", "stream",
             "stream_options", "tools", "user"),
            _JSON,
        ),
    },
)  # fmt: skip
_FEEDBACK = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(
        ("completion_id", "reaction", "value", "reasons", "comment", "id"),
        _JSON | st.just(f"chatcmpl-{'0' * 32}") | st.just("like") | st.just("\ud800"),
    )
)  # fmt: skip


@settings(
    max_examples=60, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    call=st.tuples(st.just("/v1/chat/completions"), _CHAT | _JSON)
    | st.tuples(st.just("/v1/feedback"), _FEEDBACK | _JSON)
)
def test_whatever_is_sent_is_answered_in_the_protocols_shape(post, call):
    path, body = call
    answer = post(path, json.dumps(body), requests_per_minute=0)
    assert answer.status_code in (200, 201, 400, 404, 409, 413)
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
        assert error["type"] == "invalid_request_error"


def test_what_is_no_door_is_not_found_also_without_middleware():
    async def work():
        asked = {
            "type": "http", "path": "/v1/embeddings", "method": "POST", "query_string": b"",
            "headers": [(b"host", b"localhost")], "http_version": "1.1",
        }  # fmt: skip
        talk = ApplicationCommunicator(Doors(None), asked)
        await talk.send_input({"type": "http.request", "body": b"{}"})
        answer = await talk.receive_output(5), await talk.receive_output(5)
        await talk.wait(5)
        return answer

    start, body = asyncio.run(work())
    assert start["status"] == 404
    assert json.loads(body["body"])["error"]["code"] == "not_found"
