"""The console's pages for composing and comparing, and the page of a model with its lineage."""

from pathlib import Path
from uuid import UUID

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_http_methods

from alignment import comparing, composing, lineage, overview, policies, selectors
from alignment.models import Run
from alignment.services import cards, estimates, files
from alignment.services import runs as run_services
from annotation.models import Project
from config.auth import role_required
from config.errors import DomainError
from config.markdown import render as markdown
from inference.models import Deployment, ModelVersion

researcher = role_required("researcher")
CHOICES = 100


@ensure_csrf_cookie
@require_http_methods(["GET", "POST"])
@researcher
def compose(request: HttpRequest, slug: str) -> HttpResponse:
    """Compose a run in a form, see what it will take, start it."""
    project = _project(request, slug)
    sent = request.POST if request.method == "POST" else request.GET
    recipe = sent.get("recipe") or "dpo"
    snapshots = list(project.snapshots.all()[:CHOICES])
    policies_of = selectors.models_of(project).filter(kind=ModelVersion.Kind.POLICY)
    context = {
        "project": project,
        "tab": "runs",
        "recipes": composing.choices(),
        "snapshots": snapshots,
        "bases": policies_of[:CHOICES],
        "given": sent,
        "seed": sent.get("seed", "0"),
    }
    errors: dict[str, str] = {}
    status = 200
    objective = sent.get("objective", "")
    changed = sent.get("action") == "objective"
    if request.method == "POST" and not changed:
        try:
            params = composing.read(recipe, request.POST)
            taken = next((s for s in snapshots if str(s.pk) == sent.get("snapshot")), None)
            if sent.get("action") == "start":
                if taken is None:
                    messages.error(request, _("Choose a snapshot to train on; take one first."))
                else:
                    seed = sent.get("seed", "0")
                    whole = seed.isascii() and seed.isdigit() and len(seed) < 11
                    run = run_services.create(
                        snapshot=taken,
                        recipe=recipe,
                        base=selectors.model(sent["base"]) if sent.get("base") else None,
                        params=params,
                        seed=int(seed) if whole else -1,
                        by=request.user,
                    )
                    return redirect("console-run", slug=slug, run_id=run.pk)
            task = composing.form(recipe).task
            context["estimate"] = estimates.estimate(snapshot=taken, task=task, params=params)
        except DomainError as error:
            errors, status = error.fields or {}, 400
            messages.error(request, error.detail)
    try:
        given = None if request.method == "GET" or changed else request.POST
        context["form"] = composing.form(recipe, given, errors, objective)
    except DomainError as error:
        messages.error(request, error.detail)
        context["form"], status = composing.form("dpo"), 400
    context["objectives"] = composing.described("dpo")["objectives"]
    return render(request, "alignment/compose.html", context, status=status)


@require_GET
@researcher
def compare_runs(request: HttpRequest, slug: str) -> HttpResponse:
    """Up to six runs side by side: curves on one scale, live while they run."""
    project = _project(request, slug)
    wanted = [pk for text in request.GET.getlist("run") if (pk := _uuid(text))]
    found = {
        run.pk: run
        for run in project.runs.filter(pk__in=wanted[: comparing.MOST_RUNS])
        .select_related("model", "base", "round")
        .defer("log")
    }
    runs = [found[pk] for pk in dict.fromkeys(wanted) if pk in found]
    context = {
        "project": project,
        "tab": "runs",
        "runs": [{"run": run, "tone": overview.TONES[run.state]} for run in runs],
        "curves": comparing.run_curves(runs),
        "numbers": comparing.run_numbers(runs),
        "active": any(run.state in Run.ACTIVE for run in runs),
        "address": request.get_full_path(),
    }
    template = "compare_runs_live" if request.GET.get("part") == "live" else "compare_runs"
    response = render(request, f"alignment/{template}.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_GET
@researcher
def compare_models(request: HttpRequest, slug: str) -> HttpResponse:
    """Models side by side: win rates as a matrix, answers to the same prompts in columns."""
    project = _project(request, slug)
    everything = selectors.models_of(project).filter(kind=ModelVersion.Kind.POLICY)
    named = [name for name in request.GET.getlist("model") if "\0" not in name]
    wanted = named[: comparing.MOST_MODELS]
    chosen = list(everything.filter(name__in=wanted)) if wanted else list(everything[:2])
    order = {name: place for place, name in enumerate(wanted)}
    chosen.sort(key=lambda model: order.get(model.name, 0))
    context = {
        "project": project,
        "tab": "models",
        "models": chosen,
        "names": [model.name for model in chosen],
        "choices": everything.values_list("name", flat=True)[:CHOICES],
        "matrix": comparing.win_matrix(project, chosen),
        "rows": overview.model_rows(project, chosen),
        "answers": comparing.answers(project, chosen) if len(chosen) > 1 else [],
    }
    return render(request, "alignment/compare_models.html", context)


@ensure_csrf_cookie
@require_GET
@researcher
def model(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """One model: its card, its lineage, its files, and what may be done with it."""
    project = _project(request, slug)
    version = _version(project, name)
    serving = list(Deployment.objects.serving(project.slug))
    arms = [one for one in serving if one.model_version_id == version.pk]
    context = {
        "project": project,
        "tab": "models",
        "version": version,
        "arms": arms,
        "is_live": any(one.arm == "live" for one in arms),
        "beside": [one for one in arms if one.arm != "live"],
        "graph": lineage.drawn(lineage.graph(project, version)),
        "card": markdown(cards.card(version).split("\n---\n", 1)[1]),
        "files": files_of(version),
        "decisions": project.decisions.filter(model=version).select_related("model", "by")[:50],
    }
    return render(request, "alignment/model.html", context)


@require_GET
@researcher
def card(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """The model card as Markdown."""
    version = _version(_project(request, slug), name)
    response = HttpResponse(cards.card(version), content_type="text/markdown; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{version.name}.md"'
    return response


@require_GET
@researcher
def file(request: HttpRequest, slug: str, name: str, path: str) -> FileResponse:
    """A file of the model's artefact."""
    version = _version(_project(request, slug), name)
    target = files.inside(version.location, path)
    if target is None:
        raise Http404
    return FileResponse(target.open("rb"), as_attachment=True, filename=target.name)


def files_of(version: ModelVersion) -> list[dict]:
    """The files of a model's artefact: path and size in bytes."""
    root = Path(files.artefact_path(version.location))
    if not root.is_dir():
        return []
    found = [
        one for one in sorted(root.rglob("*")) if one.is_file() and not one.name.startswith(".")
    ]
    return [
        {"path": one.relative_to(root).as_posix(), "size": one.stat().st_size}
        for one in found[:200]
    ]


def _version(project: Project, name: str) -> ModelVersion:
    """A model that this project trained or served, or 404."""
    return get_object_or_404(selectors.models_of(project), name=name)


def _project(request: HttpRequest, slug: str) -> Project:
    return get_object_or_404(policies.visible(request.user), slug=slug)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
