"""Weights beside the events: kept, shown with reasons, used by whoever reads reactions."""

import uuid
from datetime import timedelta

import numpy as np
import pytest
from django.core.cache import cache
from django.db import models
from django.utils import timezone

from annotation.models import Project
from feedback import selectors, tasks
from feedback.models import Battle, Conversation, Event, Message, ReactionTrust, Vote
from feedback.services import leaderboard, love, trust
from feedback.trust import attack
from inference.models import ModelVersion

pytestmark = pytest.mark.django_db(transaction=True)

LETTERS = "abcde"


@pytest.fixture
def crowd(served, make_policy, monkeypatch):
    """Store simulated acts as what guests did in the demo project: `crowd(acts)`."""
    versions = [make_policy(f"model-{letter}") for letter in LETTERS]
    project = Project.objects.get(slug="demo")
    start = timezone.now() - timedelta(days=attack.DAYS + 1)
    for model, name in ((Event, "server_time"), (Message, "created_at"), (Vote, "created_at")):
        field = model._meta.get_field(name)
        assert isinstance(field, models.DateTimeField)
        monkeypatch.setattr(field, "auto_now_add", False)

    def store(acts) -> Project:
        talks = {
            int(actor): Conversation(project=project, guest=f"{actor:032x}")
            for actor in np.unique(acts.actor)
        }
        Conversation.objects.bulk_create(talks.values())
        messages, events = [], []
        for n in range(len(acts)):
            at = start + timedelta(seconds=float(acts.time[n]))
            talk = talks[int(acts.actor[n])]
            answer = Message(
                conversation=talk, role="assistant", text="An answer.", state="complete",
                model_version=versions[acts.target[n]], created_at=at,
                finished_at=at - timedelta(seconds=float(acts.wait[n])),
            )  # fmt: skip
            messages.append(answer)
            events.append(
                Event(
                    client_event=uuid.uuid4(), kind="reaction", message=answer, guest=talk.guest,
                    reaction="like" if acts.sign[n] > 0 else "dislike", server_time=at,
                )
            )  # fmt: skip
        Message.objects.bulk_create(messages, batch_size=1000)
        Event.objects.bulk_create(events, batch_size=1000)
        return project

    return store


@pytest.fixture
def raided(crowd) -> Project:
    good = attack.honest(np.random.default_rng(0), 135)
    bad = attack.hostile(np.random.default_rng(1), 15, "raid", first=135)
    return crowd(attack._joined(good, bad))


def test_a_raid_loses_its_weight_and_the_reaction_itself_stays(raided):
    before = Event.objects.count()
    tasks.weigh()
    assert Event.objects.count() == before
    weights = {}
    for record in selectors.reactions(project_ids=[raided.pk]):
        is_raider = record.person in {
            selectors.guest_pseudonym(f"{actor:032x}") for actor in range(135, 150)
        }
        weights.setdefault(is_raider, []).append(record.weight)
    assert len(weights[True]) == 15 * 12
    assert np.mean(weights[True]) < 0.3
    assert np.mean(weights[False]) > 0.98


def test_the_report_shows_what_the_weights_change(raided, remy, api):
    trust.weigh_project(project=raided)
    body = api(remy).get("/api/projects/demo/trust/").json()
    report = body["report"]
    assert report["doubted"] >= 15 * 12
    assert any(group["kind"] in ("raid", "lockstep") for group in report["groups"])
    best = next(one for one in report["models"] if one["model"] == "model-a")
    assert best["share"] > best["plain_share"] + 0.05
    assert best["low"] < best["share"] < best["high"]
    reasons = {code for person in report["doubted_people"] for code in
               (one["code"] for one in person["reasons"])}  # fmt: skip
    assert reasons & {"raid", "lockstep"}
    assert "0000" not in str(report["doubted_people"])


def test_each_doubted_reaction_has_its_reasons_in_pages(raided, remy, api):
    trust.weigh_project(project=raided)
    client = api(remy)
    first = client.get("/api/projects/demo/trust/reactions/").json()
    assert len(first["results"]) == 100
    assert all(one["weight"] < 1 and one["doubts"] for one in first["results"])
    second = client.get(f"/api/projects/demo/trust/reactions/?before={first['before']}").json()
    assert second["results"][0]["event"] < first["results"][-1]["event"]
    assert client.get("/api/projects/demo/trust/reactions/?before=x").status_code == 400


def test_weighing_again_changes_nothing_and_forgets_doubts_that_are_gone(raided):
    trust.weigh_project(project=raided)
    kept = list(ReactionTrust.objects.order_by("pk").values_list("pk", "weight", "computed_at"))
    trust.weigh_project(project=raided)
    again = list(ReactionTrust.objects.order_by("pk").values_list("pk", "weight", "computed_at"))
    assert kept == again
    honest = Event.objects.exclude(pk__in=[pk for pk, _, _ in kept]).first()
    ReactionTrust.objects.create(event=honest, weight=0.5, doubts=[])
    trust.weigh_project(project=raided)
    assert not ReactionTrust.objects.filter(event=honest).exists()


def test_only_researchers_see_it(served, alice, remy, signed_in, api, guest):
    assert guest.get("/console/demo/trust/").status_code == 302
    assert signed_in(alice).get("/console/demo/trust/").status_code == 403
    assert api(alice).get("/api/projects/demo/trust/").status_code == 403
    page = signed_in(remy).get("/console/demo/trust/")
    assert page.status_code == 200
    assert "Not weighed yet" in page.content.decode()
    assert signed_in(remy).get("/console/none/trust/").status_code == 404


def test_the_page_gives_the_reasons_in_words(raided, remy, signed_in):
    trust.weigh_project(project=raided)
    page = signed_in(remy).get("/console/demo/trust/").content.decode()
    assert "people who said the same of the same models in the same hours" in page
    assert "whisker__line--plain" in page


def test_love_is_predicted_for_what_was_seen_and_left_without_a_word(crowd, remy, signed_in):
    acts = attack.honest(np.random.default_rng(3), 60)
    project = crowd(acts)
    talk = Conversation.objects.create(project=project, guest="c" * 32)
    silent = []
    for letter in "ae":
        version = ModelVersion.objects.get(name=f"model-{letter}")
        for _ in range(20):
            silent.append(
                Message.objects.create(
                    conversation=talk, role="assistant", text="An answer.", state="complete",
                    model_version=version, created_at=timezone.now(),
                )
            )  # fmt: skip
    Event.objects.bulk_create(
        Event(client_event=uuid.uuid4(), kind="exposure", message=one, guest=talk.guest,
              share_seen=1.0, server_time=timezone.now())
        for one in silent
    )  # fmt: skip
    told = love.estimate(project=project)
    assert told["answers"] == len(acts) + 40
    assert told["reach"] == pytest.approx(len(acts) / (len(acts) + 40))
    for one in told["models"]:
        assert 0 < one["low"] <= one["love"] <= one["high"] < 1
    trust.weigh_project(project=project)
    page = signed_in(remy).get("/console/demo/trust/").content.decode()
    assert "Predicted P[Love]" in page
    assert love.report(project=project) == told


def test_visitors_of_a_site_behind_one_key_are_people_of_their_own(crowd, alice):
    project = crowd(attack.honest(np.random.default_rng(3), 60))
    version = ModelVersion.objects.get(name="model-a")
    start = timezone.now() - timedelta(days=2)
    for n in range(60):  # a visitor every ten seconds, each with a word on an answer of their own
        at = start + timedelta(seconds=10 * n)
        talk = Conversation.objects.create(project=project, owner=alice, source="api")
        answer = Message.objects.create(
            conversation=talk, role="assistant", text="An answer.", state="complete",
            model_version=version, created_at=at, finished_at=at - timedelta(seconds=9),
        )  # fmt: skip
        Event.objects.create(
            client_event=uuid.uuid4(), kind="reaction", message=answer, actor=alice,
            reaction="like", server_time=at,
        )  # fmt: skip
    report = trust.weigh_project(project=project)
    assert report["people"] == 60 + 60
    assert not ReactionTrust.objects.filter(event__actor=alice).exists()


def test_nothing_is_weighed_again_where_nothing_was_said(crowd):
    crowd(attack.honest(np.random.default_rng(3), 5))
    cache.clear()
    assert [trust.weigh_all(), trust.weigh_all()] == [1, 0]
    talk = Conversation.objects.first()
    Event.objects.create(
        client_event=uuid.uuid4(), kind="reaction", reaction="like", guest=talk.guest,
        message=talk.messages.first(), server_time=timezone.now(),
    )  # fmt: skip
    assert trust.weigh_all() == 1


def test_few_reactions_give_a_reason_and_no_number(crowd):
    project = crowd(attack.honest(np.random.default_rng(4), 3))
    told = love.estimate(project=project)
    assert told["models"] == []
    assert "Too few reactions" in told["note"]


def test_an_empty_project_is_weighed_without_complaint(served):
    report = trust.weigh_project(project=Project.objects.get(slug="demo"))
    assert (report["acts"], report["groups"], report["models"]) == (0, [], [])


def test_a_voter_who_always_says_left_in_haste_moves_the_leaderboard_less(crowd, make_policy):
    project = crowd(attack.honest(np.random.default_rng(0), 10))
    one, two = make_policy("one"), make_policy("two")
    talk = Conversation.objects.create(project=project, guest="b" * 32, source="side")
    start = timezone.now() - timedelta(hours=1)
    for n in range(25):
        at = start + timedelta(seconds=1.5 * n)
        sides = (one, two) if n % 2 else (two, one)
        question = Message.objects.create(conversation=talk, role="user", text="?", created_at=at)
        left, right = (
            Message.objects.create(
                conversation=talk, parent=question, role="assistant", text="An answer.",
                state="complete", model_version=version, created_at=at, finished_at=at,
            )
            for version in sides
        )  # fmt: skip
        battle = Battle.objects.create(conversation=talk, question=question, left=left, right=right)
        Vote.objects.create(
            battle=battle, outcome="left", client_event=uuid.uuid4(), created_at=at,
            style_left=[10, 0, 0, 0], style_right=[10, 0, 0, 0],
        )  # fmt: skip
    leaderboard.refresh(project_id=project.pk)
    wide = leaderboard.current(project_id=project.pk).board["weight"]
    report = trust.weigh_project(project=project)
    assert report["votes"]["doubted"] == 25
    codes = {one["code"] for vote in Vote.objects.all() for one in vote.doubts}
    assert {"one-sided", "haste", "unread"} <= codes
    assert leaderboard.refresh(project_id=project.pk)
    assert leaderboard.current(project_id=project.pk).board["weight"] < 0.1 * wide
