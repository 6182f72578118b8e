"""The console's pages of live comparisons, and the forms that try, hold out, promote, retire."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from alignment import plots, policies
from alignment.models import Experiment
from alignment.services import releases
from alignment.stats.release import WORDS
from annotation.models import Project
from config.auth import role_required
from config.errors import DomainError
from inference.models import ModelVersion

PAGE = 50
researcher = role_required("researcher")

#: Tones of a comparison's state as a badge.
TONES = {
    "running": "busy",
    "promoted": "positive",
    "rolled_back": "negative",
    "retired": "",
    "replaced": "",
}
MEASURES = {**WORDS, "votes": "Votes won side by side"}


@require_GET
@researcher
def experiments(request: HttpRequest, slug: str) -> HttpResponse:
    """Every live comparison of a project, newest first, and every decision."""
    project = _project(request, slug)
    related = ("candidate__model_version", "control__model_version", "round")
    rows = project.experiments.select_related(*related).defer("path")
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "tab": "experiments",
        "page": page,
        "rows": [{"one": one, "tone": TONES[one.state]} for one in page],
        "decisions": project.decisions.select_related("model", "by", "round")[:PAGE],
    }
    return render(request, "alignment/experiments.html", context)


@ensure_csrf_cookie
@require_GET
@researcher
def experiment(request: HttpRequest, slug: str, pk) -> HttpResponse:
    """One live comparison: its sequences drawn, its counts, what was decided on which numbers."""
    project = _project(request, slug)
    related = ("candidate__model_version", "control__model_version", "round")
    found = get_object_or_404(project.experiments.select_related(*related), pk=pk)
    decisions = project.decisions.filter(model=found.candidate.model_version)
    context = {
        "project": project,
        "tab": "experiments",
        "experiment": found,
        "tone": TONES[found.state],
        "curves": sequences(found),
        "rows": measures(found),
        "decisions": decisions.select_related("model", "by", "round")[:PAGE],
    }
    return render(request, "alignment/experiment.html", context)


@require_POST
@researcher
def decide(request: HttpRequest, slug: str, name: str, action: str) -> HttpResponse:
    """Promote, roll back, try on a share, hold out or retire a model, with a reason."""
    project = _project(request, slug)
    version = get_object_or_404(ModelVersion, name=name)
    given: dict[str, Any] = {
        "project": project,
        "model": version,
        "by": request.user,
        "reason": request.POST.get("reason", ""),
    }
    actions = {
        "promote": releases.promote,
        "rollback": releases.rollback,
        "canary": releases.canary,
        "holdout": releases.hold_out,
        "retire": releases.retire,
    }
    if action not in actions:
        raise Http404
    if action in ("canary", "holdout"):
        percent = request.POST.get("percent", "")
        whole = percent.isascii() and percent.isdigit() and len(percent) < 4
        given["weight"] = int(percent) * 10 if whole else None
    try:
        made = actions[action](**given)
    except DomainError as error:
        messages.error(request, error.detail)
        return redirect("console-model", slug=slug, name=name)
    if isinstance(made, Experiment):
        messages.success(request, _("%(model)s is compared from now on.") % {"model": name})
        return redirect("console-experiment", slug=slug, pk=made.pk)
    said = {
        "retire": _("%(model)s answers no more conversations."),
        "holdout": _("%(model)s keeps its share from now on."),
    }.get(action, _("%(model)s answers from now on."))
    now = made.model_version.name if made is not None else name
    messages.success(request, said % {"model": now})
    return redirect("console-models", slug=slug)


def sequences(found: Experiment) -> list[plots.Plot]:
    """The confidence sequence of each measure as a plot."""
    drawn = []
    for name, title in MEASURES.items():
        looks = [(point["n"], point[name]) for point in found.path if name in point]
        rule = 0.5 if name == "votes" else 0.0
        votes = found.counts.get("votes", {})
        if name == "votes" and not votes.get("wins", 0) + votes.get("losses", 0):
            continue
        drawn.append(plots.sequence(title, looks, rule=rule))
    return [plot for plot in drawn if plot is not None]


def measures(found: Experiment) -> list[dict[str, Any]]:
    """The measures as rows of a table."""
    known = found.outcome.get("measures", {})
    return [{"name": title, **known[name]} for name, title in MEASURES.items() if name in known]


def _project(request: HttpRequest, slug: str) -> Project:
    return get_object_or_404(policies.visible(request.user), slug=slug)
