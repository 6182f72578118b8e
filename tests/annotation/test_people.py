"""People come into a project by a link, work under what it says, and leave without loss."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.utils import timezone

from annotation import policies
from annotation.models import Assignment, Invite, Judgment, Membership
from annotation.services import people, projects
from config.errors import Conflict, DomainError, Invalid
from config.models import Role, User

pytestmark = pytest.mark.django_db

GOOD = "a long enough phrase"


@pytest.fixture
def lead(project, make_user):
    """An annotator of the house who is researcher in this project only."""
    user = make_user("lena", Role.ANNOTATOR)
    projects.add_member(project=project, user=user, role="researcher")
    return user


def membership(project, user) -> Membership:
    return Membership.objects.get(project=project, user=user)


# Standing -----------------------------------------------------------------------------------


def test_a_role_in_a_project_counts_in_that_project_only(project, lead, alice, rita, remy, adam):
    other = projects.create_project(slug="other", kinds=["pairwise"])
    assert policies.may_manage(project=project, by=lead)
    assert not policies.may_manage(project=other, by=lead)
    assert list(policies.managed_projects(lead)) == [project]
    assert not policies.may_manage(project=project, by=alice)
    assert not policies.may_review(project=project, by=rita)
    projects.add_member(project=project, user=rita, role="reviewer")
    assert policies.may_review(project=project, by=rita)
    assert not policies.may_review(project=other, by=rita)
    for person in (remy, adam):
        assert policies.may_manage(project=other, by=person)


def test_someone_deactivated_stands_nowhere(project, lead):
    lead.is_active = False
    assert not policies.may_manage(project=project, by=lead)
    assert not policies.managed_projects(lead).exists()
    assert not policies.manages_any(lead)


# Inviting -----------------------------------------------------------------------------------


def test_a_link_lets_its_bearer_in_with_its_role_and_skills(project, remy, mallory):
    made, secret = people.invite(
        project=project, by=remy, role="reviewer", skills=["medicine", "lang:ar"], note="spring"
    )
    assert secret not in made.digest
    joined = people.accept(secret=secret, by=mallory)
    assert (joined.role, joined.skills) == ("reviewer", ["lang:ar", "medicine"])
    made.refresh_from_db()
    assert made.uses_left == 0
    mallory.refresh_from_db()
    assert mallory.role == Role.ANNOTATOR


def test_an_invitation_never_reaches_above_the_one_who_invites(project, lead, alice, remy):
    assert policies.roles_to_give(project=project, by=lead) == list(policies.PROJECT_ROLES)
    with pytest.raises(Invalid) as refused:
        people.invite(project=project, by=remy, role="admin")
    assert list(refused.value.fields) == ["role"]
    with pytest.raises(PermissionDenied):
        people.invite(project=project, by=alice)
    other = projects.create_project(slug="other", kinds=["pairwise"])
    with pytest.raises(PermissionDenied):
        people.invite(project=other, by=lead)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uses", 0),
        ("uses", 1001),
        ("uses", True),
        ("days", 0),
        ("days", 91),
        ("skills", ["two words"]),
        ("skills", ["lang:english"]),
        ("note", "x" * 121),
        ("note", "\x00"),
    ],
)
def test_limits_of_an_invitation_are_checked(project, remy, name, value):
    with pytest.raises(Invalid) as refused:
        people.invite(project=project, by=remy, **{name: value})
    assert list(refused.value.fields) == [name]
    assert not Invite.objects.exists()


@pytest.mark.parametrize("end", ["used", "expired", "revoked", "archived", "wrong"])
def test_a_dead_link_lets_nobody_in(project, remy, mallory, make_user, end):
    made, secret = people.invite(project=project, by=remy)
    match end:
        case "used":
            people.accept(secret=secret, by=make_user("first"))
        case "expired":
            Invite.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        case "revoked":
            people.revoke_invite(invite=made, by=remy)
        case "archived":
            projects.archive(project=project)
        case "wrong":
            secret = "x" + secret
    assert people.find_invite(secret) is None
    with pytest.raises(Conflict, match="no longer works"):
        people.accept(secret=secret, by=mallory)
    assert not Membership.objects.filter(user=mallory).exists()
    mallory.refresh_from_db()
    assert mallory.role == Role.MEMBER


def test_a_member_who_follows_a_link_keeps_their_place_and_spends_no_use(project, remy, alice):
    made, secret = people.invite(project=project, by=remy, role="reviewer")
    assert people.accept(secret=secret, by=alice).role == "annotator"
    made.refresh_from_db()
    assert made.uses_left == 1


def test_a_researcher_of_the_house_is_not_lowered_by_a_link(project, remy, adam):
    _, secret = people.invite(project=project, by=remy)
    people.accept(secret=secret, by=adam)
    adam.refresh_from_db()
    assert adam.role == Role.ADMIN


@pytest.mark.django_db(transaction=True)
def test_a_link_for_two_lets_two_in_however_many_knock_at_once(project, remy, make_user):
    made, secret = people.invite(project=project, by=remy, uses=2)
    crowd = [make_user(f"guest-{n}") for n in range(6)]

    def knock(user) -> bool:
        try:
            people.accept(secret=secret, by=user)
        except DomainError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(6) as pool:
        let_in = list(pool.map(knock, crowd))
    assert sum(let_in) == 2
    assert Membership.objects.filter(user__in=crowd).count() == 2
    made.refresh_from_db()
    assert made.uses_left == 0


# Newcomers ----------------------------------------------------------------------------------


def test_a_newcomer_makes_an_account_and_is_in(project, remy):
    _, secret = people.invite(project=project, by=remy)
    user = people.join(secret=secret, username="nina", password=GOOD)
    assert user.check_password(GOOD)
    assert user.role == Role.ANNOTATOR
    assert membership(project, user).role == "annotator"


@pytest.mark.parametrize(
    ("username", "password", "field"),
    [
        ("alice", GOOD, "username"),
        ("ALICE", GOOD, "username"),
        ("", GOOD, "username"),
        ("a b", GOOD, "username"),
        ("x" * 151, GOOD, "username"),
        ("nina", "short", "password"),
        ("nina", "password1234", "password"),
        ("nina", "837261940583", "password"),
        ("ninaninanina", "ninaninanina", "password"),
    ],
)
def test_a_bad_name_or_password_makes_no_account_and_spends_no_use(
    project, remy, username, password, field
):
    made, secret = people.invite(project=project, by=remy)
    before = User.objects.count()
    with pytest.raises(Invalid) as refused:
        people.join(secret=secret, username=username, password=password)
    assert list(refused.value.fields) == [field]
    assert User.objects.count() == before
    made.refresh_from_db()
    assert made.uses_left == 1


def test_no_account_is_left_behind_by_a_dead_link(project, remy):
    made, secret = people.invite(project=project, by=remy)
    people.revoke_invite(invite=made, by=remy)
    with pytest.raises(Conflict):
        people.join(secret=secret, username="nina", password=GOOD)
    assert not User.objects.filter(username="nina").exists()


# Members ------------------------------------------------------------------------------------


def test_skills_role_and_pause_are_set_by_who_manages(project, lead, alice):
    changed = people.change_member(
        membership=membership(project, alice),
        by=lead,
        role="reviewer",
        skills=["Medicine ", "lang:pt-br", ""],
        paused=True,
    )
    changed.refresh_from_db()
    assert (changed.role, changed.is_paused) == ("reviewer", True)
    assert changed.skills == ["lang:pt-br", "medicine"]


def test_a_member_changes_nobody_and_a_lead_nobody_above(project, alice, ben, lead, adam):
    with pytest.raises(PermissionDenied):
        people.change_member(membership=membership(project, ben), by=alice, paused=True)
    above = projects.add_member(project=project, user=adam, role="admin")
    with pytest.raises(PermissionDenied):
        people.change_member(membership=above, by=lead, paused=True)
    with pytest.raises(PermissionDenied):
        people.remove_member(membership=above, by=lead)
    with pytest.raises(Invalid):
        people.change_member(membership=membership(project, ben), by=lead, role="admin")


def test_who_is_removed_keeps_their_judgments_and_gives_their_task_back(
    project, fill, remy, alice, ben, claim, submit
):
    fill(2)
    done = submit(claim(alice)).judgment
    held = claim(alice)
    people.remove_member(membership=membership(project, alice), by=remy)
    assert Judgment.objects.standing().filter(pk=done.pk).exists()
    assert Assignment.objects.get(pk=held.pk).state == "released"
    assert claim(ben).task == held.task
    with pytest.raises(type(project).DoesNotExist):
        claim(alice)
