"""Who belongs to a project: invitations, memberships, skills, pauses."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from annotation import policies
from annotation.models import Assignment, Invite, LogEntry, Membership, Project
from annotation.services import projects, queue, settings
from config.errors import Conflict, DomainError, Invalid
from config.models import Role, User

LONGEST_DAYS = 90
MOST_USES = 1000
LANGUAGE_SKILL = "lang:"
_SKILL = re.compile(r"^[a-z0-9][a-z0-9_.:-]{0,39}$")
_NAME = re.compile(r"^[\w.@+-]{1,150}$")


# Invitations --------------------------------------------------------------------------------


def invite(
    *,
    project: Project,
    by: User,
    role: str = "annotator",
    skills: Iterable[str] = (),
    note: str = "",
    uses: int = 1,
    days: int = 7,
) -> tuple[Invite, str]:
    """A link into a project. The secret is returned once; only its hash is kept.

    Raises PermissionDenied for people who do not manage the project, and Invalid for a role
    above their own, skills that are not plain words, or limits out of range.
    """
    allowed = policies.roles_to_give(project=project, by=by)
    if not allowed:
        raise PermissionDenied("Only researchers of this project may invite.")
    wrong: dict[str, str] = {}
    if role not in allowed:
        wrong["role"] = f"must be one of {', '.join(allowed)}"
    if isinstance(uses, bool) or not isinstance(uses, int) or not 1 <= uses <= MOST_USES:
        wrong["uses"] = f"must be a whole number from 1 to {MOST_USES}"
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= LONGEST_DAYS:
        wrong["days"] = f"must be a whole number of days from 1 to {LONGEST_DAYS}"
    given: list[str] = []
    try:
        given = clean_skills(skills)
    except Invalid as exc:
        wrong |= exc.fields
    try:
        note = settings.text(120, blank=True)(note)
    except ValueError as exc:
        wrong["note"] = str(exc)
    if wrong:
        raise Invalid("; ".join(f"{k} {v}" for k, v in wrong.items()) + ".", fields=wrong)
    secret = secrets.token_urlsafe(32)
    made = Invite.objects.create(
        project=project,
        digest=_digest(secret),
        role=role,
        skills=given,
        note=note,
        uses_left=uses,
        expires_at=timezone.now() + timedelta(days=days),
        created_by=by,
    )
    return made, secret


def _digest(secret: str) -> str:
    # 256 random bits: one plain hash is enough, there is nothing to guess.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def live_invites(project: Project | None = None):
    """Invitations that still let someone in."""
    rows = Invite.objects.filter(
        revoked_at=None, uses_left__gt=0, expires_at__gt=Now(), project__archived_at=None
    )
    return rows if project is None else rows.filter(project=project)


def find_invite(secret: str) -> Invite | None:
    """The live invitation with this secret, with its project; None for any other."""
    return (
        live_invites()
        .select_related("project", "created_by")
        .filter(digest=_digest(secret))
        .first()
    )


def revoke_invite(*, invite: Invite, by: User) -> None:
    """Make a link useless from now on; who came in by it stays."""
    if not policies.may_manage(project=invite.project, by=by):
        raise PermissionDenied("Only researchers of this project may do this.")
    Invite.objects.filter(pk=invite.pk, revoked_at=None).update(revoked_at=timezone.now())


@transaction.atomic
def accept(*, secret: str, by: User) -> Membership:
    """Join by a link. Someone who is in the project already keeps their place and no use is spent.

    Raises Conflict when the link no longer works: the row is locked while its uses are counted,
    so a link for one lets one in however many knock at once.
    """
    found = live_invites().filter(digest=_digest(secret))
    made = found.select_for_update(of=("self",)).select_related("project").first()
    if made is None:
        raise Conflict("This invitation no longer works. Ask for a new one.")
    there = Membership.objects.filter(project=made.project, user=by).first()
    if there is not None:
        return there
    Invite.objects.filter(pk=made.pk).update(uses_left=F("uses_left") - 1)
    if not by.has_role(Role.ANNOTATOR):
        # Nobody rises above annotator in the house by a link; the rest is of this project only.
        User.objects.filter(pk=by.pk, role=Role.MEMBER).update(role=Role.ANNOTATOR)
        by.role = Role.ANNOTATOR
    joined = projects.add_member(project=made.project, user=by, role=made.role, by=by)
    if made.skills:
        joined.skills = made.skills
        joined.save(update_fields=["skills"])
        projects.note_membership(joined, LogEntry.Action.CHANGED, by)
    return joined


@transaction.atomic
def join(*, secret: str, username: str, password: str) -> User:
    """Make an account for the bearer of a link and let them in, both or neither.

    Raises Invalid for a name or a password that will not do, Conflict as `accept` does.
    """
    wrong: dict[str, str] = {}
    if not isinstance(username, str) or not _NAME.match(username):
        wrong["username"] = "must be 1 to 150 letters, digits and . @ + - _"
    elif User.objects.filter(username__iexact=username).exists():
        wrong["username"] = "is taken; choose another one, or sign in if it is yours"
    try:
        validate_password(password, user=User(username=str(username)))
    except ValidationError as exc:
        wrong["password"] = " ".join(exc.messages)
    if wrong:
        raise Invalid("; ".join(f"{k}: {v}" for k, v in wrong.items()), fields=wrong)
    try:
        with transaction.atomic():
            user = User.objects.create_user(username, password=password, role=Role.ANNOTATOR)
    except IntegrityError:
        raise Invalid("username: is taken", fields={"username": "is taken"}) from None
    accept(secret=secret, by=user)
    return user


# Members ------------------------------------------------------------------------------------


def clean_skills(given: Iterable[str]) -> list[str]:
    """Skills as short lower-case words; languages are `lang:en`. Raises Invalid otherwise."""
    found = sorted({word.strip().lower() for word in given if word.strip()})
    for word in found:
        code = word.removeprefix(LANGUAGE_SKILL)
        if not _SKILL.match(word) or (code != word and not settings.LANGUAGE.match(code)):
            reason = f"'{word[:40]}' must be a short word such as medicine, or a code such as ar"
            raise Invalid(f"skills: {reason}.", fields={"skills": reason})
    if len(found) > settings.MOST_WORDS:
        raise Invalid("skills: too many.", fields={"skills": f"at most {settings.MOST_WORDS}"})
    return found


def change_member(
    *,
    membership: Membership,
    by: User,
    role: str | None = None,
    skills: Iterable[str] | None = None,
    paused: bool | None = None,
) -> Membership:
    """Change a person's role, skills or pause in a project.

    Raises PermissionDenied unless `by` manages it and stands at least as high as the person, and
    Invalid for a role above their own or a skill that is not a word.
    """
    _may_change(membership, by)
    if role is not None and role != membership.role:
        allowed = policies.roles_to_give(project=membership.project, by=by)
        if role not in allowed:
            raise Invalid(
                f"role must be one of {', '.join(allowed)}.",
                fields={"role": f"must be one of {', '.join(allowed)}"},
            )
        membership.role = role
    if skills is not None:
        membership.skills = clean_skills(skills)
    if paused is not None:
        membership.is_paused = paused
    with transaction.atomic():
        membership.save(update_fields=["role", "skills", "is_paused"])
        projects.note_membership(membership, LogEntry.Action.CHANGED, by)
    return membership


def remove_member(*, membership: Membership, by: User) -> None:
    """Take a person out of a project. Their judgments stay; the tasks they hold go back."""
    _may_change(membership, by)
    person, project = membership.user, membership.project
    with transaction.atomic():
        projects.note_membership(membership, LogEntry.Action.ERASED, by)
        membership.delete()
    give_back_leases(person=person, project=project)


def give_back_leases(*, person: User, project: Project | None = None) -> int:
    """Release every task a person holds (in one project), and those kept for them; drafts are
    kept. Returns how many they held."""
    held = Assignment.objects.leased().of(person)
    if project is not None:
        held = held.filter(task__project=project)
    given_back = 0
    for pk in held.values_list("pk", flat=True):
        try:
            queue.release(assignment_id=pk, by=person)
        except DomainError:
            continue  # submitted in this very moment
        given_back += 1
    queue.keep_nothing_for(person, project=project)
    return given_back


def _may_change(membership: Membership, by: User) -> None:
    below = policies.members_below(project=membership.project, by=by)
    if not (
        policies.may_manage(project=membership.project, by=by)
        and Membership.objects.filter(below, pk=membership.pk).exists()
    ):
        raise PermissionDenied("You may not change this person's place in the project.")
