"""Accounts and keys: who may make, revoke, raise and let out whom."""

import pytest
from django.core.exceptions import PermissionDenied

from config import accounts
from config.errors import Conflict, Invalid
from config.models import AccessKey, Role, User

pytestmark = pytest.mark.django_db


def test_a_person_makes_keys_for_themselves_and_an_admin_for_anyone(alice, adam):
    for by in (alice, adam):
        key, secret = accounts.create_key(user=alice, by=by, scopes=["annotate"], name=" script ")
        assert AccessKey.objects.find(secret) == key
        assert (key.name, key.scopes) == ("script", ["annotate"])
        assert secret not in key.digest


def test_nobody_else_makes_or_revokes_a_key(alice, ben, remy):
    key, secret = accounts.create_key(user=alice, by=alice, scopes=["annotate"])
    for by in (ben, remy):
        with pytest.raises(PermissionDenied):
            accounts.create_key(user=alice, by=by, scopes=["annotate"])
        with pytest.raises(PermissionDenied):
            accounts.revoke_key(key=key, by=by)
    assert AccessKey.objects.find(secret) == key


@pytest.mark.parametrize("scopes", [[], ["annotate", "fly"], ["research"], ["admin"]])
def test_a_key_never_reaches_beyond_its_person(alice, adam, scopes):
    with pytest.raises(Invalid) as refused:
        accounts.create_key(user=alice, by=adam, scopes=scopes)
    assert list(refused.value.fields) == ["scopes"]


@pytest.mark.parametrize("name", ["x" * 81, "a\nb", 3])
def test_the_name_of_a_key_is_short_and_plain(alice, name):
    with pytest.raises(Invalid):
        accounts.create_key(user=alice, by=alice, scopes=["annotate"], name=name)


def test_a_revoked_key_is_dead_and_revoking_again_changes_nothing(alice, adam):
    key, secret = accounts.create_key(user=alice, by=alice, scopes=["annotate"])
    accounts.revoke_key(key=key, by=adam)
    at = AccessKey.objects.get().revoked_at
    accounts.revoke_key(key=AccessKey.objects.get(), by=alice)
    assert AccessKey.objects.get().revoked_at == at
    assert AccessKey.objects.find(secret) is None


def test_a_deactivated_person_loses_sessions_and_keys_at_once(alice, adam, signed_in, api):
    page, rest = signed_in(alice), api(alice, "annotate")
    assert page.get("/annotate/").status_code == 200
    assert rest.get("/api/projects/").status_code == 200
    accounts.change_account(user=alice, by=adam, active=False)
    assert page.get("/annotate/").status_code == 302
    assert rest.get("/api/projects/").status_code == 401
    accounts.change_account(user=alice, by=adam, active=True)
    assert rest.get("/api/projects/").status_code == 200


def test_only_admins_change_accounts(alice, remy):
    with pytest.raises(PermissionDenied):
        accounts.change_account(user=alice, by=remy, role=Role.RESEARCHER)
    with pytest.raises(PermissionDenied):
        accounts.change_account(user=remy, by=remy, role=Role.ADMIN)


def test_a_role_is_given_by_an_admin_and_must_exist(alice, adam):
    assert accounts.change_account(user=alice, by=adam, role=Role.REVIEWER).role == Role.REVIEWER
    with pytest.raises(Invalid):
        accounts.change_account(user=alice, by=adam, role="king")


@pytest.mark.parametrize("change", [{"active": False}, {"role": Role.RESEARCHER}])
def test_the_last_admin_stays(adam, make_user, change):
    with pytest.raises(Conflict, match="must remain"):
        accounts.change_account(user=adam, by=adam, **change)
    second = make_user("eve", Role.ADMIN)
    accounts.change_account(user=adam, by=second, **change)
    with pytest.raises(Conflict):
        accounts.change_account(user=second, by=second, **change)


def test_an_imported_annotator_cannot_be_let_in(adam):
    imported = User.objects.create(username="imported-p-1", password="!", is_active=False)
    with pytest.raises(Conflict, match="imported"):
        accounts.change_account(user=imported, by=adam, active=True)
