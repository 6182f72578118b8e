"""Webhooks: other systems hear of reactions and votes, signed, until they answer."""

import base64
import hashlib
import hmac
import json
import re
import threading
import uuid
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.utils import timezone

from annotation.models import Project
from feedback import outward
from feedback.models import Battle, Conversation, Delivery, Event, Message, Vote, Webhook
from feedback.people import Person
from feedback.services import chat, reactions, signals, webhooks
from feedback.vocabulary import REASONS

pytestmark = pytest.mark.django_db(transaction=True)


class Receiver:
    """A server of somebody else, that answers as it is told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict, bytes]] = []
        self.status = 200
        self.flood = False  # answer with a body that does not end
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.heard.append((dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                if receiver.flood:
                    self.end_headers()
                    with suppress(OSError):
                        while True:
                            self.wfile.write(b"x" * 65536)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver():
    here = Receiver()
    yield here
    here.close()


@pytest.fixture
def hook(served, receiver, adam, settings) -> Webhook:
    settings.WEBHOOKS_PRIVATE = True
    project = Project.objects.get(slug="demo")
    return webhooks.register(project=project, url=receiver.url, kinds=["reaction", "vote"], by=adam)


@pytest.fixture
def answered(served):
    def make(user, *, consent=True) -> Message:
        person = Person(user=user)
        home = chat.begin(person=person, consent=consent)
        turn = chat.send(person=person, conversation_id=home.pk, text="How long?")
        chat.finish(turn.answer.pk, text="Eight minutes.", state="complete")
        return Message.objects.get(pk=turn.answer.pk)

    return make


def react(user, answer, reaction="love", **more) -> uuid.UUID:
    event = uuid.uuid4()
    reactions.react(
        person=Person(user=user), message_id=answer.pk, reaction=reaction, client_event=event,
        **more,
    )  # fmt: skip
    return event


def due_now() -> None:
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))


def test_a_reaction_is_told_once_signed_and_without_words_of_people(
    alice, hook, receiver, answered, served
):
    answer = answered(alice)
    event = react(alice, answer, "dislike", reasons=["wrong"], comment="My secret")
    assert webhooks.send_due() == 1
    assert webhooks.send_due() == 0
    ((headers, body),) = receiver.heard
    told = json.loads(body)
    assert told["type"] == "reaction.given"
    assert told["data"] == {
        "id": str(event), "project": "demo", "message": str(answer.pk),
        "completion_id": f"chatcmpl-{answer.pk.hex}", "reaction": "dislike", "positive": False,
        "reasons": ["wrong"], "model": "first", "arm": "live",
    }  # fmt: skip
    assert b"secret" not in body
    assert b"Eight minutes" not in body
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(hook.secret.removeprefix("whsec_"), validate=True)
    wanted = hmac.new(key, signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(wanted).decode()}"
    stored = Delivery.objects.get()
    assert (stored.state, stored.status, stored.attempts) == ("delivered", 200, 1)


def test_the_signature_is_that_of_the_published_example():
    # The example of the Standard Webhooks specification.
    signed = webhooks.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_reactions_of_a_batch_and_taking_back_are_told_too_and_nothing_else(
    alice, hook, receiver, answered
):
    answer = answered(alice)
    react(alice, answer)
    react(alice, answer, on=False)
    told = [
        signals.Signal(uuid.uuid4(), "reaction", answer.pk, reaction="like"),
        signals.Signal(uuid.uuid4(), "copy", answer.pk),
    ]
    signals.record_many(person=Person(user=alice), signals=told)
    signals.record_many(person=Person(user=alice), signals=told)
    assert webhooks.send_due() == 3
    assert sorted(json.loads(body)["type"] for _, body in receiver.heard) == [
        "reaction.given", "reaction.given", "reaction.retracted",
    ]  # fmt: skip


def test_without_consent_nobody_is_told(alice, hook, answered):
    react(alice, answered(alice, consent=False))
    assert not Delivery.objects.exists()
    assert Event.objects.filter(kind="reaction").exists()


def test_a_vote_is_told_with_both_models(alice, hook, receiver, answered, make_policy):
    answer = answered(alice)
    other = chat.regenerate(
        person=Person(user=alice), conversation_id=answer.conversation_id, message_id=answer.pk
    ).answer
    battle = Battle.objects.create(
        conversation=answer.conversation, question=answer.parent, left=answer, right=other
    )
    vote = Vote.objects.create(
        battle=battle, outcome="left", client_event=uuid.uuid4(),
        style_left=[0, 0, 0, 0], style_right=[0, 0, 0, 0],
    )  # fmt: skip
    webhooks.note_vote(vote)
    webhooks.note_vote(vote)  # again changes nothing
    assert webhooks.send_due() == 1
    told = json.loads(receiver.heard[0][1])
    assert (told["type"], told["data"]["outcome"]) == ("vote.cast", "left")
    assert told["data"]["left"] == {"message": str(answer.pk), "model": "first"}


def test_an_address_that_fails_is_tried_again_with_the_same_id_and_longer_pauses(
    alice, hook, receiver, answered
):
    react(alice, answered(alice))
    receiver.status = 500
    pauses = []
    for _ in range(3):
        due_now()
        before = timezone.now()
        assert webhooks.send_due() == 0
        pauses.append((Delivery.objects.get().next_at - before).total_seconds())
    for pause, wanted in zip(pauses, (5, 30, 120), strict=True):
        assert wanted <= pause < wanted + 5
    waiting = Delivery.objects.get()
    assert (waiting.state, waiting.attempts, waiting.status) == ("waiting", 3, 500)
    assert webhooks.send_due() == 0  # not yet
    receiver.status = 200
    due_now()
    assert webhooks.send_due() == 1
    assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1
    assert len(receiver.heard) == 4


def test_words_of_ones_own_among_the_reasons_are_not_told(alice, hook, receiver, answered):
    react(alice, answered(alice), "dislike", reasons=["tone", "my boss said so"])
    assert webhooks.send_due() == 1
    assert json.loads(receiver.heard[0][1])["data"]["reasons"] == ["tone"]


def test_every_reason_that_pages_offer_is_known():
    pages = Path(webhooks.__file__).parents[1] / "templates" / "feedback"
    text = "".join((pages / f"chat_{one}.html").read_text() for one in ("parts", "dialogs"))
    offered = re.findall(r'(?:data-reason|name="reason" value)="([a-z-]+)"', text)
    assert set(offered) == REASONS


def test_consent_that_is_taken_back_before_sending_is_obeyed(alice, hook, receiver, answered):
    answer = answered(alice)
    react(alice, answer)
    Conversation.objects.update(consent=False)
    assert webhooks.send_due() == 0
    assert receiver.heard == []
    assert Delivery.objects.get().error == "The person took the consent back."


def test_a_private_address_is_not_called_unless_the_operator_allows_it(
    alice, hook, receiver, answered, settings
):
    react(alice, answered(alice))
    settings.WEBHOOKS_PRIVATE = False
    assert webhooks.send_due() == 0
    assert receiver.heard == []
    assert "private network" in Delivery.objects.get().error
    settings.WEBHOOKS_PRIVATE = True
    due_now()
    assert webhooks.send_due() == 1


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_of_the_open_net(address, public):
    assert outward.is_public(address) is public


def test_neither_a_redirect_is_followed_nor_an_endless_answer_read(
    alice, hook, receiver, answered, monkeypatch
):
    react(alice, answered(alice))
    receiver.status = 307
    receiver.flood = True
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 3.0)
    assert webhooks.send_due() == 0
    waiting = Delivery.objects.get()
    assert (waiting.state, waiting.status) == ("waiting", 307)
    receiver.status = 200
    due_now()
    assert webhooks.send_due() == 1


def test_the_lease_outlasts_a_batch_of_addresses_that_never_answer():
    rounds = webhooks.BATCH / webhooks.AT_ONCE
    assert 2 * rounds * webhooks.TIMEOUT_SECONDS < webhooks.LEASE_SECONDS


def test_a_delivery_is_given_up_after_the_last_pause(alice, hook, receiver, answered):
    react(alice, answered(alice))
    receiver.close()  # nobody answers there any more
    Delivery.objects.update(attempts=len(webhooks.PAUSES))
    assert webhooks.send_due() == 0
    given_up = Delivery.objects.get()
    assert given_up.state == "failed"
    assert "No answer" in given_up.error


def test_an_address_that_says_it_is_gone_is_not_asked_again(alice, hook, receiver, answered):
    answer = answered(alice)
    react(alice, answer)
    receiver.status = 410
    webhooks.send_due()
    hook.refresh_from_db()
    assert not hook.active
    react(alice, answer, "like")
    assert Delivery.objects.count() == 1


def test_two_workers_do_not_tell_the_same_twice(alice, hook, receiver, answered):
    react(alice, answered(alice))
    held = webhooks._claim()
    assert len(held) == 1
    assert webhooks.send_due() == 0
    assert receiver.heard == []


def test_what_is_deleted_is_not_told_any_more(alice, hook, receiver, answered):
    answer = answered(alice)
    react(alice, answer)
    Conversation.objects.get(pk=answer.conversation_id).delete()
    assert webhooks.send_due() == 0
    assert not Delivery.objects.exists()


def test_what_is_deleted_while_it_is_told_stops_nothing_else(
    alice, hook, receiver, answered, monkeypatch
):
    first, second = answered(alice), answered(alice)
    react(alice, first)
    react(alice, second)
    told = webhooks.payload

    def deleted_meanwhile(delivery) -> dict:
        Conversation.objects.filter(messages=first).delete()
        return told(delivery)

    monkeypatch.setattr(webhooks, "payload", deleted_meanwhile)
    receiver.status = 500
    assert webhooks.send_due() == 0
    (left,) = Delivery.objects.all()
    assert (left.event.message, left.attempts) == (second, 1)


def test_administrators_register_list_and_remove_webhooks(adam, api, served, alice, answered):
    client = api(adam)
    body = {"project": "demo", "url": "https://example.org/hook", "kinds": ["reaction"]}
    made = client.post("/api/webhooks/", body, format="json")
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    react(alice, answered(alice))
    url = f"/api/webhooks/{made.json()['id']}/"
    shown = client.get(url).json()
    assert [one["state"] for one in shown["deliveries"]] == ["waiting"]
    assert "secret" not in shown
    assert "secret" not in client.get("/api/webhooks/").json()["results"][0]
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"url": "ftp://example.org"}, 400),
        ({"url": "http://user:pass@example.org/"}, 400),
        ({"url": "nonsense"}, 400),
        ({"kinds": []}, 400),
        ({"kinds": ["everything"]}, 400),
        ({"project": "nowhere"}, 404),
    ],
)
def test_bad_webhooks_are_refused(adam, api, served, change, status):
    body = {"project": "demo", "url": "https://example.org/hook", "kinds": ["vote"], **change}
    assert api(adam).post("/api/webhooks/", body, format="json").status_code == status
    assert not Webhook.objects.exists()


def test_only_administrators_may(remy, api, served):
    assert api(remy).get("/api/webhooks/").status_code == 403
    assert api().get("/api/webhooks/").status_code == 401


def test_a_key_for_pages_of_others_can_react_and_nothing_else(alice, api, answered, client, key_of):
    answer = answered(alice)
    key = {"authorization": f"Bearer {key_of(alice, 'react')}", "origin": "https://other.example"}
    body = {"completion_id": f"chatcmpl-{answer.pk.hex}", "reaction": "like"}
    asked = client.options("/v1/feedback", headers=key)
    assert asked.status_code == 204
    assert asked["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in asked["Access-Control-Allow-Headers"]
    told = client.post("/v1/feedback", body, content_type="application/json", headers=key)
    assert told.status_code == 201
    assert told["Access-Control-Allow-Origin"] == "*"
    assert client.get("/v1/models", headers=key).status_code == 403
    assert "Access-Control-Allow-Origin" not in client.get("/v1/models", headers=key)
    assert api(alice, "react").get("/api/conversations/").status_code == 403
