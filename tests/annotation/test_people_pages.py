"""People in the browser: members, links, one's own work, accounts and keys."""

import re

import pytest

from annotation.models import Assignment, Invite, Judgment, Membership, Note
from annotation.services import people, projects
from config.models import SCOPES, AccessKey, Role, User

pytestmark = pytest.mark.django_db

GOOD = "a long enough phrase"


def html(answer) -> str:
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


@pytest.fixture
def desk(remy, signed_in, project):
    return signed_in(remy)


def link_in(text: str) -> str:
    return re.search(r"http://testserver(/join/[\w-]+/)", text)[1]


# Members ------------------------------------------------------------------------------------


def test_the_table_says_what_each_person_did(desk, project, fill, alice, ben, claim, submit):
    fill(3)
    submit(claim(alice))
    submit(claim(alice))
    Membership.objects.filter(user=ben).update(skills=["lang:ar", "medicine"], is_paused=True)
    text = html(desk.get(f"/manage/projects/{project.slug}/people/"))
    row = re.search(r">alice</a>.*?</tr>", text, re.S)[0]
    assert row.count('<td class="number">2</td>') == 2
    row = re.search(r">ben</a>.*?</tr>", text, re.S)[0]
    assert "medicine" in row
    assert ">ar<" in row
    assert "paused" in row


def test_the_table_asks_no_more_for_more_people(
    desk, project, make_user, django_assert_num_queries
):
    address = f"/manage/projects/{project.slug}/people/"
    with django_assert_num_queries(7) as few:
        desk.get(address)
    for n in range(10):
        projects.add_member(project=project, user=make_user(f"guest-{n}"))
    with django_assert_num_queries(len(few)):
        desk.get(address)


def test_a_person_is_changed_paused_and_removed(desk, project, alice):
    place = Membership.objects.get(project=project, user=alice)
    address = f"/manage/projects/{project.slug}/people/{place.pk}/"
    assert "alice" in html(desk.get(address))
    sent = {"do": "save", "role": "reviewer", "languages": "en\nar", "skills": "law, medicine"}
    assert desk.post(address, sent).status_code == 302
    place.refresh_from_db()
    assert (place.role, place.skills) == ("reviewer", ["lang:ar", "lang:en", "law", "medicine"])
    wrong = desk.post(address, sent | {"languages": "english please"})
    assert wrong.status_code == 400
    assert "field__error" in wrong.content.decode()
    desk.post(address, {"do": "pause"})
    place.refresh_from_db()
    assert place.is_paused
    desk.post(address, {"do": "remove"})
    assert not Membership.objects.filter(pk=place.pk).exists()
    assert desk.get(address).status_code == 404


# Links --------------------------------------------------------------------------------------


def test_a_link_is_shown_once_and_kept_only_as_its_hash(desk, project):
    base = f"/manage/projects/{project.slug}"
    sent = desk.post(
        f"{base}/invites/",
        {"role": "annotator", "uses": 2, "days": 3, "skills": "lang:ar", "note": "spring"},
    )
    assert sent.status_code == 201
    secret = link_in(sent.content.decode()).split("/")[2]
    row = Invite.objects.get()
    assert secret not in {row.digest, row.note}
    later = html(desk.get(f"{base}/people/"))
    assert secret not in later
    assert "spring" in later


def test_bad_limits_are_said_beside_their_fields(desk, project):
    sent = desk.post(
        f"/manage/projects/{project.slug}/invites/",
        {"role": "admin", "uses": 0, "days": 400, "skills": "two words", "note": ""},
    )
    assert sent.status_code == 400
    text = sent.content.decode()
    for field in ("role", "uses", "days"):
        assert f'id="id_{field}_error"' in text
    assert not Invite.objects.exists()


def test_a_newcomer_makes_an_account_by_the_link_and_is_at_work(desk, project, client):
    sent = desk.post(
        f"/manage/projects/{project.slug}/invites/",
        {"role": "annotator", "uses": 1, "days": 7, "skills": "", "note": ""},
    )
    link = link_in(sent.content.decode())
    text = html(client.get(link))
    assert project.name in text
    assert "Make an account" in text
    made = client.post(link, {"username": "nina", "password": GOOD, "again": GOOD})
    assert made.headers["Location"] == "/annotate/"
    assert project.name in html(client.get("/annotate/"))
    assert client.get(link).status_code == 410


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"again": "other"}, "again"),
        ({"username": "alice"}, "username"),
        ({"password": "12345678", "again": "12345678"}, "password"),
        ({"username": "a/b"}, "username"),
        ({"password": ""}, "password"),
    ],
)
def test_a_bad_account_is_refused_beside_its_field(project, remy, client, changes, field):
    _, secret = people.invite(project=project, by=remy)
    form = {"username": "nina", "password": GOOD, "again": GOOD} | changes
    sent = client.post(f"/join/{secret}/", form)
    assert sent.status_code == 400
    assert f'id="id_{field}_error"' in sent.content.decode()
    assert GOOD not in sent.content.decode()
    assert not User.objects.filter(username="nina").exists()


def test_someone_signed_in_joins_with_one_button(project, remy, mallory, signed_in):
    _, secret = people.invite(project=project, by=remy)
    client = signed_in(mallory)
    assert "Join as mallory" in html(client.get(f"/join/{secret}/"))
    assert not Membership.objects.filter(user=mallory).exists(), "looking is not joining"
    assert client.post(f"/join/{secret}/").headers["Location"] == "/annotate/"
    assert client.get(f"/annotate/{project.slug}/").status_code == 200


def test_a_dead_link_says_so(client, project, remy, desk):
    made, secret = people.invite(project=project, by=remy)
    desk.post(f"/manage/projects/{project.slug}/invites/{made.pk}/revoke/")
    for answer in (client.get(f"/join/{secret}/"), client.get("/join/guess/")):
        assert answer.status_code == 410
        assert "no longer works" in answer.content.decode()
    assert client.post(f"/join/{secret}/", {"username": "nina"}).status_code == 410


def test_a_link_cannot_be_revoked_from_another_project(desk, project, remy, make_user, signed_in):
    made, _ = people.invite(project=project, by=remy)
    other = projects.create_project(slug="other", kinds=["pairwise"])
    lena = make_user("lena", "annotator")
    projects.add_member(project=other, user=lena, role="researcher")
    sent = signed_in(lena).post(f"/manage/projects/other/invites/{made.pk}/revoke/")
    assert sent.status_code == 404
    made.refresh_from_db()
    assert made.revoked_at is None


# One's own work -----------------------------------------------------------------------------


def test_one_sees_ones_own_judgments_and_nobody_elses(
    project, fill, alice, ben, claim, submit, signed_in, remy
):
    fill(2)
    mine, theirs = claim(alice), claim(ben)
    submit(mine)
    submit(theirs)
    Note.objects.create(project=project, to=alice, by=remy, text="Well done.")
    text = html(signed_in(alice).get("/my-work/"))
    asked = mine.task.prompt[0]["content"]
    assert asked in text
    assert theirs.task.prompt[0]["content"] not in text
    assert "1 today, 1 in all" in text
    assert "one unread note" in text
    assert "A better" in text or "better" in text


def test_the_last_judgment_is_taken_back_within_the_window(
    project, fill, alice, ben, claim, submit, signed_in
):
    fill(2)
    first, last = submit(claim(alice)).judgment, submit(claim(alice)).judgment
    client = signed_in(alice)
    text = html(client.get("/my-work/"))
    assert f"/my-work/{last.pk}/undo/" in text
    assert f"/my-work/{first.pk}/undo/" not in text
    assert signed_in(ben).post(f"/my-work/{last.pk}/undo/").status_code == 404
    assert client.post(f"/my-work/{first.pk}/undo/").headers["Location"] == "/my-work/"
    assert client.post(f"/my-work/{last.pk}/undo/").headers["Location"] == "/annotate/helpful/"
    last.refresh_from_db()
    assert last.withdrawn_at is not None
    first.refresh_from_db()
    assert first.withdrawn_at is None


def test_after_the_window_nothing_is_offered(project, fill, alice, claim, submit, signed_in):
    fill(1)
    made = submit(claim(alice)).judgment
    Judgment.objects.filter(pk=made.pk).update(created_at="2020-01-01T00:00Z")
    client = signed_in(alice)
    assert "/undo/" not in html(client.get("/my-work/"))
    client.post(f"/my-work/{made.pk}/undo/")
    made.refresh_from_db()
    assert made.withdrawn_at is None


def test_ones_own_page_asks_no_more_for_more_work(
    project, fill, alice, claim, submit, signed_in, django_assert_max_num_queries
):
    fill(20)
    client = signed_in(alice)
    submit(claim(alice))
    with django_assert_max_num_queries(40) as few:
        client.get("/my-work/")
    for _ in range(15):
        submit(claim(alice))
    with django_assert_max_num_queries(len(few)):
        assert client.get("/my-work/?before=nonsense").status_code == 200


# Accounts and keys --------------------------------------------------------------------------


def test_an_admin_makes_and_revokes_keys_and_the_secret_is_shown_once(adam, alice, signed_in, api):
    client = signed_in(adam)
    assert "alice" in html(client.get("/manage/accounts/"))
    sent = client.post(f"/account/{alice.pk}/keys/", {"name": "script", "scopes": ["annotate"]})
    assert sent.status_code == 201
    secret = re.search(r'value="(pk-[\w-]+)"', sent.content.decode())[1]
    key = AccessKey.objects.find(secret)
    assert (key.user, key.scopes, key.name) == (alice, ["annotate"], "script")
    assert secret not in html(client.get(f"/manage/accounts/{alice.pk}/"))
    client.post(f"/account/{alice.pk}/keys/{key.pk}/")
    assert AccessKey.objects.find(secret) is None


def test_every_scope_of_a_person_is_offered(adam, signed_in):
    text = html(signed_in(adam).get("/account/"))
    for scope in SCOPES:
        assert f'value="{scope}"' in text


def test_scopes_beyond_the_person_are_not_offered_and_not_taken(alice, signed_in):
    client = signed_in(alice)
    text = html(client.get("/account/"))
    assert 'value="annotate"' in text
    assert 'value="research"' not in text
    sent = client.post(f"/account/{alice.pk}/keys/", {"scopes": ["research"]})
    assert sent.status_code == 400
    assert not AccessKey.objects.exists()


def test_an_admin_deactivates_a_person_and_their_task_goes_back(
    adam, alice, signed_in, project, fill, claim
):
    fill(1)
    held = claim(alice)
    client = signed_in(adam)
    client.post(f"/manage/accounts/{alice.pk}/", {"do": "deactivate"})
    alice.refresh_from_db()
    assert not alice.is_active
    assert Assignment.objects.get(pk=held.pk).state == "released"
    client.post(f"/manage/accounts/{alice.pk}/", {"do": "activate"})
    client.post(f"/manage/accounts/{alice.pk}/", {"do": "role", "role": "reviewer"})
    alice.refresh_from_db()
    assert (alice.is_active, alice.role) == (True, Role.REVIEWER)
    assert client.post(f"/manage/accounts/{alice.pk}/", {"role": "king"}).status_code == 400


def test_the_last_admin_cannot_be_locked_out(adam, signed_in):
    client = signed_in(adam)
    answer = client.post(f"/manage/accounts/{adam.pk}/", {"do": "deactivate"}, follow=True)
    assert "must remain" in html(answer)
    adam.refresh_from_db()
    assert adam.is_active


def test_one_changes_ones_own_password(alice, signed_in):
    client = signed_in(alice)
    form = {"old_password": "correct horse", "new_password1": GOOD, "new_password2": GOOD}
    assert client.post("/account/", form | {"old_password": "no"}).status_code == 400
    assert client.post("/account/", form).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(GOOD)
    assert client.get("/account/").status_code == 200, "and stays signed in"
