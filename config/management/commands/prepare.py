"""Make the demo accounts, then whatever demo content each app brings."""

import os
import secrets
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.management.base import BaseCommand
from django.db import transaction

from config.models import Role, User

#: Login, role and what the account is for, in the order they are printed.
ACCOUNTS = [
    ("admin", Role.ADMIN, "everything"),
    ("ana", Role.ANNOTATOR, "judges answers"),
    ("ben", Role.ANNOTATOR, "judges answers"),
    ("carla", Role.ANNOTATOR, "judges answers"),
    ("rita", Role.REVIEWER, "settles disagreements"),
    ("remy", Role.RESEARCHER, "trains and compares models"),
]
APPS = ("inference", "annotation", "feedback", "alignment")


def demo_password() -> tuple[str, bool]:
    """The password of the demo accounts, and whether it is new to this data folder.

    It is DEMO_PASSWORD, or one made once and kept beside the data.
    """
    given = os.environ.get("DEMO_PASSWORD")
    path = settings.VAR_DIR / "demo_password"
    kept = path.read_text().strip() if path.exists() else ""
    if kept and given in {None, "", kept}:
        return kept, False
    password = given or f"{secrets.token_hex(2)}-{secrets.token_hex(2)}"
    path.touch(mode=0o600)
    path.write_text(f"{password}\n")
    return password, True


class Command(BaseCommand):
    help = (
        "Makes the demo accounts and the demo project with its content; run again, it adds what "
        "is missing and changes nothing else. Example: manage.py prepare"
    )

    def handle(self, *args, **options) -> None:
        password, is_new = demo_password()
        make_accounts(password, reset=is_new)
        write_accounts(settings.VAR_DIR / "accounts.txt", password)
        for app in APPS:
            if find_spec(f"{app}.demo"):
                for line in import_module(f"{app}.demo").prepare() or []:
                    self.stdout.write(line)


@transaction.atomic
def make_accounts(password: str, *, reset: bool) -> None:
    """Create the demo people who are missing; `reset` gives the others this password too."""
    encoded = ""  # made once: it is slow on purpose, and the password is the same
    names = [username for username, _, _ in ACCOUNTS]
    present = {user.username: user for user in User.objects.filter(username__in=names)}
    for username, role, _ in ACCOUNTS:
        if username in present and not reset:
            continue
        encoded = encoded or make_password(password)
        person = present.get(username) or User(
            username=username, role=role, is_staff=role == Role.ADMIN
        )
        person.password = encoded
        person.save()


def write_accounts(path: Path, password: str) -> None:
    """Leave the accounts in a private file, from which the launcher prints them."""
    rows = [f"  {username:<6} {role.label.lower():<11} {use}" for username, role, use in ACCOUNTS]
    path.touch(mode=0o600)
    path.write_text(f"Accounts, all with the password {password}\n" + "\n".join(rows) + "\n")
