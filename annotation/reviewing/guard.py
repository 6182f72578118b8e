"""The one way in: a project opens for those who review it."""

from collections.abc import Callable
from functools import wraps

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse

from annotation import policies
from annotation.manage.guard import signed_in
from annotation.models import Membership, Project, Task
from config.models import User


def reviewed_projects(by: User):
    """The live projects this person may review."""
    if by.has_role("researcher"):
        return Project.objects.live()
    if not by.is_active:
        return Project.objects.none()
    own = Membership.objects.filter(user=by, role__in=policies.REVIEWING)
    return Project.objects.live().filter(pk__in=own.values("project_id"))


def reviewing(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Gives the view the project instead of its slug.

    People without a place in the project do not find it; those who only annotate are refused.
    """

    @signed_in
    @wraps(view)
    def guarded(request: HttpRequest, slug: str, *args, **kwargs) -> HttpResponse:
        return view(request, access(slug=slug, by=request.user), *args, **kwargs)

    return guarded


def access(*, slug: str, by: User) -> Project:
    """The project, for its reviewers; Http404 or PermissionDenied for others."""
    try:
        project = policies.access_project(slug=slug, by=by)
    except Project.DoesNotExist:
        raise Http404 from None
    if not policies.may_review(project=project, by=by):
        raise PermissionDenied("This page is for reviewers of this project.")
    return project


def reviewing_any(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For those who review some project, or could."""

    @signed_in
    @wraps(view)
    def guarded(request: HttpRequest, *args, **kwargs) -> HttpResponse:
        user = request.user
        if not user.has_role("reviewer") and not reviewed_projects(user).exists():
            raise PermissionDenied("This page is for reviewers.")
        return view(request, *args, **kwargs)

    return guarded


def task_of(project: Project, task_id: int) -> Task:
    """A task of the project, with it in hand; Http404 otherwise."""
    task = Task.objects.filter(project=project, pk=task_id).first()
    if task is None:
        raise Http404
    task.project = project
    task.in_order = list(task.candidates.order_by("position"))
    return task
