"""The counts of dashboards: in step with the event stream, whatever is repeated or taken back."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from feedback.models import (
    AnswerTally,
    Battle,
    Conversation,
    Event,
    Message,
    ReactionTrust,
    Rollup,
    RollupDirty,
    RollupLatency,
    RollupPerson,
    Vote,
)
from feedback.people import Person
from feedback.services import own_data, rollups, signals
from feedback.services.rollup_sql import MEASURES

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def answer(served):
    """`answer(guest="a" * 32)` -> an ended answer of the served model, first token at 100 ms."""

    def make(*, guest="a" * 32, state="complete", source="chat", ago=timedelta(0), **values):
        talk = Conversation.objects.create(
            project_id=_project(), guest=guest, source=source, deployment=served
        )
        return Message.objects.create(
            conversation=talk,
            role="assistant",
            text="Paris.",
            state=state,
            model_version=served.model_version,
            deployment=served,
            finished_at=timezone.now() - ago,
            **{"first_token_ms": 100, "duration_ms": 600, "completion_tokens": 20} | values,
        )

    return make


def _project():
    from annotation.models import Project

    return Project.objects.get(slug="demo").pk


def _tell(message, kind="reaction", reaction="", **values):
    signal = signals.Signal(uuid.uuid4(), kind, message.pk, reaction, **values)
    signals.record(person=Person(guest=message.conversation.guest), signal=signal)
    return signal


def _now(**options):
    rollups.fold()
    since = timezone.now() - HOUR
    (found,) = rollups.totals(project_ids=[_project()], since=since, **options)
    return found


def _everything():
    names = ["project_id", "model_version_id", "arm", "source", "grain", "start"]
    kept = {
        "counts": Rollup.objects.exclude(answers=0).values_list(*names, *MEASURES),
        "latency": RollupLatency.objects.exclude(n=0).values_list(*names, "what", "bucket", "n"),
        "people": RollupPerson.objects.values_list(*names, "person", "n"),
        "tallies": AnswerTally.objects.values_list("message", "person", "at", *MEASURES),
    }
    return {name: sorted(map(repr, rows)) for name, rows in kept.items()}


def test_an_answer_counts_once_however_often_it_is_reacted_to_and_folded(answer):
    one, two = answer(), answer(guest="b" * 32)
    for reaction in ("love", "love", "like"):
        _tell(one, reaction=reaction)
    _tell(two, reaction="dislike")
    _tell(two, "exposure", duration_ms=900, share_seen=1.0)
    _tell(two, "exposure", duration_ms=100, share_seen=1.0)
    found = _now()
    again = _now()
    assert found.sums == again.sums
    wanted = {"answers": 2, "love": 1, "like": 1, "good": 1, "dislike": 1, "bad": 1, "shown": 1,
              "reacted": 2, "complained": 1, "reported": 0, "dwell_ms": 1000, "timed": 2,
              "first_ms": 200, "whole_ms": 1200, "completion_tokens": 40}  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    assert found.tokens_per_s == pytest.approx(40)
    assert not RollupDirty.objects.exists()


def test_what_is_taken_back_is_counted_no_more(answer):
    one = answer()
    _tell(one, reaction="love")
    assert _now()["love"] == 1
    _tell(one, "retraction", "love")
    found = _now()
    assert (found["love"], found["good"], found["reacted"], found["good_milli"]) == (0, 0, 0, 0)
    assert found["answers"] == 1


def test_a_reaction_weighs_what_trust_leaves_of_it_and_is_counted_anyway(answer):
    one = answer()
    _tell(one, reaction="love")
    assert _now()["good_milli"] == 1000
    ReactionTrust.objects.create(event=Event.objects.get(kind="reaction"), weight=0.25)
    found = _now()
    assert (found["love"], found["good_milli"]) == (1, 250)


def test_the_counts_of_what_a_person_deletes_go_too(answer):
    mine, other = answer(), answer(guest="b" * 32)
    _tell(mine, reaction="love")
    _tell(other, reaction="like")
    assert _now()["answers"] == 2
    own_data.erase(person=Person(guest="a" * 32))
    found = _now()
    assert (found["answers"], found["love"], found["like"], found["first_ms"]) == (1, 0, 1, 100)
    assert RollupPerson.objects.values("person").distinct().count() == 1
    assert AnswerTally.objects.count() == 1


def test_a_vote_counts_for_both_answers_and_once_as_a_vote(answer, served):
    left = answer(source="side")
    right = Message.objects.create(
        conversation=left.conversation, role="assistant", text="Rome.", state="complete",
        model_version=served.model_version, deployment=served, finished_at=timezone.now(),
    )  # fmt: skip
    question = Message.objects.create(conversation=left.conversation, role="user", text="Where?")
    battle = Battle.objects.create(
        conversation=left.conversation, question=question, left=left, right=right
    )
    assert _now().votes == 0
    Vote.objects.create(
        battle=battle, outcome="right", client_event=uuid.uuid4(), style_left=[0] * 4,
        style_right=[0] * 4,
    )  # fmt: skip
    found = _now()
    assert (found["wins"], found["losses"], found["ties"], found.votes) == (1, 1, 0, 1)


def test_people_are_counted_once_by_the_hour_and_by_the_week(answer):
    for ago in (timedelta(0), timedelta(minutes=20), timedelta(hours=5), timedelta(days=3)):
        answer(ago=ago)
    answer(guest="b" * 32, ago=timedelta(days=3))
    rollups.fold()
    now = timezone.now()
    counted = [
        rollups.people(project_ids=[_project()], since=now - span)[()]
        for span in (HOUR, timedelta(days=1), timedelta(days=7))
    ]
    assert counted == [1, 1, 2]


def test_times_are_told_by_quantile_within_the_width_of_a_bucket(answer):
    for ms in range(50, 1050, 50):
        answer(first_token_ms=ms, duration_ms=ms * 3)
    rollups.fold()
    since = timezone.now() - HOUR
    told = rollups.latencies(what="first", project_ids=[_project()], since=since)[()]
    assert told.n == 20
    for q, true in ((0.5, 525), (0.95, 975)):
        assert told.quantile(q) == pytest.approx(true, rel=0.19)
    assert rollups.latencies(what="whole", project_ids=[], since=since) == {}


def test_keys_tell_versions_arms_and_doors_apart(answer, served):
    for source in ("chat", "chat", "api"):
        answer(source=source)
    answer(source="api", state="failed", first_token_ms=None)
    rollups.fold()
    since = timezone.now() - HOUR
    told = rollups.totals(
        project_ids=[_project()], since=since, by=("model_version", "arm", "source")
    )
    version = served.model_version_id
    assert [(one.key, one["answers"], one.ready) for one in told] == [
        ((version, "live", "api"), 2, 1),
        ((version, "live", "chat"), 2, 2),
    ]
    (hour,) = rollups.series(
        project_ids=[_project()], since=timezone.now() - timedelta(days=1), source="chat"
    )
    assert (hour["answers"], hour.start.minute) == (2, 0)


def test_counting_anew_gives_the_same_counts(answer):
    rows = [answer(guest=letter * 32, ago=timedelta(hours=7 * n)) for n, letter in enumerate("abc")]
    for row in rows:
        _tell(row, reaction="love")
        _tell(row, "report", reasons=["wrong"])
    _tell(rows[0], "retraction", "love")
    rollups.fold(batch=2)
    before = _everything()
    Rollup.objects.update(love=99)
    assert rollups.rebuild(batch=2) == 3
    assert _everything() == before
    assert len(before["tallies"]) == 3


def test_late_reactions_are_added_to_the_time_of_the_answer(answer):
    old = answer(ago=timedelta(days=9))
    rollups.fold()
    _tell(old, reaction="love")
    rollups.fold()
    assert list(Rollup.objects.filter(love=1).values_list("grain", flat=True).order_by("grain")) \
        == ["day", "hour"]  # fmt: skip


def test_a_share_has_the_score_interval():
    assert rollups.wilson(0, 0) is None
    share, low, high = rollups.wilson(8, 10)
    assert (share, low, high) == pytest.approx((0.8, 0.49016, 0.94331), abs=1e-4)


@pytest.mark.django_db(transaction=True)
def test_while_one_process_folds_another_leaves_it_alone(answer):
    import psycopg

    answer()
    settings = connection.settings_dict
    with psycopg.connect(
        host=settings["HOST"], dbname=settings["NAME"], user=settings["USER"],
        password=settings["PASSWORD"] or None, port=settings["PORT"] or None,
    ) as other:  # fmt: skip
        other.execute("SELECT pg_advisory_xact_lock(%s)", [rollups.LOCK])
        assert rollups.fold() == 0
        assert RollupDirty.objects.count() == 1
    assert rollups.fold() == 1
