"""A canary beside the live policy: compared by what people do, promoted or taken back."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from alignment.models import Decision, Experiment
from alignment.services import experiments, releases
from alignment.tasks import watch_releases
from config.errors import Conflict, Invalid
from feedback.models import Conversation, Event, Message
from inference.models import Deployment
from inference.selectors import live_policy
from inference.services import registry

RULES = {"min_conversations": 30, "window_s": 60, "quick_s": 20, "slow_ms": 2000}
WHY = {"reason": "try it"}


@pytest.fixture
def second(policy, tmp_path):
    """Another policy."""
    folder = tmp_path / "second"
    folder.mkdir()
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    weights = len(header).to_bytes(8, "little") + header + b"\1\0\0\0"
    (folder / "model.safetensors").write_bytes(weights)
    return registry.register(name="second", kind="policy", location=folder, parent=policy)


@pytest.fixture
def tried(project, second, remy) -> Experiment:
    """The second policy on a third of the conversations."""
    return releases.canary(
        project=project, model=second, weight=333, by=remy, reason="try it", rules=RULES
    )


def talk(experiment: Experiment, arm: str, count: int, *, loved=0, disliked=0, failed=0, slow=0):
    """Conversations of an arm; so many of them are loved, disliked, fail, or wait."""
    deployment = getattr(experiment, arm)
    talks = Conversation.objects.bulk_create(
        Conversation(project=experiment.project, guest=uuid4().hex, deployment=deployment)
        for _ in range(count)
    )
    answers = Message.objects.bulk_create(
        Message(
            conversation=one,
            role="assistant",
            text="Yes." if n >= failed else "",
            state="complete" if n >= failed else "failed",
            model_version=deployment.model_version,
            deployment=deployment,
            first_token_ms=9000 if count - slow <= n else 100,
        )
        for n, one in enumerate(talks)
    )
    for reaction, share in (("love", loved), ("dislike", disliked)):
        Event.objects.bulk_create(
            Event(client_event=uuid4(), kind="reaction", reaction=reaction, message=one, guest="g")
            for one in answers[:share]
        )
    return answers


def look(experiment: Experiment, *, after: int = 70) -> str:
    return experiments.look(experiment.pk, now=timezone.now() + timedelta(seconds=after))


def test_a_canary_that_people_love_more_is_promoted_with_its_numbers_on_record(tried):
    talk(tried, "control", 200, loved=20)
    talk(tried, "candidate", 100, loved=60)
    assert look(tried) == "promote"
    tried.refresh_from_db()
    assert tried.state == "promoted"
    assert live_policy(project="taste").name == "second"
    assert not Deployment.objects.filter(arm="canary", state="serving").exists()
    decision = Decision.objects.filter(action="promote").get()
    assert decision.by is None
    assert decision.numbers["counts"]["candidate"]["loved"] == 60
    assert decision.numbers["measures"]["loved"]["low"] > 0


@pytest.mark.parametrize("harm", [{"disliked": 40}, {"failed": 30}, {"slow": 40}])
def test_a_canary_that_does_harm_is_rolled_back_by_the_watch(tried, harm):
    talk(tried, "control", 120)
    talk(tried, "candidate", 60, **harm)
    assert look(tried) == "rollback"
    assert live_policy(project="taste").name == "first"
    assert Deployment.objects.get(arm="live", state="serving").weight == 1000
    decision = Decision.objects.filter(action="rollback").get()
    assert decision.model.name == "second"
    assert "worse" in decision.reason


def test_failures_are_acted_on_before_reactions_have_settled(tried):
    talk(tried, "control", 120)
    talk(tried, "candidate", 60, failed=30)
    assert look(tried, after=25) == "rollback"


def test_nothing_is_decided_on_what_has_not_settled_and_nothing_counts_twice(tried):
    talk(tried, "control", 200, loved=20)
    talk(tried, "candidate", 100, loved=60)
    assert look(tried, after=5) == "wait"
    tried.refresh_from_db()
    assert tried.counts["candidate"]["n"] == 0
    tried.rules |= {"promote": "never"}
    tried.save()
    for seconds in (70, 90, 200):
        assert look(tried, after=seconds) == "wait"
    tried.refresh_from_db()
    assert (tried.counts["control"]["n"], tried.counts["candidate"]["n"]) == (200, 100)
    assert tried.counts["candidate"]["loved"] == 60
    assert len(tried.path) == 2


def test_a_love_taken_back_in_time_and_one_of_a_later_day_do_not_count(tried):
    answers = talk(tried, "candidate", 10, loved=3)
    Event.objects.create(
        client_event=uuid4(), kind="retraction", reaction="love", message=answers[0], guest="g"
    )
    yesterday = timezone.now() - timedelta(days=1)
    Conversation.objects.filter(pk=answers[1].conversation_id).update(created_at=yesterday)
    tried.counted_until = yesterday - timedelta(hours=1)
    tried.save()
    look(tried)
    tried.refresh_from_db()
    # Of yesterday's conversation nothing happened in its time, not even an answer.
    assert (tried.counts["candidate"]["n"], tried.counts["candidate"]["loved"]) == (9, 1)


def test_arms_that_are_not_dealt_as_meant_halt_the_comparison(tried):
    talk(tried, "control", 100, loved=10)
    talk(tried, "candidate", 250, loved=180)
    assert look(tried) == "halt"
    look(tried, after=80)
    tried.refresh_from_db()
    assert tried.halted
    assert tried.state == "running"
    assert Decision.objects.filter(action="halt").count() == 1
    assert live_policy(project="taste").name == "first"


def test_a_person_promotes_or_retires_and_the_comparison_ends(tried, project, second, remy):
    releases.retire(project=project, model=second, by=remy, **WHY)
    tried.refresh_from_db()
    assert tried.state == "retired"
    assert Decision.objects.filter(action="retire", by=remy).exists()
    with pytest.raises(Conflict, match="neither a canary nor held out"):
        releases.retire(project=project, model=second, by=remy, **WHY)
    again = releases.canary(project=project, model=second, weight=100, by=remy, **WHY)
    releases.promote(project=project, model=second, by=remy, **WHY)
    again.refresh_from_db()
    assert again.state == "promoted"
    assert live_policy(project="taste").name == "second"


def test_the_hold_out_keeps_its_share_beside_a_canary(tried, project, policy, remy):
    releases.hold_out(project=project, model=policy, weight=50, by=remy, **WHY)
    weights = dict(Deployment.objects.filter(state="serving").values_list("arm", "weight"))
    assert weights == {"canary": 333, "holdout": 50, "live": 617}


@pytest.mark.parametrize("weight", [0, 501, True, 2.5])
def test_a_share_that_leaves_the_live_policy_too_little_is_refused(project, second, remy, weight):
    with pytest.raises(Invalid):
        releases.canary(project=project, model=second, weight=weight, by=remy, **WHY)


def test_the_watch_looks_at_running_comparisons_only(tried, project, second, remy):
    assert experiments.watch() == {"wait": 1}
    releases.retire(project=project, model=second, by=remy, **WHY)
    watch_releases()
    assert experiments.watch() == {}


def test_a_comparison_that_ended_during_a_look_stays_ended_and_nothing_is_done(tried, monkeypatch):
    real = experiments._count

    def ended_meanwhile(experiment, now):
        experiments.end(Experiment.objects.get(pk=tried.pk), Experiment.State.RETIRED)
        real(experiment, now)

    monkeypatch.setattr(experiments, "_count", ended_meanwhile)
    assert experiments.look(tried.pk) == "ended"
    tried.refresh_from_db()
    assert (tried.state, tried.ended_at is None) == ("retired", False)
