"""May this person do this? Objects are reached through here; what is not theirs is not found.

A person has one role for the whole house (`User.role`) and one in each project they belong to
(`Membership.role`). Researchers and admins of the house stand in every project; anyone else
stands where they are members, and there as what their membership says.
"""

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet

from annotation.models import Membership, Project
from config.models import ROLE_ORDER, User

#: The roles a project gives; administering people is the house's business.
PROJECT_ROLES = ("annotator", "reviewer", "researcher")
MANAGING = ("researcher", "admin")
REVIEWING = ("reviewer", *MANAGING)


def access_project(*, slug: str, by: User) -> Project:
    """The project, for its members and for researchers; anyone else does not find it."""
    return Project.objects.visible_to(by).distinct().get(slug=slug)


def role_in(*, project: Project, by: User) -> str | None:
    """What this person is in a project; None where they have no place."""
    if by.has_role("researcher"):
        return by.role
    if not by.is_active:
        return None
    return (
        Membership.objects.filter(project=project, user=by).values_list("role", flat=True).first()
    )


def rank(role: str | None) -> int:
    """Roles as numbers, so that they can be compared; -1 for none."""
    return ROLE_ORDER.index(role) if role in ROLE_ORDER else -1


def may_manage(*, project: Project, by: User) -> bool:
    """Researchers manage every project; a member with that role manages this one."""
    return role_in(project=project, by=by) in MANAGING


def may_review(*, project: Project, by: User) -> bool:
    """Reviewers of this project, and whoever manages it."""
    return role_in(project=project, by=by) in REVIEWING


def managed_projects(by: User) -> QuerySet[Project]:
    """The projects this person may manage, archived ones too."""
    if by.has_role("researcher"):
        return Project.objects.all()
    if not by.is_active:
        return Project.objects.none()
    own = Membership.objects.filter(user=by, role__in=MANAGING)
    return Project.objects.filter(pk__in=own.values("project_id"))


def managed_project(*, slug: str, by: User) -> Project:
    """The project, for those who manage it.

    Raises Project.DoesNotExist for people without a place in it and PermissionDenied for
    members who may only work there.
    """
    project = access_project(slug=slug, by=by)
    if not may_manage(project=project, by=by):
        raise PermissionDenied("Only researchers of this project may open this.")
    return project


def manages_any(by: User) -> bool:
    """Whether there is anything for this person to manage, or they may create a project."""
    return by.is_authenticated and (
        by.has_role("researcher")
        or (by.is_active and Membership.objects.filter(user=by, role__in=MANAGING).exists())
    )


def roles_to_give(*, project: Project, by: User) -> list[str]:
    """The project roles this person may hand out: none above their own, none if not managing."""
    own = role_in(project=project, by=by)
    if own not in MANAGING:
        return []
    return [role for role in PROJECT_ROLES if rank(role) <= rank(own)]


def members_below(*, project: Project, by: User) -> Q:
    """Memberships this person may change: whose role in the project is not above theirs."""
    own = rank(role_in(project=project, by=by))
    return Q(project=project, role__in=[r for r in ROLE_ORDER if rank(r) <= own])
