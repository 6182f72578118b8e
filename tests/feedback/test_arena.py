"""Two blind answers, one vote, a judgment and a leaderboard; through the real doors."""

import json
import random
import uuid

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from annotation import selectors as annotation
from annotation.models import Judgment, Project, Task
from annotation.services.projects import add_member, create_project
from feedback import tasks
from feedback.models import Battle, Conversation, Leaderboard, Message, Vote
from feedback.people import Person
from feedback.services import arena, leaderboard, own_data
from inference.models import Deployment
from inference.services import deployments

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def two(served, make_policy) -> list[str]:
    """Two models that serve: 'first' and 'second'."""
    deployments.deploy(
        project="demo", model_version=make_policy("second"), arm=Deployment.Arm.CANARY, weight=100
    )
    return ["first", "second"]


class Comparer:
    """A person with a comparison open, over REST."""

    def __init__(self, client, *, consent: bool = True):
        self.client = client
        begun = client.post("/api/arena/", {"consent": consent}, format="json")
        assert begun.status_code == 201, begun.content
        self.conversation = begun.json()["id"]

    def ask(self, text="Which is better?", **rest):
        return self.client.post(
            f"/api/arena/{self.conversation}/battles/", {"text": text, **rest}, format="json"
        )

    def battle(self, text="Which is better?") -> dict:
        response = self.ask(text)
        assert response.status_code == 201, response.content
        return response.json()

    def vote(self, battle: dict, outcome: str, *, key=None, **rest):
        return self.client.post(
            f"/api/arena/battles/{battle['id']}/vote/",
            {"outcome": outcome, **rest},
            format="json",
            headers={"Idempotency-Key": str(key or uuid.uuid4())},
        )


@pytest.fixture
def alice_compares(alice, api, two, engine_double) -> Comparer:
    engine_double.says("An answer.")
    return Comparer(api(alice))


def test_with_one_model_the_page_says_so_and_asks_nothing(alice, api, served, guest):
    page = guest.get("/arena/")
    assert page.status_code == 200
    assert "Only one model serves here" in page.content.decode()
    refused = Comparer(api(alice)).ask()
    assert refused.status_code == 409
    assert "Only one model" in refused.json()["detail"]
    assert not Message.objects.exists()


def test_both_models_answer_the_same_question_and_neither_is_named(alice_compares):
    battle = alice_compares.battle()
    assert battle["state"] == "open"
    assert battle["models"] is None
    assert [battle[side]["text"] for side in ("left", "right")] == ["An answer."] * 2
    stored = Battle.objects.get()
    assert {stored.left.model_version.name, stored.right.model_version.name} == {"first", "second"}
    assert stored.left.parent_id == stored.right.parent_id == stored.question_id
    assert stored.left.sampling["seed"] == stored.right.sampling["seed"]
    told = alice_compares.client.get(f"/api/conversations/{alice_compares.conversation}/")
    assert "first" not in str(told.json()["messages"])


def test_the_names_are_told_by_the_vote(alice_compares):
    battle = alice_compares.battle()
    voted = alice_compares.vote(battle, "left", seconds=4.25).json()
    stored = Battle.objects.get()
    assert voted["models"] == {
        "left": stored.left.model_version.name, "right": stored.right.model_version.name
    }  # fmt: skip
    assert voted["vote"]["outcome"] == "left"
    assert Vote.objects.get().seconds == 4.25


def test_own_data_name_the_models_by_votes_alone(alice_compares):
    battle = alice_compares.battle()
    alice = Person(user=Battle.objects.get().conversation.owner)
    assert "first" not in "".join(own_data.export(person=alice))
    alice_compares.vote(battle, "tie")
    told = list(own_data.export(person=alice))
    (talk,) = json.loads("".join(told))["conversations"]
    assert sorted(talk["votes"][0]["models"]) == ["first", "second"]


def test_a_vote_is_stored_once_and_stays(alice_compares):
    battle, key = alice_compares.battle(), uuid.uuid4()
    first = alice_compares.vote(battle, "right", key=key)
    again = alice_compares.vote(battle, "right", key=key)
    assert (first.status_code, again.status_code) == (201, 200)
    other = alice_compares.vote(battle, "left")
    assert other.status_code == 409
    assert "stays as it was given" in other.json()["detail"]
    assert Vote.objects.count() == Judgment.objects.count() == 1
    with pytest.raises(DatabaseError, match="was given and stays"), transaction.atomic():
        Vote.objects.update(outcome="tie")


@pytest.mark.parametrize("outcome", ["left", "right", "tie", "both_bad"])
def test_a_vote_becomes_a_pairwise_judgment(alice, alice_compares, outcome):
    battle = alice_compares.battle("What is tea?")
    alice_compares.vote(battle, outcome, seconds=2)
    judgment = Judgment.objects.get()
    assert (judgment.source, judgment.annotator) == ("vote", alice)
    assert Vote.objects.get().judgment == judgment
    (record,) = annotation.preferences(project_ids=[judgment.project_id])
    assert record.prompt == [{"role": "user", "content": "What is tea?"}]
    models = [model for _, _, model in record.candidates]
    stored = Battle.objects.get()
    assert models == [stored.left.model_version.name, stored.right.model_version.name]
    expected = {"left": record.candidates[0][0], "right": record.candidates[1][0]}.get(outcome)
    assert record.preferred == expected
    assert record.outcome == ("preferred" if expected else outcome)


def test_a_guests_judgment_bears_their_pseudonym_only(two, engine_double, guest):
    engine_double.says("An answer.")
    page = guest.post("/arena/", {"text": "Hello", "consent": "1"}, follow=True)
    assert page.status_code == 200
    battle = Battle.objects.get()
    address = f"/arena/c/{battle.conversation_id}/"
    guest.post(address, {"battle": str(battle.pk), "outcome": "tie"})
    judgment = Judgment.objects.get()
    assert judgment.annotator.pseudonym.startswith("g-")
    assert not judgment.annotator.is_active
    assert battle.conversation.guest not in judgment.annotator.pseudonym


def test_without_consent_the_vote_counts_on_the_leaderboard_and_nowhere_else(
    alice, api, two, engine_double
):
    engine_double.says("An answer.")
    comparer = Comparer(api(alice), consent=False)
    comparer.vote(comparer.battle(), "left")
    assert Vote.objects.count() == 1
    assert not Judgment.objects.exists()


def test_consent_given_later_hands_the_vote_on_and_taken_back_erases_it(
    alice, api, two, engine_double
):
    engine_double.says("An answer.")
    comparer = Comparer(api(alice), consent=False)
    comparer.vote(comparer.battle(), "left")
    address = f"/api/conversations/{comparer.conversation}/"
    comparer.client.patch(address, {"consent": True}, format="json")
    tasks.tally()
    assert Judgment.objects.get().vote == Vote.objects.get()
    comparer.client.patch(address, {"consent": False}, format="json")
    tasks.tally()
    assert not Judgment.objects.exists()
    assert not Task.objects.exists()
    assert Vote.objects.get().judgment is None


def test_one_vote_that_cannot_be_handed_on_does_not_hold_up_the_others(
    alice, ben, api, two, engine_double, monkeypatch, caplog
):
    engine_double.says("An answer.")
    for person in (alice, ben):
        comparer = Comparer(api(person), consent=False)
        comparer.vote(comparer.battle(), "left")
    Conversation.objects.update(consent=True)
    bad = Vote.objects.order_by("created_at").first()
    made = arena.create_tasks

    def refuse(*, tasks, **rest):
        if tasks[0].external_id == arena.external_id(bad.pk):
            raise DatabaseError("no room")
        return made(tasks=tasks, **rest)

    monkeypatch.setattr(arena, "create_tasks", refuse)
    assert arena.settle()["handed"] == 1
    assert Judgment.objects.get().vote != bad
    assert str(bad.pk) in caplog.text
    monkeypatch.undo()
    assert arena.settle()["handed"] == 1


def test_deleting_the_comparison_erases_its_judgment_and_leaves_the_others(alice_compares):
    alice_compares.vote(alice_compares.battle(), "left")
    other = Comparer(alice_compares.client)
    other.vote(other.battle("Something else?"), "right")
    alice_compares.client.delete(f"/api/conversations/{alice_compares.conversation}/")
    tasks.tally()
    (kept,) = Task.objects.all()
    assert kept.prompt[0]["content"] == "Something else?"
    assert Judgment.objects.count() == 1


def test_the_next_question_goes_on_from_the_answer_that_was_liked(alice_compares, engine_double):
    battle = alice_compares.battle()
    refused = alice_compares.ask("And then?")
    assert refused.status_code == 409
    assert "which of the two" in refused.json()["detail"]
    alice_compares.vote(battle, "right")
    engine_double.says("More.")
    second = alice_compares.battle("And then?")
    question = Message.objects.get(pk=second["question"]["id"])
    assert str(question.parent_id) == battle["right"]["id"]
    assert engine_double.requests[-1]["messages"] == engine_double.requests[-2]["messages"]
    assert engine_double.requests[-1]["messages"][1]["content"] == "An answer."


def test_the_same_request_asks_once(alice_compares):
    request_id = str(uuid.uuid4())
    first = alice_compares.ask(id=request_id)
    again = alice_compares.ask(id=request_id)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert Message.objects.filter(role="assistant").count() == 2


def test_nobody_votes_in_the_battles_of_others(alice_compares, mallory, api):
    battle = alice_compares.battle()
    other = Comparer(api(mallory))
    assert other.vote(battle, "left").status_code == 404
    assert other.client.get(f"/api/arena/battles/{battle['id']}/").status_code == 404
    assert not Vote.objects.exists()


def test_an_answer_that_failed_leaves_nothing_to_vote_on(alice_compares, engine_double):
    engine_double.says()
    battle = alice_compares.battle()
    assert battle["state"] == "void"
    assert alice_compares.vote(battle, "left").status_code == 409
    engine_double.says("Now it works.")
    assert alice_compares.battle("Again?")["state"] == "open"


def test_a_vote_on_answers_that_name_the_model_weighs_nothing(alice_compares, engine_double):
    engine_double.says("I am second to none, called Second.")
    battle = alice_compares.battle()
    assert alice_compares.vote(battle, "left").status_code == 201
    vote = Vote.objects.get()
    assert vote.weight == 0
    assert vote.doubts[0]["code"] == "named"


@pytest.mark.parametrize(
    ("body", "header"),
    [({"outcome": "best"}, True), ({}, True), ({"outcome": "left"}, False)],
)
def test_what_is_no_vote_is_refused(alice_compares, body, header):
    battle = alice_compares.battle()
    headers = {"Idempotency-Key": str(uuid.uuid4())} if header else {}
    response = alice_compares.client.post(
        f"/api/arena/battles/{battle['id']}/vote/", body, format="json", headers=headers
    )
    assert response.status_code == 400
    assert response.json()["detail"]
    assert not Vote.objects.exists()


def test_comparisons_stay_out_of_the_list_of_chats(alice_compares):
    alice_compares.battle()
    assert alice_compares.client.get("/api/conversations/").json()["results"] == []


def test_sides_are_drawn_and_both_come_up(alice_compares):
    random.seed(1)
    for _ in range(12):
        alice_compares.vote(alice_compares.battle(), "tie")
    lefts = {battle.left.model_version.name for battle in Battle.objects.all()}
    assert lefts == {"first", "second"}


def test_three_models_meet_by_how_little_is_known(two, make_policy):
    deployments.deploy(
        project="demo", model_version=make_policy("third"), arm=Deployment.Arm.HOLDOUT, weight=100
    )
    project = Project.objects.get(slug="demo")
    shares = leaderboard.chances(project_id=project.pk, models=["first", "second", "third"])
    assert len(shares) == 3
    assert sum(shares.values()) == pytest.approx(1)
    names = ["first", "second"]
    Leaderboard.objects.create(
        project=project,
        board={},
        pairs={"models": names, "theta": [0.1, -0.1], "delta": None, "sd": [[0, 0.1], [0.1, 0]]},
        seen="",
    )
    shares = leaderboard.chances(project_id=project.pk, models=["first", "second", "third"])
    assert shares["first", "third"] > 5 * shares["first", "second"] > 0


class TestLeaderboard:
    def fought(self, comparer, wanted: str, times: int) -> None:
        for _ in range(times):
            battle = comparer.battle()
            stored = Battle.objects.get(pk=battle["id"])
            is_left = stored.left.model_version.name == wanted
            comparer.vote(battle, "left" if is_left else "right")

    def test_it_shows_who_wins_with_an_interval(self, alice_compares, guest):
        self.fought(alice_compares, "second", 5)
        alice_compares.vote(alice_compares.battle(), "both_bad")
        project = Project.objects.get(slug="demo")
        assert leaderboard.refresh(project_id=project.pk)
        assert not leaderboard.refresh(project_id=project.pk)
        body = guest.get("/api/leaderboard/?project=demo").json()
        best, other = body["places"]
        assert (best["model"], other["model"]) == ("second", "first")
        assert best["low"] < best["score"] < best["high"]
        assert (best["wins"], best["losses"], body["both_bad"]) == (5, 0, 1)
        page = guest.get("/arena/leaderboard/").content.decode()
        assert "whisker__line" in page
        assert page.index(">second") < page.index(">first")

    def test_before_the_first_vote_it_says_so(self, two, guest):
        assert guest.get("/api/leaderboard/").json()["places"] == []
        assert "No votes yet" in guest.get("/arena/leaderboard/").content.decode()

    def test_an_unknown_project_is_not_found(self, two, guest):
        assert guest.get("/api/leaderboard/?project=none").status_code == 404
        assert guest.get("/arena/leaderboard/?project=none").status_code == 404

    def test_one_of_another_project_is_for_its_members(self, two, guest, signed_in, rita):
        hidden = create_project(slug="hidden", kinds=["pairwise"])
        member = signed_in(rita)
        for address in ("/api/leaderboard/?project=hidden", "/arena/leaderboard/?project=hidden"):
            assert guest.get(address).status_code == 404
            assert member.get(address).status_code == 404
        add_member(project=hidden, user=rita, role="reviewer")
        for address in ("/api/leaderboard/?project=hidden", "/arena/leaderboard/?project=hidden"):
            assert member.get(address).status_code == 200

    @pytest.mark.parametrize("slug", ["a%00b", "..", "%22"])
    def test_what_is_no_name_of_a_project_is_not_found(self, two, guest, signed_in, rita, slug):
        for browser in (guest, signed_in(rita)):
            assert browser.get(f"/arena/leaderboard/?project={slug}").status_code == 404


def test_hostile_text_is_shown_as_text(two, engine_double, guest: Client):
    engine_double.says("<script>alert(1)</script> **bold**")
    guest.post("/arena/", {"text": "<img src=x onerror=alert(1)>"}, follow=True)
    conversation = Conversation.objects.get()
    page = guest.get(f"/arena/c/{conversation.pk}/").content.decode()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<strong>bold</strong>" in page


def test_a_strangers_comparison_is_not_found(alice_compares, guest):
    address = f"/arena/c/{alice_compares.conversation}/"
    assert guest.get(address).status_code == 404
    assert arena.SOURCE == "side"
