"""From chat to annotation: masked, with consent, once a project, and back when the chat goes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.models import Membership, Project, Task
from annotation.services import queue
from annotation.services.log_check import verify
from annotation.services.projects import create_project
from feedback.models import AnswerSpread, Conversation, Event, Handover, HandoverRule, ReadingLog
from feedback.services import handover, handover_rules, rollups
from tests.feedback.talks import react, talk

pytestmark = pytest.mark.django_db
REST = "/api/projects/demo/handovers/"
OLD = timedelta(hours=2)


@pytest.fixture
def target(served) -> Project:
    return create_project(slug="judge", kinds=["critique", "pairwise"])


def hand(client, *talks, kind="critique", preview=False):
    body = {
        "conversations": [str(one.pk) for one in talks], "target": "judge", "kind": kind,
        "preview": preview,
    }  # fmt: skip
    return client.post(REST, body, format="json")


def test_a_conversation_becomes_a_masked_task_and_never_twice(served, target, remy, api):
    one = talk(
        served,
        ["My name is Anna, anna@x.example", "Mail anna@x.example or bob@x.example?"],
        ["Hello Anna!"],
    )
    client = api(remy, "research")
    shown = hand(client, one, preview=True)
    assert Task.objects.count() == 0
    prompt = shown.json()["tasks"][0]["prompt"]
    sent = hand(client, one)
    assert sent.status_code == 201, sent.content
    task = Task.objects.get(project=target)
    assert task.prompt == prompt
    assert [turn["content"] for turn in task.prompt] == [
        "My name is [NAME_1], [EMAIL_1]", "Hello [NAME_1]!", "Mail [EMAIL_1] or [EMAIL_2]?",
    ]  # fmt: skip
    candidate = task.candidates.get()
    assert candidate.content == "Hello [NAME_1]!"
    assert candidate.model_version == served.model_version
    assert shown.json()["tasks"][0]["marks"] == {"NAME": 3, "EMAIL": 3}
    again = hand(client, one)
    assert again.json()["sent"] == []
    assert again.json()["left_out"][0]["why"] == "the project has it already"
    assert Task.objects.count() == 1
    assert set(ReadingLog.objects.values_list("action", flat=True)) == {"previewed", "sent"}


def test_what_cannot_be_sent_says_why(served, target, remy, api):
    client = api(remy, "research")
    closed = talk(served, ["secret"], ["well"], consent=False)
    alone = talk(served, ["one answer"], ["yes"])
    same = talk(served, ["same twice"], ["yes", "yes"])
    several = talk(served, ["two answers"], ["yes", "no", "maybe"])
    told = hand(client, closed, alone, same, several, kind="pairwise").json()
    why = {one["conversation"]: one["why"] for one in told["left_out"]}
    assert why[str(closed.pk)] == "there is no consent"
    assert "one answer only" in why[str(alone.pk)]
    assert "one answer only" in why[str(same.pk)]
    assert [one["conversation"] for one in told["sent"]] == [str(several.pk)]
    contents = Task.objects.get().candidates.values_list("content", flat=True)
    assert list(contents) == ["maybe", "no"]
    refused = hand(client, alone, kind="span")
    assert refused.status_code == 400
    assert "cannot ask 'span'" in refused.json()["detail"]


def test_the_answer_that_was_reported_is_the_one_to_be_judged(served, target, remy, api):
    one = talk(served, ["first?", "second?"], ["one"])
    first = one.messages.filter(role="assistant").first()
    react(one, "love")
    react(one, "", kind="report", message=first)
    hand(api(remy, "research"), one)
    assert [turn["content"] for turn in Task.objects.get().prompt] == ["first?"]


def test_deleting_a_conversation_reaches_the_tasks_nobody_has_judged(
    served, target, remy, alice, ben, api, guest
):
    Membership.objects.create(project=target, user=alice)
    client = api(remy, "research")
    fresh, held, judged = (talk(served, [f"question {n}"], ["yes"], owner=ben) for n in "abc")
    tasks = {}
    for one in (judged, held, fresh):
        hand(client, one)
        tasks[one] = Handover.objects.get(conversation=one).task
    first = queue.claim(project="judge", by=alice)
    assert first.task == tasks[judged]
    queue.submit(assignment_id=first.pk, by=alice, body={"critique": "too short"}, key="k")
    second = queue.claim(project="judge", by=alice)
    assert second.task == tasks[held]
    browser = api(ben, "feedback")
    for one in (fresh, held, judged):
        assert browser.delete(f"/api/conversations/{one.pk}/").status_code == 204
    left = dict(Task.objects.values_list("pk", "state"))
    assert left == {tasks[judged].pk: "done", tasks[held].pk: "withdrawn"}
    assert queue.claim(project="judge", by=alice) in (None, second)
    queue.release(assignment_id=second.pk, by=alice)
    assert handover.settle() == {"erased": 1, "withdrawn": 0}
    assert list(Task.objects.all()) == [tasks[judged]]
    assert not Conversation.objects.exists()


def test_taking_consent_back_takes_the_task_back(served, target, remy, ben, api):
    one = talk(served, ["question"], ["yes"], owner=ben)
    hand(api(remy, "research"), one)
    api(ben, "feedback").patch(f"/api/conversations/{one.pk}/", {"consent": False}, format="json")
    assert not Task.objects.exists()
    assert verify().intact


def rule(target, **fields) -> HandoverRule:
    return HandoverRule.objects.create(
        project=Project.objects.get(slug="demo"), target=target, kind="critique", **fields
    )


def test_rules_find_the_disliked_the_reported_and_the_disputed(served, target):
    good, bad, reported, disputed = (
        talk(served, [f"question {n}"], ["yes"], guest=str(n) * 32, ago=OLD) for n in range(4)
    )
    fresh = talk(served, ["just now"], ["yes"])
    react(good, "love")
    for one in (bad, fresh):
        react(one, "dislike")
    react(reported, "", kind="report")
    rollups.fold()
    for one, spread in ((disputed, 2.0), (good, 0.1)):
        AnswerSpread.objects.create(
            message=one.leaf, spread=spread, reward_model=served.model_version
        )
    wanted = {"low-love": [bad], "reported": [reported], "disagreement": [disputed]}
    for pick, found in wanted.items():
        one = rule(target, pick=pick)
        assert handover_rules.waiting(one) == [each.pk for each in found], pick
        assert [each.conversation for each in handover_rules.run(one).sent] == found
        assert handover_rules.run(one).sent == []
    assert set(Task.objects.values_list("metadata__why", flat=True)) == set(wanted)
    project = Project.objects.get(slug="demo")
    assert "disagreement" in dict(handover_rules.picks_for(project))
    AnswerSpread.objects.all().delete()
    assert "disagreement" not in dict(handover_rules.picks_for(project))


def test_a_rule_keeps_to_its_share_and_its_day(served, target):
    for n in range(40):
        talk(served, [f"question {n}"], ["yes"], ago=OLD)
    half = rule(target, pick="random", share=0.5, per_day=5)
    found = handover_rules.waiting(half)
    assert 8 <= len(found) <= 32
    assert found == handover_rules.waiting(half)
    assert len(handover_rules.run(half).sent) == 5
    assert len(handover_rules.run(half).sent) == 0
    later = timezone.now() + timedelta(days=1, minutes=1)
    assert len(handover_rules.run(half, now=later).sent) == min(5, len(found) - 5)
    half.is_active = False
    half.save()
    assert handover_rules.run_all() == 0


def test_a_rule_that_cannot_be_carried_out_stops_no_other(served, target):
    react(talk(served, ["question"], ["yes"], ago=OLD), "dislike")
    rollups.fold()
    broken = rule(target, pick="random", per_day=5)
    HandoverRule.objects.filter(pk=broken.pk).update(kind="triplet")
    rule(target, pick="low-love", per_day=5)
    assert handover_rules.run_all() == 1


def test_the_pages_show_the_marks_before_anything_is_sent(served, target, remy, signed_in):
    one = talk(served, ["Write to anna@x.example <b>now</b>"], ["yes"])
    browser = signed_in(remy)
    chosen = {"conversation": str(one.pk), "target": "judge:critique"}
    page = browser.post("/console/demo/conversations/preview/", chosen).content.decode()
    assert '<mark class="mark">[EMAIL_1]</mark> &lt;b&gt;now' in page
    assert "EMAIL × 1" in page
    assert "anna@x.example" not in page
    browser.post("/console/demo/conversations/send/", chosen)
    assert Handover.objects.get().by == remy
    page = browser.get("/console/demo/conversations/").content.decode()
    assert "1 conversation became a task." in page
    assert "→ judge" in page
    made = {"action": "create", "target": "judge:critique", "pick": "random", "share": "10"}
    page = browser.post("/console/demo/conversations/rules/", made, follow=True).content.decode()
    assert "Random control" in page
    found = HandoverRule.objects.get()
    assert (found.share, found.per_day) == (0.1, 20)
    page = browser.post(
        "/console/demo/conversations/rules/", made | {"share": "0"}, follow=True
    ).content.decode()
    assert "must be above 0" in page
    browser.post("/console/demo/conversations/rules/", {"action": "pause", "rule": str(found.pk)})
    found.refresh_from_db()
    assert not found.is_active
    assert not Event.objects.exists()
