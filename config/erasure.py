"""Erasing a person: one call that reaches every app, in one transaction.

An app takes part by a module `<app>/erasure.py` with two functions, found by their names as
`schedule.py` and `urls.py` are, so that no app imports one to its left:

    def would(erasure: Erasure) -> dict[str, int]     what would be touched, by what it is called
    def erase(erasure: Erasure) -> dict[str, int]     touch it; the counts of what was

They are called from left to right (alignment first, which must read who is in its snapshots and
models before the rows are gone; the account itself comes last), inside one transaction: an error
in one undoes all. Files and sockets are for `transaction.on_commit`. The counts of all apps are
joined, so their names must differ.
"""

import secrets
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec

from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from config.errors import Conflict, Invalid
from config.models import AccessKey, Role, User, new_pseudonym

APPS = ("alignment", "feedback", "annotation", "inference")
KEEP, WITHDRAW = "keep", "withdraw"
ERASED = "erased-"


@dataclass(frozen=True)
class Erasure:
    """Who is erased, and what becomes of the judgments.

    `person` is the account as it was; `pseudonym` the name under which its judgments stand in
    files written before; `alias` the new one, which nothing outside has seen. `judgments` is
    "keep" (they stand under the alias, without a word of free text) or "withdraw" (they are
    deleted). `by` is the pseudonym of whoever does it, for logs; empty for a command.
    """

    person: User
    pseudonym: str
    judgments: str = KEEP
    by: str = ""
    alias: str = field(default_factory=new_pseudonym)

    @property
    def withdraws(self) -> bool:
        """Whether the judgments go."""
        return self.judgments == WITHDRAW


def would(*, person: User, judgments: str = KEEP) -> dict[str, int]:
    """What erasing a person would touch, by what it is called; changes nothing."""
    return _reach("would", _wish(person, judgments, None))


@transaction.atomic
def erase_person(*, person: User, judgments: str = KEEP, by: User | None = None) -> dict[str, int]:
    """Close an account for good and take the person out of everything; returns what was touched.

    `by` is the administrator, None for a command. What is left of the account is a row without a
    name that cannot sign in. Raises PermissionDenied for anyone but an administrator, and Conflict
    for oneself, the last administrator, or someone erased before.
    """
    if by is not None and not by.has_role(Role.ADMIN):
        raise PermissionDenied("Only an administrator may do this.")
    admins = list(
        User.objects.filter(role=Role.ADMIN, is_active=True).order_by("pk").select_for_update()
    )
    person = User.objects.select_for_update().get(pk=person.pk)
    if by is not None and by.pk == person.pk:
        raise Conflict("Ask another administrator to erase you.")
    if is_erased(person):
        raise Conflict("This person was erased already.")
    if [admin.pk for admin in admins] == [person.pk]:
        raise Conflict("Someone must remain who administers: make another person admin first.")
    erasure = _wish(person, judgments, by)
    touched = _reach("erase", erasure)
    touched["keys"] = AccessKey.objects.filter(user=person).delete()[0]
    touched["sessions"] = _end_sessions(person)
    _close(person, erasure.alias)
    return touched


def is_erased(person: User) -> bool:
    """Whether this is what is left of someone who was erased."""
    begun = person.username.startswith(ERASED)  # a name that anyone may choose for themselves
    return begun and not person.is_active and not person.has_usable_password()


def _wish(person: User, judgments: str, by: User | None) -> Erasure:
    if judgments not in (KEEP, WITHDRAW):
        raise Invalid("judgments must be keep or withdraw.",
                      fields={"judgments": "keep or withdraw"})  # fmt: skip
    return Erasure(person, person.pseudonym, judgments, by.pseudonym if by is not None else "")


def _reach(name: str, erasure: Erasure) -> dict[str, int]:
    touched: dict[str, int] = {}
    for app in APPS:
        if find_spec(f"{app}.erasure"):
            touched |= getattr(import_module(f"{app}.erasure"), name)(erasure)
    return touched


def _close(person: User, alias: str) -> None:
    """A row remains, since what was kept hangs from it; it says nothing of anyone."""
    person.username = f"{ERASED}{secrets.token_hex(6)}"
    person.first_name = person.last_name = person.email = ""
    person.pseudonym = alias
    person.role = Role.MEMBER
    person.is_active = person.is_staff = person.is_superuser = False
    person.last_login = None
    person.date_joined = timezone.now()
    person.set_unusable_password()
    person.save()
    person.groups.clear()
    person.user_permissions.clear()


def _end_sessions(person: User) -> int:
    """Sessions name their person in their data, so they are looked through one by one."""
    ended = 0
    for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator():
        if session.get_decoded().get("_auth_user_id") == str(person.pk):
            session.delete()
            ended += 1
    return ended
