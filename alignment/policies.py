"""Who may see a project's console, and which project a request means."""

from annotation.models import Project


def visible(user):
    """The projects whose console this person may open (researchers see all)."""
    return Project.objects.live().visible_to(user)
