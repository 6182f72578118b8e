"""What a person may do with their own conversations: find, name, share, take along, delete."""

import asyncio
import json
import uuid

import pytest
from django.test import AsyncClient, Client

from feedback.models import Battle, Conversation, Event, Message, Share, Vote
from feedback.people import Person
from feedback.services import chat, reactions

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def talk(served):
    """`talk(person, "question", "answer", ...)` -> the conversation with those turns."""

    def make(who, *texts: str) -> Conversation:
        person = who if isinstance(who, Person) else Person(user=who)
        home = chat.begin(person=person)
        for question, answer in zip(texts[::2], texts[1::2], strict=True):
            turn = chat.send(person=person, conversation_id=home.pk, text=question)
            chat.finish(turn.answer.pk, text=answer, state="complete")
        home.refresh_from_db()
        return home

    return make


def found(client, words: str) -> list[tuple[str, str]]:
    results = client.get("/api/conversations/", {"q": words}).json()["results"]
    return [(one["title"], one["place"]) for one in results]


def test_search_finds_own_words_in_titles_and_texts_and_shows_the_place(alice, ben, api, talk):
    talk(alice, "Boiling eggs", "Eight minutes in simmering water.")
    talk(alice, "Tea", "Let the WATER cool to eighty degrees.")
    talk(ben, "Water plants", "Twice a week.")
    client = api(alice)
    assert [title for title, _ in found(client, "water")] == ["Tea", "Boiling eggs"]
    assert found(client, "eggs water") == [("Boiling eggs", "Boiling eggs")]
    assert found(client, "simmering") == [("Boiling eggs", "Eight minutes in simmering water.")]
    assert found(client, "plants") == []
    assert found(client, "100%") == []
    assert found(client, "\x00") == found(client, "")


def test_a_place_is_cut_to_its_surroundings(alice, api, talk):
    talk(alice, "Long", "before " * 50 + "needle" + " after" * 50)
    ((_, place),) = found(api(alice), "needle")
    assert place.startswith("…")
    assert place.endswith("…")
    assert "needle" in place
    assert len(place) < 100


def test_search_works_on_the_page_without_scripts(alice, signed_in, talk):
    talk(alice, "Boiling eggs", "Eight minutes.")
    talk(alice, "Tea", "Three minutes.")
    page = signed_in(alice).get("/", {"q": "eight"}).content.decode()
    assert "Boiling eggs" in page
    assert ">Tea<" not in page
    assert 'value="eight"' in page


def test_a_conversation_can_be_renamed_by_its_person_only(alice, mallory, api, talk):
    url = f"/api/conversations/{talk(alice, 'Hello', 'Hi').pk}/"
    renamed = api(alice).patch(url, {"title": "Greetings 🥚"}, format="json")
    assert renamed.json()["title"] == "Greetings 🥚"
    assert api(mallory).patch(url, {"title": "Mine"}, format="json").status_code == 404
    assert api(alice).patch(url, {"title": "x" * 121}, format="json").status_code == 400
    assert api(alice).patch(url, {"title": ""}, format="json").status_code == 400
    assert Conversation.objects.get().title == "Greetings 🥚"


def share(client, conversation, **body):
    return client.post(f"/api/conversations/{conversation.pk}/shares/", body, format="json")


def test_a_link_shows_the_chosen_path_to_anybody_and_names_nobody(alice, api, talk):
    home = talk(alice, "one", "first answer", "two", "second answer")
    person = Person(user=alice)
    again = chat.regenerate(person=person, conversation_id=home.pk, message_id=home.leaf_id)
    chat.finish(again.answer.pk, text="other answer", state="complete")
    link = share(api(alice), home, leaf=str(home.leaf_id))
    assert link.status_code == 201
    page = Client().get(link.json()["url"].removeprefix("http://testserver"))
    html = page.content.decode()
    assert page.status_code == 200
    assert "first answer" in html
    assert "second answer" in html
    assert "other answer" not in html
    assert alice.username not in html
    assert alice.pseudonym not in html
    assert "noindex" in page["X-Robots-Tag"]
    assert str(home.pk) not in html
    chat.send(person=person, conversation_id=home.pk, text="a later secret")
    assert "a later secret" not in Client().get(page.request["PATH_INFO"]).content.decode()


def test_a_link_does_not_tell_the_question_that_was_edited_away(alice, api, talk):
    home = talk(alice, "My real name is in this", "answer")
    first = home.messages.get(role="user")
    person = Person(user=alice)
    other = chat.edit(
        person=person, conversation_id=home.pk, message_id=first.pk, text="Without a name"
    )
    chat.finish(other.answer.pk, text="another", state="complete")
    url = share(api(alice), home).json()["url"].removeprefix("http://testserver")
    html = Client().get(url).content.decode()
    assert "My real name" not in html
    assert "Without a name" in html
    assert Client().get("/s/a%00b/").status_code == 404


def test_a_link_is_made_once_noted_and_can_be_taken_back(alice, mallory, api, talk):
    home = talk(alice, "one", "answer")
    client = api(alice)
    first, second = share(client, home).json(), share(client, home).json()
    assert first["id"] == second["id"]
    assert Event.objects.filter(kind="share", message=home.leaf).count() == 1
    listed = client.get(f"/api/conversations/{home.pk}/shares/").json()["results"]
    assert [one["id"] for one in listed] == [first["id"]]
    path = first["url"].removeprefix("http://testserver")
    assert api(mallory).delete(f"/api/shares/{first['id']}/").status_code == 404
    assert Client().get(path).status_code == 200
    assert client.delete(f"/api/shares/{first['id']}/").status_code == 204
    assert client.delete(f"/api/shares/{first['id']}/").status_code == 204
    assert Client().get(path).status_code == 404
    assert share(client, home).json()["url"] != first["url"]


def test_nothing_and_what_is_being_written_cannot_be_shared(alice, mallory, api, talk, served):
    client = api(alice)
    empty = chat.begin(person=Person(user=alice))
    assert share(client, empty).status_code == 400
    chat.send(person=Person(user=alice), conversation_id=empty.pk, text="Hello")
    assert share(client, empty).status_code == 409
    other = talk(alice, "one", "answer")
    assert share(client, other, leaf=str(uuid.uuid4())).status_code == 404
    assert share(client, empty, leaf=str(other.leaf_id)).status_code == 404
    assert share(api(mallory), other).status_code == 404
    assert not Share.objects.exists()


def test_hostile_text_in_a_shared_path_is_only_text(alice, api, talk):
    hostile = "<script>alert(1)</script>"
    home = talk(alice, hostile, f"{hostile} [x](javascript:alert(1))")
    url = share(api(alice), home).json()["url"].removeprefix("http://testserver")
    html = Client().get(url).content.decode()
    assert hostile not in html
    assert 'href="javascript' not in html


def test_a_deleted_conversation_takes_its_links_with_it(alice, api, talk):
    home = talk(alice, "one", "answer")
    client = api(alice)
    url = share(client, home).json()["url"].removeprefix("http://testserver")
    assert client.delete(f"/api/conversations/{home.pk}/").status_code == 204
    assert Client().get(url).status_code == 404


def test_own_data_can_be_taken_along_whole_and_nobody_elses(alice, ben, api, talk):
    home = talk(alice, "How long? 🥚", "Eight minutes.")
    talk(alice, "Tea", "Three minutes.")
    talk(ben, "A secret of Ben", "Kept.")
    reactions.react(
        person=Person(user=alice), message_id=home.leaf_id, reaction="dislike",
        client_event=uuid.uuid4(), reasons=["wrong"], comment="Too short",
    )  # fmt: skip
    response = api(alice).get("/api/own-data/")
    assert response["Content-Disposition"].startswith("attachment")
    body = json.loads(b"".join(response.streaming_content))
    assert body["format"] == "preferendum-chats-1"
    first, second = body["conversations"]
    assert [one["text"] for one in first["messages"]] == ["How long? 🥚", "Eight minutes."]
    assert first["messages"][1]["parent"] == first["messages"][0]["id"]
    (given,) = first["events"]
    assert (given["reaction"], given["reasons"]) == ("dislike", ["wrong"])
    assert second["title"] == "Tea"
    assert "secret of Ben" not in json.dumps(body)


def test_votes_between_two_answers_are_taken_along(alice, api, talk):
    home = talk(alice, "How long?", "Eight minutes.")
    other = chat.regenerate(
        person=Person(user=alice), conversation_id=home.pk, message_id=home.leaf_id
    ).answer
    battle = Battle.objects.create(
        conversation=home, question=home.leaf.parent, left=home.leaf, right=other
    )
    Vote.objects.create(
        battle=battle, outcome="tie", client_event=uuid.uuid4(),
        style_left=[0, 0, 0, 0], style_right=[0, 0, 0, 0],
    )  # fmt: skip
    body = json.loads(b"".join(api(alice).get("/api/own-data/").streaming_content))
    (vote,) = body["conversations"][0]["votes"]
    assert (vote["left"], vote["right"], vote["outcome"]) == (
        str(home.leaf_id), str(other.pk), "tie",
    )  # fmt: skip


def test_own_data_of_somebody_without_any_is_an_empty_list(alice, api, served):
    body = json.loads(b"".join(api(alice).get("/api/own-data/").streaming_content))
    assert body["conversations"] == []
    assert api().get("/api/own-data/").status_code == 401


def test_the_asynchronous_server_sends_the_same_file(alice, api, talk, key_of):
    talk(alice, "one", "answer")
    talk(alice, "two", "answer")
    header = {"authorization": f"Bearer {key_of(alice, 'feedback')}"}

    async def load() -> bytes:
        response = await AsyncClient().get("/api/own-data/", headers=header)
        return b"".join([piece async for piece in response.streaming_content])

    assert len(json.loads(asyncio.run(load()))["conversations"]) == 2


def test_own_data_can_be_deleted_and_that_of_others_stays(alice, ben, api, talk):
    home = talk(alice, "one", "answer")
    kept = talk(ben, "two", "answer")
    reactions.react(
        person=Person(user=alice), message_id=home.leaf_id, reaction="love",
        client_event=uuid.uuid4(),
    )  # fmt: skip
    gone = api(alice).delete("/api/own-data/").json()
    assert gone == {"deleted": {"conversations": 1, "messages": 2, "events": 1}}
    assert list(Conversation.objects.values_list("pk", flat=True)) == [kept.pk]
    assert not Event.objects.exists()
    assert Message.objects.count() == 2


def test_a_guest_who_deletes_everything_is_forgotten(guest, served):
    guest.post("/", {"text": "Hello", "consent": "1"})
    assert guest.delete("/api/own-data/").json()["deleted"]["conversations"] == 1
    assert guest.cookies["guest"].value == ""
    assert guest.get("/api/conversations/").status_code in (401, 403)


def test_what_a_guest_said_goes_with_them_into_their_account(alice, guest, served, begin):
    guest.post("/", {"text": "Asked as a guest", "consent": "1"})
    answer = Message.objects.get(role="assistant")
    body = {"reaction": "love"}
    reacted = guest.post(
        f"/api/messages/{answer.pk}/reactions/", body, content_type="application/json"
    )
    assert reacted.status_code == 201
    guest.force_login(alice)
    page = guest.get("/")
    assert "Asked as a guest" in page.content.decode()
    assert guest.cookies["guest"].value == ""  # nobody else at this browser takes it over again
    home = Conversation.objects.get()
    assert (home.owner, home.guest) == (alice, "")
    stored = Event.objects.get(kind="reaction")
    assert (stored.actor, stored.guest) == (alice, "")
    opened = guest.get(f"/api/conversations/{home.pk}/").json()
    assert opened["messages"][1]["reactions"] == ["love"]


def test_a_forged_guest_cookie_takes_nothing_over(alice, guest, served, signed_in):
    guest.post("/", {"text": "Asked as a guest", "consent": "1"})
    thief = signed_in(alice)
    thief.cookies["guest"] = f"{Conversation.objects.get().guest}:forged"
    thief.get("/")
    assert Conversation.objects.get().owner is None


def test_events_change_hands_only_from_a_guest_to_an_account(alice, ben, guest, served):
    from django.db import DatabaseError

    guest.post("/", {"text": "Hello", "consent": "1"})
    answer = Message.objects.get(role="assistant")
    event = Event.objects.create(
        client_event=uuid.uuid4(), kind="copy", message=answer, guest=answer.conversation.guest
    )
    with pytest.raises(DatabaseError, match="cannot be changed"):
        Event.objects.filter(pk=event.pk).update(guest="somebody else")
    Event.objects.filter(pk=event.pk).update(actor=alice, guest="")
    with pytest.raises(DatabaseError, match="cannot be changed"):
        Event.objects.filter(pk=event.pk).update(actor=ben)
