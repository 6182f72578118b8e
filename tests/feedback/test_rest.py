"""The chat over REST: the same use-cases, other clothes."""

import uuid

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from feedback import selectors
from feedback.models import Conversation, Event, Message
from feedback.people import Person
from feedback.services import chat, reactions
from inference.models import Deployment
from inference.services import deployments

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ask(api, served):
    """Ask in a new conversation by REST; returns the client, the conversation and the answer."""

    def post(person, text="Hello", **body):
        client = api(person)
        conversation = client.post("/api/conversations/", body, format="json").json()["id"]
        response = client.post(
            f"/api/conversations/{conversation}/messages/", {"text": text}, format="json"
        )
        assert response.status_code == 201, response.content
        return client, conversation, response.json()["answer"]

    return post


def test_asking_waits_for_the_whole_answer(alice, ask, engine_double):
    engine_double.says("Good ", "day.")
    client, conversation, answer = ask(alice)
    assert (answer["state"], answer["text"], answer["model"]) == ("complete", "Good day.", "first")
    body = client.get(f"/api/conversations/{conversation}/").json()
    assert [one["text"] for one in body["messages"]] == ["Hello", "Good day."]
    assert body["leaf"] == answer["id"]
    (listed,) = client.get("/api/conversations/").json()["results"]
    assert (listed["id"], listed["title"]) == (conversation, "Hello")


def test_the_same_request_id_gives_the_same_answer(alice, api, served, engine_double):
    client = api(alice)
    conversation = client.post("/api/conversations/", {}, format="json").json()["id"]
    body = {"text": "Hello", "id": str(uuid.uuid4())}
    first = client.post(f"/api/conversations/{conversation}/messages/", body, format="json")
    second = client.post(f"/api/conversations/{conversation}/messages/", body, format="json")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["answer"]["id"] == second.json()["answer"]["id"]
    assert len(engine_double.requests) == 1


def test_a_conversation_begun_twice_with_one_key_is_one(alice, api, served):
    client = api(alice)
    ids = {
        client.post(
            "/api/conversations/", {}, format="json", headers={"Idempotency-Key": "k"}
        ).json()["id"]
        for _ in range(2)
    }
    assert len(ids) == 1


def test_an_engine_that_is_down_is_a_503_and_the_question_is_kept(alice, api, served, settings):
    settings.ENGINE_URL = "http://127.0.0.1:9"
    client = api(alice)
    conversation = client.post("/api/conversations/", {}, format="json").json()["id"]
    response = client.post(
        f"/api/conversations/{conversation}/messages/", {"text": "Hello"}, format="json"
    )
    assert response.status_code == 503
    assert response.json()["code"] == "engine_down"
    assert int(response["Retry-After"]) > 0
    assert Message.objects.get(role="user").text == "Hello"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"text": "  "}, "Write something"),
        ({"text": "x" * 32_001}, "at most 32,000"),
        ({"text": "a\x00b"}, "ull"),
        ({}, "text"),
        ({"text": "Hello", "parent": "nonsense"}, "parent"),
    ],
)
def test_bad_questions_are_refused_with_words(alice, api, served, body, words):
    client = api(alice)
    conversation = client.post("/api/conversations/", {}, format="json").json()["id"]
    response = client.post(f"/api/conversations/{conversation}/messages/", body, format="json")
    assert response.status_code == 400
    assert words in response.json()["detail"]
    assert not Message.objects.exists()


def test_other_peoples_conversations_do_not_exist(alice, mallory, ask, api):
    _, conversation, answer = ask(alice)
    other = api(mallory)
    assert other.get(f"/api/conversations/{conversation}/").status_code == 404
    asked = other.post(
        f"/api/conversations/{conversation}/messages/", {"text": "Hi"}, format="json"
    )
    assert asked.status_code == 404
    reacted = other.post(
        f"/api/messages/{answer['id']}/reactions/", {"reaction": "love"}, format="json"
    )
    assert reacted.status_code == 404
    assert other.get("/api/conversations/").json() == {"results": []}
    assert not Event.objects.exists()


def test_strangers_and_keys_without_the_scope_are_refused(alice, api, served):
    assert api().get("/api/conversations/").status_code == 401
    assert api(alice, "annotate").get("/api/conversations/").status_code == 403


def test_a_reaction_is_counted_once_per_event_id_and_can_be_taken_back(alice, ask):
    client, _, answer = ask(alice)
    url = f"/api/messages/{answer['id']}/reactions/"
    body = {"reaction": "like", "id": str(uuid.uuid4()), "reasons": ["short"], "comment": "Nice"}
    assert client.post(url, body, format="json").status_code == 201
    assert client.post(url, body, format="json").status_code == 200
    clash = client.post(url, {**body, "reaction": "sad"}, format="json")
    assert clash.status_code == 409
    taken = client.post(url, {"reaction": "like", "on": False}, format="json").json()
    assert taken["reactions"] == []
    assert Event.objects.count() == 2


@pytest.mark.parametrize(
    "body", [{"reaction": "hate"}, {}, {"reaction": "love", "reasons": ["x" * 61]}]
)
def test_bad_reactions_are_refused(alice, ask, body):
    client, _, answer = ask(alice)
    response = client.post(f"/api/messages/{answer['id']}/reactions/", body, format="json")
    assert response.status_code == 400
    assert not Event.objects.exists()


def test_a_question_cannot_be_reacted_to(alice, ask):
    client, _, answer = ask(alice)
    response = client.post(
        f"/api/messages/{answer['parent']}/reactions/", {"reaction": "love"}, format="json"
    )
    assert response.status_code == 400


def test_a_final_message_cannot_be_changed_by_any_code(alice, ask):
    _, _, answer = ask(alice)
    message = Message.objects.get(pk=answer["id"])
    for change in ({"text": "other"}, {"role": "user"}, {"parent": None}, {"state": "queued"}):
        with pytest.raises(DatabaseError, match="final"):
            Message.objects.filter(pk=message.pk).update(**change)
    assert Message.objects.get(pk=message.pk).text == answer["text"]


def test_events_can_neither_be_changed_nor_deleted_but_go_with_their_person(alice, ask):
    client, _, answer = ask(alice)
    client.post(f"/api/messages/{answer['id']}/reactions/", {"reaction": "love"}, format="json")
    with pytest.raises(DatabaseError, match="cannot be changed"):
        Event.objects.update(reaction="sad")
    with pytest.raises(DatabaseError, match="cannot be deleted"):
        Event.objects.all().delete()
    assert Event.objects.count() == 1
    Event.objects.update(weight=0.5)  # trust is judged later
    alice.delete()
    assert not Event.objects.exists()
    assert not Message.objects.exists()


def test_a_deleted_conversation_takes_everything_with_it(alice, ask):
    client, conversation, answer = ask(alice)
    client.post(f"/api/messages/{answer['id']}/reactions/", {"reaction": "love"}, format="json")
    assert client.delete(f"/api/conversations/{conversation}/").status_code == 204
    assert not Conversation.objects.exists()
    assert not Event.objects.exists()


def test_consent_can_be_taken_away_and_snapshots_obey(alice, ask):
    client, conversation, answer = ask(alice)
    client.post(f"/api/messages/{answer['id']}/reactions/", {"reaction": "love"}, format="json")
    project = Conversation.objects.get().project_id
    assert len(list(selectors.reactions(project_ids=[project]))) == 1
    changed = client.patch(f"/api/conversations/{conversation}/", {"consent": False}, format="json")
    assert changed.json()["consent"] is False
    assert list(selectors.reactions(project_ids=[project])) == []
    assert selectors.prompts(project_ids=[project], limit=5) == []


def test_reactions_are_read_as_they_stand_with_the_path_they_answer(alice, ben, ask):
    client, conversation, first = ask(alice, "one")
    second = client.post(
        f"/api/conversations/{conversation}/messages/", {"text": "two"}, format="json"
    ).json()["answer"]
    url = "/api/messages/{}/reactions/"
    client.post(url.format(first["id"]), {"reaction": "love"}, format="json")
    client.post(url.format(first["id"]), {"reaction": "love", "on": False}, format="json")
    client.post(url.format(second["id"]), {"reaction": "love"}, format="json")
    position = selectors.log_position()
    client.post(url.format(second["id"]), {"reaction": "dislike"}, format="json")
    project = Conversation.objects.first().project_id

    (record,) = selectors.reactions(project_ids=[project])
    assert (record.reaction, record.positive) == ("dislike", False)
    assert str(record.message_id) == second["id"]
    assert record.person == alice.pseudonym
    assert record.model_version == "first"
    assert [one["content"] for one in record.prompt] == ["one", first["text"], "two"]
    assert record.answer == second["text"]
    (earlier,) = selectors.reactions(project_ids=[project], until=position)
    assert (earlier.reaction, earlier.positive) == ("love", True)


def test_prompts_are_distinct_and_newest_first(alice, ask):
    for text in ("one", "two", "one"):
        ask(alice, text)
    project = Conversation.objects.first().project_id
    asked = selectors.prompts(project_ids=[project], limit=10)
    assert [one[-1]["content"] for one in asked] == ["one", "two"]
    assert len(selectors.prompts(project_ids=[project], limit=1)) == 1


def test_a_chat_longer_than_the_window_is_trimmed_and_says_so(
    alice, ask, make_policy, engine_double
):
    small = make_policy("small", window=200)
    deployments.deploy(project="demo", model_version=small)
    client, conversation, _ = ask(alice, "first " * 20)
    for _ in range(3):
        last = client.post(
            f"/api/conversations/{conversation}/messages/",
            {"text": "again " * 20},
            format="json",
        ).json()["answer"]
    assert "longer than the model can read" in last["note"]
    sent = engine_double.requests[-1]
    assert sent["messages"][0]["role"] == "user"
    assert sent["messages"][-1]["content"] == "again " * 20
    assert "first" not in sent["messages"][0]["content"]


def test_sending_a_message_takes_few_queries(alice, served, django_assert_max_num_queries):
    person = Person(user=alice)
    conversation = chat.begin(person=person)
    first = chat.send(person=person, conversation_id=conversation.pk, text="one")
    chat.finish(first.answer.pk, text="1", state="complete")
    with django_assert_max_num_queries(9):
        chat.send(person=person, conversation_id=conversation.pk, text="two")


def test_two_reactions_with_one_event_id_at_the_same_time_are_one(alice, ask):
    _, _, answer = ask(alice)
    event = uuid.uuid4()
    kwargs = {
        "person": Person(user=alice),
        "message_id": uuid.UUID(answer["id"]),
        "reaction": "love",
        "client_event": event,
    }
    with transaction.atomic():
        assert reactions.react(**kwargs)[1] is True
        assert reactions.react(**kwargs)[1] is False
    assert Event.objects.count() == 1


def test_a_conversation_stays_with_its_arm_while_that_serves(alice, ask, make_policy):
    client, conversation, _ = ask(alice)
    deployments.deploy(
        project="demo", model_version=make_policy("canary"), arm="canary", weight=1000
    )
    again = client.post(
        f"/api/conversations/{conversation}/messages/", {"text": "again"}, format="json"
    ).json()["answer"]
    assert again["model"] == "first"
    assert ask(alice)[2]["model"] == "canary"
    assert sum(Deployment.objects.filter(state="serving").values_list("weight", flat=True)) == 1000


def test_pages_show_the_conversation_and_hide_it_from_others(alice, mallory, ask, signed_in):
    _, conversation, answer = ask(alice, "What is <b>that</b>?")
    page = signed_in(alice).get(f"/c/{conversation}/")
    assert page.status_code == 200
    assert answer["text"] in page.content.decode()
    assert "<b>that</b>" not in page.content.decode()
    assert signed_in(mallory).get(f"/c/{conversation}/").status_code == 404
    assert signed_in(alice).get("/").status_code == 200


def test_a_guest_gets_a_cookie_with_the_page_and_chats_without_script(guest, served):
    assert guest.get("/").status_code == 200
    assert guest.cookies["guest"]["httponly"]
    response = guest.post("/", {"text": "Hello"})
    assert response.status_code == 302
    page = guest.get(response["Location"])
    assert "Hello there." in page.content.decode()
    refused = guest.post("/", {"text": ""})
    assert refused.status_code == 400


def test_guest_requests_from_other_sites_are_refused(served):
    guest = Client(enforce_csrf_checks=True)
    guest.get("/")
    begun = guest.post("/api/conversations/", {}, content_type="application/json")
    assert begun.status_code == 403
    token = guest.cookies["csrftoken"].value
    begun = guest.post(
        "/api/conversations/", {}, content_type="application/json", headers={"X-CSRFToken": token}
    )
    assert begun.status_code == 201
