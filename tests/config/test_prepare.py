"""`manage.py prepare`: the demo accounts."""

import pytest
from django.core.management import call_command

from config.management.commands import prepare
from config.models import User


@pytest.fixture
def var_dir(settings, tmp_path, monkeypatch):
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr(prepare, "APPS", ())
    monkeypatch.delenv("DEMO_PASSWORD", raising=False)
    return tmp_path


@pytest.mark.django_db
def test_every_demo_account_can_sign_in_with_the_printed_password(var_dir, client):
    call_command("prepare")
    password = (var_dir / "demo_password").read_text().strip()
    assert password in (var_dir / "accounts.txt").read_text()
    for username, role, _ in prepare.ACCOUNTS:
        assert client.login(username=username, password=password)
        assert User.objects.get(username=username).role == role
    assert not client.login(username="ana", password="guess")


@pytest.mark.django_db
def test_a_second_run_keeps_accounts_and_a_changed_password(var_dir, client):
    call_command("prepare")
    ana = User.objects.get(username="ana")
    ana.set_password("my own")
    ana.save()
    call_command("prepare")
    assert User.objects.count() == len(prepare.ACCOUNTS)
    assert client.login(username="ana", password="my own")


@pytest.mark.django_db
def test_the_accounts_and_the_password_are_private_files(var_dir):
    call_command("prepare")
    for name in ("accounts.txt", "demo_password"):
        assert (var_dir / name).stat().st_mode & 0o077 == 0
