"""Data in and out of a project."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from annotation import formats, selectors
from annotation.manage.guard import managing
from annotation.manage.projects import page
from annotation.models import Project
from annotation.services import exports


@require_GET
@managing
def data(request: HttpRequest, project: Project) -> HttpResponse:
    """A file in, a file out, each with what it cannot hold."""
    context = {
        "counts": selectors.counts(project),
        "exports": [{"name": name, "loses": form.loses} for name, form in exports.EXPORTS.items()],
        "imports": list(formats.IMPORTS),
        "kinds": project.kinds,
    }
    return page(request, project, "data", context)
