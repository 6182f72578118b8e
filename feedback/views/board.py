"""The live board: rendered whole by the server, then kept up to date by its socket."""

import csv

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language
from django.views.decorators.http import require_GET

from annotation.models import Project
from config.auth import role_required
from config.errors import Invalid
from feedback import board as drawing
from feedback.services import board, rollups


@require_GET
@role_required("researcher")
def live(request: HttpRequest, slug: str) -> HttpResponse:
    """What people make of the answers at the moment, by model version and arm."""
    project, window = _asked(request, slug)
    rollups.fold()
    numbers = board.read(project=project, window=window)
    context = {
        "project": project,
        "tab": "board",
        "window": window,
        "windows": board.WINDOWS,
        "doors": board.DOORS,
        "language": get_language(),
        "panels": drawing.drawn(numbers),
        "now": timezone.now(),
    }
    return render(request, "feedback/board.html", context)


@require_GET
@role_required("researcher")
def table(request: HttpRequest, slug: str) -> HttpResponse:
    """The numbers behind the charts as CSV, one row for each model version and arm."""
    project, window = _asked(request, slug)
    rollups.fold()
    numbers = board.as_json(board.read(project=project, window=window))
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-{window.name}.csv"'
    rows = [_flat(one) for one in numbers["models"]]
    writer = csv.DictWriter(response, list(rows[0]) if rows else ["model", "arm"])
    writer.writeheader()
    writer.writerows(rows)
    return response


def _flat(row: dict, name: str = "") -> dict:
    flat = {}
    for key, value in row.items():
        whole = f"{name}_{key}" if name else key
        if isinstance(value, dict):
            flat |= _flat(value, whole)
        elif value is None and key in (*board.RATES, "wins"):
            flat |= {f"{whole}_{part}": None for part in ("share", "low", "high", "n")}
        else:
            flat[whole] = value
    return flat


def _asked(request: HttpRequest, slug: str) -> tuple[Project, board.Window]:
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        raise Http404("There is no such project.")
    try:
        return project, board.Window.read(request.GET.get("window"), request.GET.get("door"))
    except Invalid as exc:
        raise Http404(exc.detail) from None
