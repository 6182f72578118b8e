"""The OpenAI-compatible doors, through the official client and without it."""

import asyncio
import threading
import uuid
from collections.abc import Iterator

import openai
import pytest
import uvicorn
from asgiref.sync import sync_to_async
from django.db import connections

from feedback import live
from feedback.models import Event, Message
from inference import client as engine_client
from tests.inference.double import DIE, Gate

pytestmark = pytest.mark.django_db(transaction=True)

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def site() -> Iterator[str]:
    """The application behind a real port, for clients that speak HTTP themselves."""
    from config.asgi import application

    config = uvicorn.Config(application, port=0, lifespan="off", log_level="error")
    server = uvicorn.Server(config)

    async def serve() -> None:
        await server.serve()
        await live.close()
        await engine_client.close()
        await sync_to_async(connections.close_all)()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def official(alice, key_of, served, site) -> openai.OpenAI:
    """The official client with a key of alice."""
    return openai.OpenAI(base_url=f"{site}/v1", api_key=key_of(alice, "feedback"), max_retries=0)


def test_the_models_that_serve_are_listed(official):
    assert [model.id for model in official.models.list()] == ["first"]


def test_the_official_client_gets_a_whole_answer(official, engine_double, served):
    engine_double.says("Good ", "day.")
    answer = official.chat.completions.create(
        model="first",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": [{"type": "text", "text": "How are you?"}]},
        ],
        temperature=0.3,
        max_tokens=20,
        seed=5,
    )
    assert answer.choices[0].message.content == "Good day."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 9
    assert answer.model == "first"
    (sent,) = engine_double.requests
    assert [one["content"] for one in sent["messages"]] == [
        "Be brief.", "Hi", "Hello.", "How are you?"
    ]  # fmt: skip
    assert (sent["temperature"], sent["max_tokens"], sent["seed"]) == (0.3, 20, 5)
    stored = Message.objects.get(state="complete", role="assistant")
    assert stored.text == "Good day."
    assert stored.model_version == served.model_version
    assert stored.sampling["seed"] == 5


def test_the_official_client_streams(official, engine_double):
    engine_double.says("one ", "two ", "three")
    chunks = list(
        official.chat.completions.create(
            model="default", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
    assert text == "one two three"
    assert [one.choices[0].finish_reason for one in chunks if one.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 3


def test_a_client_that_leaves_ends_the_answer_and_keeps_the_part(official, engine_double):
    engine_double.says("as far as this", Gate(), "never")
    stream = official.chat.completions.create(model="first", messages=HELLO, stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    assert engine_double.left.wait(10)


def test_feedback_is_joined_to_the_answer_it_is_about(official, site, engine_double):
    answer = official.chat.completions.create(model="first", messages=HELLO)
    post = official.post
    body = {"completion_id": answer.id, "reaction": "love", "reasons": ["kind"], "comment": "!"}
    given = post("/feedback", body=body, cast_to=object)
    assert given["reactions"] == ["love"]
    event = Event.objects.get()
    assert f"chatcmpl-{event.message_id.hex}" == answer.id
    assert (event.reaction, event.reasons, event.comment) == ("love", ["kind"], "!")
    post("/feedback", body={"completion_id": answer.id, "value": 0}, cast_to=object)
    last = post("/feedback", body={"completion_id": answer.id, "value": -1}, cast_to=object)
    assert last["reactions"] == ["dislike"]


def test_errors_have_the_shape_clients_expect(official, settings):
    with pytest.raises(openai.NotFoundError, match="does not serve"):
        official.chat.completions.create(model="gpt-9", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="temperature"):
        official.chat.completions.create(model="first", messages=HELLO, temperature=9)
    settings.ENGINE_URL = "http://127.0.0.1:9"
    with pytest.raises(openai.InternalServerError, match="not running") as caught:
        official.chat.completions.create(model="first", messages=HELLO)
    assert caught.value.status_code == 503


def test_an_engine_that_dies_in_mid_stream_is_told_in_the_stream(official, engine_double):
    engine_double.says("half", DIE)
    stream = official.chat.completions.create(model="first", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="middle"):
        list(stream)
    assert Message.objects.get(role="assistant").text == "half"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "a\x00"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": HELLO, "n": 2}, "n"),
        ({"messages": HELLO, "max_tokens": 0}, "max_tokens"),
        ({"messages": HELLO, "stop": []}, "stop"),
        ({"messages": HELLO, "tools": [{}]}, "tools"),
        ({"messages": HELLO, "seed": "x"}, "seed"),
    ],
)
def test_bad_requests_name_the_field_and_store_nothing(client, alice, key_of, served, body, param):
    headers = {"Authorization": f"Bearer {key_of(alice, 'feedback')}"}
    response = client.post(
        "/v1/chat/completions", body, content_type="application/json", headers=headers
    )
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert not Message.objects.exists()


def test_keys_are_needed_and_need_the_scope(client, alice, key_of, served):
    def status(**headers) -> int:
        return client.get("/v1/models", headers=headers).status_code

    assert status() == 401
    assert status(Authorization="Bearer nonsense") == 401
    assert status(Authorization="Bearer \u00e9") == 401
    assert status(Authorization=f"Bearer {key_of(alice, 'annotate')}") == 403
    assert status(Authorization=f"Bearer {key_of(alice, 'feedback')}") == 200


def test_of_two_opposite_reactions_the_later_stands_and_repeats_change_nothing(
    client, alice, key_of, official
):
    answer = official.chat.completions.create(model="first", messages=HELLO)
    headers = {"Authorization": f"Bearer {key_of(alice, 'react')}"}

    def give(**body) -> list[str]:
        told = client.post(
            "/v1/feedback", {"completion_id": answer.id, **body}, headers=headers,
            content_type="application/json",
        )  # fmt: skip
        assert told.status_code == 201
        return told.json()["reactions"]

    like, clear = str(uuid.uuid4()), str(uuid.uuid4())
    assert give(reaction="like", id=like) == ["like"]
    assert give(reaction="dislike") == ["dislike"]
    assert give(reaction="like", id=like) == ["dislike"]  # an old message that comes twice
    assert give(reaction="love") == ["love"]
    assert give(reaction="like") == ["love", "like"]
    assert give(value=0, id=clear) == []
    assert give(value=-1) == ["dislike"]
    assert give(value=0, id=clear) == ["dislike"]


def test_feedback_on_other_peoples_answers_and_nonsense_is_refused(
    client, alice, mallory, key_of, official
):
    answer = official.chat.completions.create(model="first", messages=HELLO)
    headers = {"Authorization": f"Bearer {key_of(mallory, 'feedback')}"}

    def give(body) -> int:
        return client.post(
            "/v1/feedback", body, content_type="application/json", headers=headers
        ).status_code

    assert give({"completion_id": answer.id, "reaction": "dislike"}) == 404
    assert give({"completion_id": "chatcmpl-x", "reaction": "love"}) == 400
    assert give({"completion_id": answer.id, "reaction": "hate"}) == 400
    assert give({"completion_id": answer.id}) == 400
    assert give("nonsense") == 400
    assert not Event.objects.exists()


def test_api_chats_are_not_listed_among_the_persons_conversations(official, alice, api):
    official.chat.completions.create(model="first", messages=HELLO)
    assert api(alice).get("/api/conversations/").json() == {"results": []}
