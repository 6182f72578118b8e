"""Signals: what is noted when it happens, and what browsers tell in batches."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback import live
from feedback.models import Conversation, Event, Message
from feedback.people import Person
from feedback.services import chat, hindsight, signals
from inference.models import Deployment

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def answered(served):
    """`answered(person)` -> a conversation with one question and its complete answer."""

    def make(user, *, consent=True) -> Message:
        person = Person(user=user)
        home = chat.begin(person=person, consent=consent)
        turn = chat.send(person=person, conversation_id=home.pk, text="How long?")
        chat.finish(turn.answer.pk, text="Eight minutes.", state="complete")
        return Message.objects.get(pk=turn.answer.pk)

    return make


def event(message, kind="copy", **more) -> dict:
    return {"id": str(uuid.uuid4()), "kind": kind, "message": str(message.pk), **more}


def post(client, *told) -> list[dict]:
    response = client.post("/api/events/", {"events": list(told)}, format="json")
    assert response.status_code == 200, response.content
    return response.json()["results"]


def test_a_batch_told_twice_is_stored_once(alice, api, answered):
    answer = answered(alice)
    told = [
        event(answer),
        event(answer, "exposure", share_seen=0.75, client_time="2026-01-02T03:04:05Z"),
        event(answer, "dwell", duration_ms=4200),
        event(answer, "reaction", reaction="love"),
    ]
    client = api(alice)
    assert [one["state"] for one in post(client, *told)] == ["stored"] * 4
    assert [one["state"] for one in post(client, *told)] == ["known"] * 4
    seen = Event.objects.get(kind="exposure")
    assert (seen.share_seen, seen.client_time.year) == (0.75, 2026)
    assert seen.server_time > seen.client_time
    assert Event.objects.get(kind="dwell").duration_ms == 4200
    assert Event.objects.count() == 4


def test_every_event_leads_to_its_model_and_its_arm(alice, api, answered, served):
    answer = answered(alice)
    post(api(alice), event(answer))
    stored = Event.objects.select_related("message__deployment", "message__model_version").get()
    assert stored.message.model_version == served.model_version
    assert stored.message.deployment.arm == Deployment.Arm.LIVE


def test_one_bad_event_does_not_hold_up_the_others(alice, ben, api, answered):
    mine, others = answered(alice), answered(ben)
    question = Message.objects.get(pk=mine.parent_id)
    used = event(mine)
    results = post(
        api(alice),
        used,
        event(others),
        event(question),
        {**event(mine), "kind": "dance"},
        {**event(mine), "id": "nonsense"},
        event(mine, "dwell"),
        event(mine, "dwell", duration_ms=-1),
        event(mine, "copy", duration_ms=5),
        event(mine, "exposure", share_seen=1.5),
        event(mine, "reaction", reaction="hate"),
        event(mine, "hindsight", reaction="love"),
        event(mine, "report"),
        event(mine, "report", reasons=["a\x00b"]),
        event(mine, "copy", reaction="x" * 30),
        event(mine, "copy", reasons={"a": 1}),
        event(mine, "copy", comment=5),
        event(mine, "copy", client_time="yesterday"),
        event(mine, "copy", client_time="2026-01-31T12:00:00"),
        {**event(mine), "message": 5},
        {**used, "kind": "exposure"},
        "nonsense",
        event(mine, "report", reasons=["unsafe"], comment="It is not safe."),
    )
    assert [one["state"] for one in results] == ["stored", *["refused"] * 20, "stored"]
    assert all(one["detail"] for one in results[1:-1])
    assert sorted(Event.objects.values_list("kind", flat=True)) == ["copy", "report"]


@pytest.mark.parametrize("body", [{}, {"events": []}, {"events": 5}, {"events": [{}] * 201}, []])
def test_a_batch_that_cannot_be_read_is_refused_whole(alice, api, answered, body):
    assert api(alice).post("/api/events/", body, format="json").status_code == 400
    assert not Event.objects.exists()


def test_strangers_tell_nothing(api, answered, alice):
    told = {"events": [event(answered(alice))]}
    assert api().post("/api/events/", told, format="json").status_code == 401
    assert api(alice, "annotate").post("/api/events/", told, format="json").status_code == 403


def test_an_id_lost_to_another_event_at_the_same_moment_is_not_called_stored(
    alice, answered, monkeypatch
):
    answer, person = answered(alice), Person(user=alice)
    mine = signals.Signal(uuid.uuid4(), "copy", answer.pk)
    checked = signals.checked

    def meanwhile(signal) -> None:
        """Between the look for known ids and the storing, the id is used for something else."""
        checked(signal)
        Event.objects.create(
            client_event=mine.client_event, kind="report", reasons=["false"], message=answer,
            actor=alice,
        )  # fmt: skip

    monkeypatch.setattr(signals, "checked", meanwhile)
    (outcome,) = signals.record_many(person=person, signals=[mine])
    assert (outcome.state, outcome.detail) == ("refused", signals.TAKEN)
    assert [one.kind for one in Event.objects.filter(client_event=mine.client_event)] == ["report"]


def test_a_batch_takes_few_queries_however_long(
    alice, api, answered, django_assert_max_num_queries
):
    answer = answered(alice)
    client = api(alice)
    with django_assert_max_num_queries(9):
        post(client, *[event(answer) for _ in range(200)])
    assert Event.objects.count() == 200


def test_a_reaction_told_in_a_batch_is_seen_in_open_windows(
    alice, api, answered, open_window, play
):
    answer = answered(alice)
    client = api(alice)

    async def scene():
        from feedback.threads import in_thread

        window, _ = await open_window(alice, answer.conversation_id)
        await in_thread(post, client, event(answer, "reaction", reaction="love"))
        return await window.until("reaction")

    assert play(scene())["reactions"] == ["love"]


def test_asking_on_asking_again_and_editing_are_noted_once_with_both_times(
    alice, served, begin, open_window, play
):
    conversation = begin(alice)
    clock = "2026-05-06T07:08:09+00:00"

    async def scene():
        window, _ = await open_window(alice, conversation)
        first = await window.answer("one")
        second = await window.answer("two", parent=first["id"], client_time=clock)
        await window.say("regenerate", message=second["id"], client_time=clock)
        third = (await window.until("done"))["message"]
        await window.say("edit", message=third["parent"], text="two!", client_time=clock)
        await window.until("done")
        return first["id"], second["id"], third["id"]

    first, second, third = play(scene())
    noted = Event.objects.values_list("kind", "message_id", "actor")
    assert list(noted) == [
        ("follow-up", uuid.UUID(first), alice.pk),
        ("regenerate", uuid.UUID(second), alice.pk),
        ("edit", uuid.UUID(third), alice.pk),
    ]
    assert {one.client_time.isoformat() for one in Event.objects.all()} == {clock}


def test_a_stop_is_noted_and_a_retry_after_a_failure_is_no_complaint(
    alice, served, engine_double, begin, open_window, play
):
    from tests.inference.double import DIE, Gate

    conversation = begin(alice)

    async def scene():
        window, _ = await open_window(alice, conversation)
        engine_double.says("as far as ", Gate(), "never")
        await window.say("send", text="Go", parent=None)
        delta = await window.until("delta")
        await window.say("stop", message=delta["message"])
        stopped = (await window.until("done"))["message"]
        await window.say("stop", message=stopped["id"])  # too late to mean anything
        engine_double.says("half", DIE)
        await window.say("regenerate", message=stopped["id"])
        failed = (await window.until("done"))["message"]
        engine_double.says("whole")
        await window.say("regenerate", message=failed["id"])
        await window.until("done")
        return stopped["id"]

    stopped = play(scene())
    assert live.Errors  # the store was there all along
    assert list(Event.objects.values_list("kind", "message_id")) == [
        ("stop", uuid.UUID(stopped)),
        ("regenerate", uuid.UUID(stopped)),
    ]


def ago(message: Message, **delta) -> None:
    Message.objects.filter(pk=message.pk).update(finished_at=timezone.now() - timedelta(**delta))


def test_an_answer_is_asked_about_later_and_at_most_once_in_a_while(alice, api, answered):
    person = Person(user=alice)
    early, late = answered(alice), answered(alice)
    assert hindsight.due(person=person) is None  # both are too fresh
    ago(early, days=2)
    assert hindsight.due(person=person) == early
    assert post(api(alice), event(early, "hindsight", reaction="misled"))[0]["state"] == "stored"
    ago(late, days=2)
    assert hindsight.due(person=person) is None  # asked just now
    ago(late, days=30)
    assert hindsight.due(person=person) is None
    assert Event.objects.get().reaction == "misled"


def test_nobody_is_asked_about_conversations_that_may_not_be_used(alice, answered):
    answer = answered(alice, consent=False)
    ago(answer, days=2)
    assert hindsight.due(person=Person(user=alice)) is None


def test_the_later_question_stands_on_the_page_of_a_new_chat(alice, answered, signed_in):
    answer = answered(alice)
    browser = signed_in(alice)
    assert str(answer.pk) not in browser.get("/").content.decode()
    ago(answer, days=2)
    assert f'data-message="{answer.pk}"' in browser.get("/").content.decode()


def test_reviewers_see_reported_answers_and_rule_once(alice, rita, api, answered, signed_in):
    answer = answered(alice)
    reason = event(answer, "report", reasons=["unsafe"], comment="<b>Bad</b> advice")
    post(api(alice), reason)
    assert signed_in(alice).get("/review/reports/").status_code == 403
    reviewer = signed_in(rita)
    page = reviewer.get("/review/reports/").content.decode()
    assert "Eight minutes." in page
    assert "How long?" in page
    assert "unsafe" in page
    assert "<b>Bad</b>" not in page
    assert "&lt;b&gt;Bad" in page
    assert alice.username not in page
    assert alice.pseudonym in page
    report = Event.objects.get()
    ruling = {"report": report.pk, "verdict": "upheld", "note": "Seen."}
    assert reviewer.post("/review/reports/", ruling).status_code == 302
    again = reviewer.post("/review/reports/", ruling, follow=True).content.decode()
    assert "already" in again
    report.refresh_from_db()
    assert (report.ruling.verdict, report.ruling.by, report.ruling.note) == (
        "upheld",
        rita,
        "Seen.",
    )


@pytest.mark.parametrize("body", [{"report": "x"}, {"report": "9" * 30}, {"report": "1"}, {}])
def test_a_ruling_on_no_report_is_not_found(rita, served, signed_in, body):
    body = {"verdict": "upheld", **body}
    assert signed_in(rita).post("/review/reports/", body).status_code == 404


def test_a_ruling_in_other_words_is_refused(alice, rita, api, answered, signed_in):
    post(api(alice), event(answered(alice), "report", reasons=["unsafe"]))
    body = {"report": Event.objects.get().pk, "verdict": "maybe"}
    page = signed_in(rita).post("/review/reports/", body, follow=True).content.decode()
    assert "Uphold the report or dismiss it." in page
    assert Conversation.objects.count() == 1
