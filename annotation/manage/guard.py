"""The one way in: strangers sign in first, and a project opens only for those who manage it."""

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

from annotation import policies
from annotation.models import Project


def signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For anyone with an account."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, *args, **kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return view(request, *args, **kwargs)

    return guarded


def managing(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Gives the view the project instead of its slug.

    People without a place in the project do not find it; members who only work there are refused.
    """

    @signed_in
    @wraps(view)
    def guarded(request: HttpRequest, slug: str, *args, **kwargs) -> HttpResponse:
        try:
            project = policies.managed_project(slug=slug, by=request.user)
        except Project.DoesNotExist:
            raise Http404 from None
        return view(request, project, *args, **kwargs)

    return guarded


def managing_any(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For those who manage some project, or may create one."""

    @signed_in
    @wraps(view)
    def guarded(request: HttpRequest, *args, **kwargs) -> HttpResponse:
        if not policies.manages_any(request.user):
            raise PermissionDenied("This page is for researchers.")
        return view(request, *args, **kwargs)

    return guarded
