"""Rules: rounds that begin by themselves, and why one did not."""

from datetime import UTC, datetime, time, timedelta

import numpy as np
import pytest
from django.utils import timezone

from alignment.models import Firing, Round
from alignment.services import snapshots, triggers
from alignment.stats.drift import energy_shift
from annotation.services.tasks import create_tasks
from config.errors import Invalid
from tests.alignment.judging import judged_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def rule(judged, sent):
    return triggers.change(project=judged, enabled=True, new_judgments=100)


def end_round(turn: Round) -> None:
    turn.snapshot = snapshots.take(project=turn.project)
    turn.state = Round.State.REFUSED
    turn.finished_at = timezone.now()
    turn.save()


def test_enough_new_judgments_begin_a_round_and_old_ones_do_not_count_again(rule, judged):
    turn = triggers.check(rule)
    assert (turn.trigger, turn.state) == ("judgments", "queued")
    assert Firing.objects.get().numbers == {"new": 150, "wanted": 100}
    end_round(turn)
    assert triggers.check(rule) is None
    assert Firing.objects.count() == 1
    more = [judged_task(1000 + n, by="p-one") for n in range(100)]
    create_tasks(project=judged, tasks=more)
    assert triggers.check(rule).number == 2


def test_a_rule_that_cannot_be_looked_at_is_passed_over(rule, monkeypatch):
    monkeypatch.setattr(triggers, "_holding", lambda rule, now: 1 / 0)
    assert triggers.check_all() == 0


def test_a_refusal_says_why_once_however_often_it_is_asked(rule):
    triggers.check(rule)
    assert triggers.check(rule) is None
    assert triggers.check(rule) is None
    refused = Firing.objects.get(round=None)
    assert (refused.refused, refused.times) == ("Round 1 is under way.", 2)


@pytest.mark.parametrize(
    ("hours", "at", "quiet"),
    [
        ((22, 6), 23, True),
        ((22, 6), 5, True),
        ((22, 6), 6, False),
        ((9, 17), 12, True),
        ((9, 17), 20, False),
    ],
)
def test_nothing_begins_in_quiet_hours(rule, judged, hours, at, quiet):
    start, end = (time(hour) for hour in hours)
    triggers.change(project=judged, quiet_from=start, quiet_until=end)
    judged.rule.refresh_from_db()
    turn = triggers.check(judged.rule, now=datetime(2026, 3, 2, at, 0, tzinfo=UTC))
    assert (turn is None) == quiet


def test_the_budget_of_the_day_is_kept(rule, judged):
    triggers.change(project=judged, rounds_a_day=1, new_judgments=1)
    judged.rule.refresh_from_db()
    end_round(triggers.check(judged.rule))
    create_tasks(project=judged, tasks=[judged_task(1000, by="p-one")])
    assert triggers.check(judged.rule) is None
    assert "1 of 1 rounds" in Firing.objects.get(round=None).refused
    tomorrow = timezone.now() + timedelta(days=1)
    assert triggers.check(judged.rule, now=tomorrow) is not None


def test_a_clock_begins_a_round_at_its_minute_and_once(judged, sent):
    rule = triggers.change(project=judged, enabled=True, cron="30 3 * * *", time_zone="Asia/Tokyo")
    type(rule).objects.update(changed_at=datetime(2026, 3, 1, tzinfo=UTC))
    rule.refresh_from_db()
    # half past three in Tokyo is 18:30 UTC the day before
    assert triggers.check(rule, now=datetime(2026, 3, 1, 18, 29, tzinfo=UTC)) is None
    assert triggers.check(rule, now=datetime(2026, 3, 1, 18, 31, tzinfo=UTC)).trigger == "cron"


def test_drift_begins_a_round_only_beyond_what_is_allowed(judged, sent):
    rule = triggers.change(project=judged, enabled=True, accuracy_drop=0.05, prompt_shift=0.01)
    rule.measured = {"accuracy_before": 0.8, "accuracy_now": 0.76, "prompt_p": 0.2}
    rule.measured_at = timezone.now()
    assert triggers.check(rule) is None
    rule.measured["accuracy_now"] = 0.74
    assert triggers.check(rule).trigger == "accuracy"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cron", "61 * * * *"),
        ("cron", "every day"),
        ("time_zone", "Mars"),
        ("accuracy_drop", 2.0),
        ("rounds_a_day", 0),
        ("config", {"recipe": "none"}),
        ("wish", 1),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(judged, field, value):
    with pytest.raises(Invalid) as refused:
        triggers.change(project=judged, **{field: value})
    assert field in refused.value.fields


def test_a_researcher_sees_and_edits_the_rule_and_what_came_of_it(rule, judged, remy, signed_in):
    triggers.check(rule)
    browser = signed_in(remy)
    page = browser.get("/console/taste/rule/")
    assert page.status_code == 200
    assert b"Round 1" in page.content
    form = {"enabled": "on", "new_judgments": "7", "rounds_a_day": "2", "cron": "0 4 * * 1-5"}
    assert browser.post("/console/taste/rule/", form).status_code == 302
    judged.rule.refresh_from_db()
    assert (judged.rule.new_judgments, judged.rule.cron) == (7, "0 4 * * 1-5")
    wrong = browser.post("/console/taste/rule/", form | {"cron": "soon"})
    assert wrong.status_code == 400
    assert b"five fields" in wrong.content


def test_two_snapshots_are_compared_and_described(judged, remy, signed_in):
    first = snapshots.take(project=judged)
    create_tasks(project=judged, tasks=[judged_task(1000, by="p-new")])
    second = snapshots.take(project=judged)
    browser = signed_in(remy)
    page = browser.get("/console/taste/data/compare/")
    told = page.context["found"]["kinds"]["preference"]
    assert (told["before"], told["after"]) == (150, 151)
    assert [told[name]["records"] for name in ("added", "removed", "changed")] == [1, 0, 0]
    sheet = browser.get(f"/console/taste/data/{second.pk}/datasheet.json").json()
    assert sheet["records"]["preference"]["records"] == 151
    text = browser.get(f"/console/taste/data/{first.pk}/datasheet.md")
    assert text.content.decode().startswith(f"# Snapshot {first.digest[:12]}")
    assert browser.get("/console/taste/data/compare/?before=x&after=y").status_code == 404


def test_embeddings_that_moved_are_told_from_those_that_did_not():
    rng = np.random.default_rng(0)
    before = rng.normal(size=(80, 8))
    assert energy_shift(before, rng.normal(size=(60, 8))).p > 0.05
    assert energy_shift(before, rng.normal(size=(60, 8)) + 0.5).p < 0.01
    # two points against two: 2 * 1 - 0 - 0
    assert energy_shift(np.zeros((2, 1)), np.ones((2, 1))).distance == pytest.approx(2.0)
