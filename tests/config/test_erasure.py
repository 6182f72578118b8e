"""Erasing a person: gone from every table, whatever becomes of the judgments, and the log holds."""

import json

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import call_command

from annotation.models import Draft, Judgment, LogEntry, Membership, Note, Task
from annotation.services import log_check, queue, review
from config import erasure
from config.errors import Conflict, Invalid
from config.models import AccessKey, User
from feedback.models import Conversation
from feedback.people import Person
from feedback.services import chat
from tests.annotation.conftest import claim, fill, project, submit  # noqa: F401

pytestmark = pytest.mark.django_db

SECRETS = ("alice", "alice@example.org", "Liddell", "because my cat says so")


@pytest.fixture
def worked(alice, ben, adam, fill, claim, submit):  # noqa: F811
    """alice and ben judged two tasks; alice explained herself, drafted, and wrote a chat."""
    alice.email, alice.last_name = "alice@example.org", "Liddell"
    alice.save()
    tasks = fill(3, overlap=2)
    for person in (alice, ben):
        for _ in range(2):
            held = claim(person)
            submit(held, outcome="preferred", preferred=held.shown[0],
                   rationale="because my cat says so" if person == alice else "short")  # fmt: skip
    held = claim(alice)
    queue.save_draft(assignment_id=held.pk, by=alice, body={"rationale": "because my cat says so"})
    review.write_note(project=tasks[0].project, to=alice, by=adam, text="Well done, Liddell.")
    AccessKey.objects.issue(user=alice, scopes=["annotate"])
    chat.begin(person=Person(user=alice), project="helpful")
    return tasks


def everything_stored() -> str:
    """Every row of the tables that know people, as text."""
    kept = [Judgment, Draft, Note, Membership, LogEntry, User, AccessKey, Conversation, Task]
    return json.dumps([list(model.objects.values()) for model in kept], default=str)


def test_kept_judgments_stand_under_a_new_name_without_a_word(worked, alice, adam):
    name = alice.pseudonym
    before = set(Judgment.objects.of(alice).values_list("pk", "pairwise__outcome"))
    told = erasure.erase_person(person=alice, judgments="keep", by=adam)
    assert (told["judgments"], told["texts"], told["conversations"], told["keys"]) == (2, 2, 1, 1)
    alice.refresh_from_db()
    assert alice.pseudonym != name
    assert not alice.is_active
    assert set(Judgment.objects.of(alice).values_list("pk", "pairwise__outcome")) == before
    said = everything_stored()
    assert not [secret for secret in SECRETS if secret in said]
    found = log_check.verify()
    assert found.intact, found.summary()


def test_withdrawn_judgments_are_deleted_and_their_places_free_again(worked, alice, ben, adam):
    erasure.erase_person(person=alice, judgments="withdraw", by=adam)
    assert not Judgment.objects.of(alice).exists()
    assert Judgment.objects.of(ben).count() == 2
    for task in Task.objects.all():
        assert (task.taken, task.done) == (task.judgments.count(), task.judgments.count())
        assert task.state == Task.State.OPEN
    assert log_check.verify().intact
    assert LogEntry.objects.filter(action="erased", subject="judgment").count() == 2


def test_an_erased_verdict_sends_the_task_back_to_the_reviewers(
    worked, make_user, rita, adam, alice
):
    task = worked[0]
    first = task.candidates.first().pk
    body = {"outcome": "preferred", "preferred": first}
    review.decide(task=task, by=rita, body=body)
    review.decide(task=task, by=make_user("rolf", "reviewer"), body=body)
    erasure.erase_person(person=User.objects.get(username="rolf"), judgments="withdraw", by=adam)
    task.refresh_from_db()
    assert task.adjudicated_at is None
    assert review.verdict_of(task) is None
    assert log_check.verify().intact


def test_nobody_else_may_and_one_administrator_remains(worked, alice, rita, adam):
    with pytest.raises(PermissionDenied):
        erasure.erase_person(person=alice, by=rita)
    with pytest.raises(Conflict):
        erasure.erase_person(person=adam, by=adam)
    with pytest.raises(Conflict):
        erasure.erase_person(person=adam)
    with pytest.raises(Invalid):
        erasure.erase_person(person=alice, judgments="burn", by=adam)
    erasure.erase_person(person=alice, by=adam)
    with pytest.raises(Conflict):
        erasure.erase_person(person=alice, by=adam)


def test_the_command_says_what_there_is_before_it_does_it(worked, alice, capsys):
    call_command("erase_person", "alice", json=True)
    would = json.loads(capsys.readouterr().out)
    assert (would["erased"], would["judgments"], would["drafts"]) == (False, 2, 1)
    assert User.objects.filter(username="alice").exists()
    call_command("erase_person", alice.pseudonym, judgments="withdraw", yes=True, json=True)
    assert json.loads(capsys.readouterr().out)["erased"] is True
    assert not User.objects.filter(username="alice").exists()


def test_the_page_and_the_call_want_the_name_once_more(worked, alice, adam, ben, api, signed_in):
    page = signed_in(adam)
    address = f"/manage/accounts/{alice.pk}/erase/"
    assert "judgments with words" in page.get(address).content.decode()
    refused = page.post(address, {"judgments": "keep", "confirm": "alicia"})
    assert refused.status_code == 400
    assert User.objects.filter(username="alice").exists()
    assert page.post(address, {"judgments": "keep", "confirm": "alice"}).status_code == 302
    assert not User.objects.filter(username="alice").exists()
    rest, address = api(adam), f"/api/people/{ben.pseudonym}/erasure/"
    assert rest.get(address).json()["would"]["judgments"] == 2
    assert rest.post(address, {"judgments": "keep"}, format="json").status_code == 400
    wish = {"judgments": "withdraw", "confirm": ben.pseudonym}
    assert api(adam, "research").post(address, wish, format="json").status_code == 403
    assert rest.post(address, wish, format="json").json()["erased"]["judgments"] == 2
    assert signed_in(alice).get(f"/manage/accounts/{adam.pk}/erase/").status_code in (302, 403)
