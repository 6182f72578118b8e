"""Researchers find and read conversations; every look is kept; consent decides what is shown."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.services.projects import create_project
from feedback.models import Conversation, Event, Message, ReactionTrust, ReadingLog
from tests.feedback.talks import react, talk

pytestmark = pytest.mark.django_db
PAGE = "/console/demo/conversations/"
REST = "/api/projects/demo/conversations/"


def found(api, **query) -> list[str]:
    response = api.get(REST, query)
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


def test_conversations_are_found_by_what_was_said_and_made_of_them(served, remy, api):
    tea = talk(served, ["How do I make tea?"], ["Boil water."])
    eggs = talk(served, ["How do I boil an egg?"], ["Eight minutes."])
    react(eggs, "dislike")
    Event.objects.create(
        client_event="11111111-1111-4111-8111-111111111111", kind="report",
        message=tea.leaf, guest=tea.guest, comment="bad",
    )  # fmt: skip
    both, client = {str(tea.pk), str(eggs.pk)}, api(remy, "research")
    assert set(found(client)) == both
    assert found(client, q="water") == [str(tea.pk)]
    assert found(client, q="boil egg") == [str(eggs.pk)]
    assert found(client, q='"boil egg"') == []
    assert found(client, reaction="dislike") == [str(eggs.pk)]
    assert found(client, reaction="love") == []
    assert found(client, reported="1") == [str(tea.pk)]
    assert set(found(client, model=served.model_version.name, arm="live")) == both
    assert found(client, arm="canary") == []
    tomorrow = (timezone.now() + timedelta(days=1)).date().isoformat()
    assert found(client, since=tomorrow) == []
    assert set(found(client, until=tomorrow)) == both
    react(eggs, "dislike", kind="retraction")
    assert found(client, reaction="dislike") == []


def test_what_cannot_be_asked_is_refused_with_the_reason(served, remy, api, signed_in):
    for query in (
        {"reaction": "adore"},
        {"since": "yesterday"},
        {"until": "9999-12-31"},
        {"before": "x"},
    ):
        response = api(remy, "research").get(REST, query)
        assert response.status_code == 400
        assert response.json()["detail"]
    response = signed_in(remy).get(PAGE, {"since": "2026-02-31"})
    assert response.status_code == 400
    assert "must be a date" in response.content.decode()


def test_pages_follow_each_other_without_gap_or_repeat_also_at_the_same_moment(served, remy, api):
    made = [talk(served, [f"question {n}"], ["yes"]) for n in range(35)]
    Conversation.objects.filter(pk__in=[one.pk for one in made]).update(updated_at=timezone.now())
    client = api(remy, "research")
    first = client.get(REST).json()
    second = client.get(REST, {"before": first["before"]}).json()
    ids = [row["id"] for row in first["results"] + second["results"]]
    assert len(first["results"]) == 30
    assert second["before"] is None
    assert sorted(ids) == sorted(str(one.pk) for one in made)


def test_without_consent_there_are_no_words_anywhere(served, remy, api, signed_in):
    secret = talk(served, ["my secret question"], ["a secret answer"], consent=False)
    react(secret, "love", comment="secret comment")
    client = api(remy, "research")
    assert found(client, q="secret") == []
    row = client.get(REST).json()["results"][0]
    assert row["title"] is None
    assert row["place"] == ""
    assert row["reactions"] == {"love": 1}
    told = client.get(f"{REST}{secret.pk}/")
    assert [one["characters"] for one in told.json()["messages"]] == [18, 15]
    pages = [client.get(REST), told, signed_in(remy).get(PAGE)]
    pages.append(signed_in(remy).get(f"{PAGE}{secret.pk}/"))
    for page in pages:
        assert page.status_code == 200
        assert "secret" not in page.content.decode()
    entry = ReadingLog.objects.filter(action="opened").first()
    assert not entry.with_words


def test_the_reader_shows_branches_events_and_how_far_a_reaction_counts(
    served, remy, api, signed_in
):
    one = talk(served, ["How do I make tea?"], ["Boil water.", "Ask somebody."])
    event = react(one, "dislike", comment="too short")
    doubts = [{"code": "burst", "factor": 0.25, "says": "Thirty reactions in a minute."}]
    ReactionTrust.objects.create(event=event, weight=0.25, doubts=doubts)
    told = api(remy, "research").get(f"{REST}{one.pk}/").json()
    answer = told["messages"][-1]
    assert len(answer["siblings"]) == 2
    assert answer["arm"] == "live"
    assert answer["sampling"] == {"temperature": 0.9, "seed": 7}
    assert answer["events"][0]["weight"] == 0.25
    assert answer["events"][0]["doubts"] == doubts
    page = signed_in(remy).get(f"{PAGE}{one.pk}/").content.decode()
    for words in ("Ask somebody.", "too short", "Thirty reactions in a minute.", "2 / 2"):
        assert words in page
    assert "Boil water." not in page
    other = Message.objects.get(text="Boil water.")
    page = signed_in(remy).get(f"{PAGE}{one.pk}/", {"leaf": str(other.pk)}).content.decode()
    assert "Boil water." in page
    assert "Ask somebody." not in page


def test_every_look_is_kept_and_shown_to_admins_alone(served, remy, adam, rita, api, signed_in):
    one = talk(served, ["How do I make tea?"], ["Boil water."])
    client = api(remy, "research")
    client.get(REST, {"q": "tea"})
    client.get(f"{REST}{one.pk}/")
    log = api(adam, "admin").get("/api/projects/demo/reading-log/").json()["results"]
    assert [(row["name"], row["action"]) for row in log] == [
        ("remy", "opened"), ("remy", "searched"),
    ]  # fmt: skip
    assert log[0]["conversation"] == str(one.pk)
    assert log[1]["what"] == {"q": "tea"}
    assert "tea" in signed_in(adam).get(f"{PAGE}looks/").content.decode()
    assert signed_in(remy).get(f"{PAGE}looks/").status_code == 403
    assert client.get("/api/projects/demo/reading-log/").status_code == 403
    for page in (PAGE, f"{PAGE}{one.pk}/", f"{PAGE}rules/"):
        assert signed_in(rita).get(page).status_code == 403
    assert api(rita).get(REST).status_code == 403
    assert api().get(REST).status_code == 401


def test_the_log_cannot_be_changed_and_outlives_the_conversation(served, remy, api):
    one = talk(served, ["How do I make tea?"], ["Boil water."])
    api(remy, "research").get(f"{REST}{one.pk}/")
    known = one.pk
    one.delete()
    entry = ReadingLog.objects.get(action="opened")
    assert entry.conversation == known
    for change in (lambda: entry.delete(), lambda: ReadingLog.objects.update(reader="nobody")):
        refused = pytest.raises(IntegrityError, match="cannot be changed or deleted")
        with refused, transaction.atomic():
            change()


def test_a_conversation_of_another_project_is_not_found(served, remy, api, signed_in):
    create_project(slug="other", kinds=["pairwise"])
    one = talk(served, ["How do I make tea?"], ["Boil water."])
    assert (
        api(remy, "research").get(f"/api/projects/other/conversations/{one.pk}/").status_code == 404
    )
    assert signed_in(remy).get(f"/console/other/conversations/{one.pk}/").status_code == 404
