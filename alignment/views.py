"""The console's pages, for researchers. Every form works without scripts."""

from collections.abc import Callable

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from alignment import overview, plots, policies, selectors
from alignment.services import rounds
from alignment.services import runs as run_services
from alignment.services import snapshots as snapshot_services
from annotation.models import Project
from config.auth import role_required
from config.errors import DomainError

PAGE = 50
#: What a snapshot's page says of its datasheet, besides what it says anyway.
SHEET = (
    *("languages", "turns", "characters_of_a_prompt", "characters_of_an_answer"),
    *("answers_by_model", "first_said", "last_said", "left_out", "agreement", "weights"),
    *("licence", "consent", "splits"),
)
researcher = role_required("researcher")


def _project(request: HttpRequest, slug: str) -> Project:
    return get_object_or_404(policies.visible(request.user), slug=slug)


def _page(request: HttpRequest, template: str, project: Project, tab: str, **context):
    context |= {"project": project, "tab": tab}
    return render(request, f"alignment/{template}.html", context)


@require_GET
@researcher
def home(request: HttpRequest) -> HttpResponse:
    """The projects of the console; the only one is opened at once."""
    found = list(policies.visible(request.user))
    if len(found) == 1:
        return redirect("console-project", slug=found[0].slug)
    rows = [{"project": one, "counts": overview.live_counts(one)} for one in found]
    return render(request, "alignment/home.html", {"rows": rows})


@ensure_csrf_cookie
@require_GET
@researcher
def project(request: HttpRequest, slug: str) -> HttpResponse:
    """A project at a glance, and the button that runs a round."""
    found = _project(request, slug)
    return _page(request, "project", found, "overview", **overview.of_project(found))


@require_GET
@researcher
def live(request: HttpRequest, slug: str, number: int | None = None) -> HttpResponse:
    """The part of a page that moves while a round runs, as a fragment."""
    found = _project(request, slug)
    turns = found.rounds.select_related("project", "base", "snapshot")
    turn = turns.filter(number=number).first() if number else turns.first()
    if turn is None:
        raise Http404
    context = overview.of_round(turn) | {"project": found, "on_round_page": number is not None}
    response = render(request, "alignment/round_live.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@researcher
def start_round(request: HttpRequest, slug: str) -> HttpResponse:
    """Run a round."""
    found = _project(request, slug)
    try:
        turn = rounds.start(project=found, by=request.user)
    except DomainError as error:
        messages.error(request, error.detail)
        return redirect("console-project", slug=slug)
    messages.success(request, _("Round %(number)s has begun.") % {"number": turn.number})
    return redirect("console-round", slug=slug, number=turn.number)


@ensure_csrf_cookie
@require_GET
@researcher
def round_page(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One round: verdict, criteria, steps, numbers, curves."""
    found = _project(request, slug)
    turns = found.rounds.select_related("project", "base", "snapshot", "requested_by")
    turn = get_object_or_404(turns, number=number)
    decisions = turn.decisions.select_related("model", "by")
    return _page(
        request,
        "round",
        found,
        "rounds",
        decisions=decisions,
        on_round_page=True,
        **overview.of_round(turn),
    )


@require_POST
@researcher
def change_round(request: HttpRequest, slug: str, number: int, action: str) -> HttpResponse:
    """Cancel a round, or take it up again."""
    turn = get_object_or_404(_project(request, slug).rounds, number=number)
    actions: dict[str, Callable] = {"cancel": rounds.cancel, "retry": rounds.retry}
    if action not in actions:
        raise Http404
    try:
        actions[action](turn=turn)
    except DomainError as error:
        messages.error(request, error.detail)
    return redirect("console-round", slug=slug, number=number)


@ensure_csrf_cookie
@require_GET
@researcher
def models(request: HttpRequest, slug: str) -> HttpResponse:
    """The models of a project, where each comes from, and what serves."""
    found = _project(request, slug)
    page = Paginator(selectors.models_of(found), PAGE).get_page(request.GET.get("page"))
    rows = overview.model_rows(found, page.object_list)
    decisions = found.decisions.select_related("model", "by", "round")[:PAGE]
    return _page(request, "models", found, "models", page=page, rows=rows, decisions=decisions)


@require_GET
@researcher
def runs(request: HttpRequest, slug: str) -> HttpResponse:
    """Every launch of the trainer, newest first."""
    found = _project(request, slug)
    rows = found.runs.select_related("model", "round", "base").defer("curve", "log")
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    tones = overview.TONES
    shown = [{"run": run, "tone": tones[run.state]} for run in page]
    return _page(request, "runs", found, "runs", page=page, rows=shown)


@ensure_csrf_cookie
@require_GET
@researcher
def run_page(request: HttpRequest, slug: str, run_id) -> HttpResponse:
    """One run: progress, curves, settings, numbers, the end of its log."""
    found = _project(request, slug)
    related = ("model", "round", "base", "snapshot", "requested_by")
    run = get_object_or_404(found.runs.select_related(*related), pk=run_id)
    return _page(
        request,
        "run",
        found,
        "runs",
        run=run,
        tone=overview.TONES[run.state],
        curves=plots.curves(run.curve),
        numbers=overview.flat(run.metrics),
        settings=overview.flat(run.config.get("params", {})),
    )


@require_POST
@researcher
def cancel_run(request: HttpRequest, slug: str, run_id) -> HttpResponse:
    """Stop a run."""
    run = get_object_or_404(_project(request, slug).runs, pk=run_id)
    try:
        run_services.cancel(run=run)
        run_services.after(str(run.pk))
    except DomainError as error:
        messages.error(request, error.detail)
    return redirect("console-run", slug=slug, run_id=run_id)


@require_GET
@researcher
def snapshots(request: HttpRequest, slug: str) -> HttpResponse:
    """The snapshots of a project."""
    found = _project(request, slug)
    page = Paginator(found.snapshots.all(), PAGE).get_page(request.GET.get("page"))
    return _page(request, "snapshots", found, "data", page=page)


@require_GET
@researcher
def snapshot_page(request: HttpRequest, slug: str, snapshot_id) -> HttpResponse:
    """One snapshot: what was asked, what was drawn, what was trained on it."""
    found = _project(request, slug)
    taken = get_object_or_404(found.snapshots.select_related("created_by"), pk=snapshot_id)
    try:
        sheet = snapshot_services.datasheet_of(taken)
        problem = ""
    except DomainError as error:
        sheet, problem = {}, error.detail
    trained = selectors.models_of(found).filter(run__snapshot=taken)
    return _page(
        request,
        "snapshot",
        found,
        "data",
        snapshot=taken,
        problem=problem,
        counts=overview.flat(taken.counts),
        sheet=overview.flat({name: value for name, value in sheet.items() if name in SHEET}),
        trained=trained,
    )
