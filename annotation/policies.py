"""May this person do this? Objects are reached through here; what is not theirs is not found."""

from annotation.models import Membership, Project
from config.models import User


def access_project(*, slug: str, by: User) -> Project:
    """The project, for its members and for researchers; anyone else does not find it."""
    return Project.objects.visible_to(by).distinct().get(slug=slug)


def may_manage(*, project: Project, by: User) -> bool:
    """Researchers manage every project; a member with that role manages this one."""
    if by.has_role("researcher"):
        return True
    return Membership.objects.filter(
        project=project, user=by, role__in=("researcher", "admin")
    ).exists()
