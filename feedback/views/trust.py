"""The researchers' page on trust: what counts less, why, and what that changes."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.models import Project
from config.auth import role_required
from feedback.figures import whiskers
from feedback.services import love, trust


@require_GET
@role_required("researcher")
def project(request: HttpRequest, slug: str) -> HttpResponse:
    """One project's report, with the newest doubted reactions."""
    found = Project.objects.filter(slug=slug).first()
    if found is None:
        raise Http404("There is no such project.")
    report = trust.report(project=found)
    models = report["models"] if report else []
    figure = None
    if models:
        plain = [
            {"share": one["plain_share"], "low": one["plain_low"], "high": one["plain_high"]}
            for one in models
        ]
        both = whiskers([*models, *plain], value="share", floor=0.0, ceiling=1.0, digits=1)
        half = len(models)
        figure = {
            "ticks": both.ticks,
            "width": both.width,
            "height": both.height,
            "rows": list(zip(both.rows[:half], both.rows[half:], strict=True)),
        }
    context = {
        "project": found,
        "report": report,
        "figure": figure,
        "love": love.report(project=found),
        "doubted": trust.doubted(project=found, limit=20),
    }
    return render(request, "feedback/trust.html", context)
