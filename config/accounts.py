"""Accounts and access keys, as an administrator and their owners manage them."""

from collections.abc import Iterable

from django.core.exceptions import PermissionDenied
from django.db import transaction

from config.errors import Conflict, Invalid
from config.models import SCOPES, AccessKey, Role, User


def create_key(
    *, user: User, by: User, scopes: Iterable[str], name: str = ""
) -> tuple[AccessKey, str]:
    """A key for a person; the secret is returned once and only its hash is kept.

    People make keys for themselves, admins for anyone. Raises Invalid for scopes that do not
    exist or go beyond the person's role.
    """
    _own_or_admin(user, by)
    wanted = list(dict.fromkeys(scopes))
    wrong: dict[str, str] = {}
    if not wanted or not set(wanted) <= set(SCOPES):
        wrong["scopes"] = f"choose from {', '.join(SCOPES)}"
    elif not set(wanted) <= user.scopes:
        beyond = ", ".join(sorted(set(wanted) - user.scopes))
        wrong["scopes"] = f"{beyond} is beyond the role {user.get_role_display().lower()}"
    if not isinstance(name, str) or len(name.strip()) > 80 or not name.isprintable():
        wrong["name"] = "must be at most 80 plain characters"
    if wrong:
        raise Invalid("; ".join(f"{k}: {v}" for k, v in wrong.items()) + ".", fields=wrong)
    return AccessKey.objects.issue(user=user, scopes=wanted, name=name.strip())


def revoke_key(*, key: AccessKey, by: User) -> None:
    """Make a key useless from now on; again changes nothing."""
    _own_or_admin(key.user, by)
    if key.revoked_at is None:
        key.revoke()


def _own_or_admin(user: User, by: User) -> None:
    if by.pk != user.pk and not by.has_role(Role.ADMIN):
        raise PermissionDenied("Only an administrator may do this for someone else.")


def change_account(
    *, user: User, by: User, role: str | None = None, active: bool | None = None
) -> User:
    """Change a person's role in the house, or let them in or out. For admins.

    A person who is out cannot sign in, and their sessions and keys end at once. Raises Conflict
    where the house would be left without an admin.
    """
    if not by.has_role(Role.ADMIN):
        raise PermissionDenied("Only an administrator may do this.")
    if role is not None and role not in Role.values:
        raise Invalid("role is not known.", fields={"role": f"one of {', '.join(Role.values)}"})
    with transaction.atomic():
        # All admins are locked, in one order, so that two of them cannot drop each other at once.
        admins = list(
            User.objects.filter(role=Role.ADMIN, is_active=True).order_by("pk").select_for_update()
        )
        user = User.objects.select_for_update().get(pk=user.pk)
        if active and not user.is_active and user.username.startswith("imported-"):
            raise Conflict("This is an imported annotator, not someone who can sign in.")
        user.role = user.role if role is None else role
        user.is_active = user.is_active if active is None else active
        if not user.has_role(Role.ADMIN) and [admin.pk for admin in admins] == [user.pk]:
            raise Conflict("Someone must remain who administers: make another person admin first.")
        user.save(update_fields=["role", "is_active"])
    return user
