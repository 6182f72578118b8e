"""The chat page as the server writes it: whole, and usable before any script runs."""

import re

import pytest

from feedback.models import Conversation


# The answer is stored over a connection of its own, which a test's transaction would hide.
@pytest.mark.django_db(transaction=True)
def test_a_question_from_the_plain_form_is_answered_on_the_page(served, guest):
    answer = guest.post("/", {"text": "Hello?", "consent": "1"}, follow=True)
    assert answer.status_code == 200
    conversation = Conversation.objects.get()
    assert answer.redirect_chain == [(f"/c/{conversation.pk}/", 302)]
    html = answer.content.decode()
    assert re.findall(r'data-role="(\w+)" data-state="(\w+)"', html) == [
        ("user", "complete"),
        ("assistant", "complete"),
    ]


@pytest.mark.parametrize(("ticked", "kept"), [({"consent": "1"}, True), ({}, False)])
def test_the_tick_for_improving_the_model_counts_without_scripts_too(served, guest, ticked, kept):
    guest.post("/", {"text": "Hello?", **ticked})
    assert Conversation.objects.get().consent is kept


def test_an_empty_question_is_refused_in_words_on_the_page(served, guest):
    answer = guest.post("/", {"text": "  ", "consent": "1"})
    assert answer.status_code == 400
    assert "Write something first." in answer.content.decode()


def test_hostile_questions_and_titles_are_escaped(served, guest):
    hostile = "<script>alert(1)</script>"
    html = guest.post("/", {"text": hostile, "consent": "1"}, follow=True).content.decode()
    assert hostile not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3  # question, title, list


def test_the_list_names_own_conversations_only(served, guest, client):
    guest.post("/", {"text": "A private matter", "consent": "1"})
    assert "A private matter" in guest.get("/").content.decode()
    stranger = client.get("/")
    assert stranger.status_code == 200
    assert "A private matter" not in stranger.content.decode()
    assert client.get(f"/c/{Conversation.objects.get().pk}/").status_code == 404
