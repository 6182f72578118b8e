"""Projects in the browser: list, make, look at, change, copy, close."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import policies, progress
from annotation.kind_templates import SUMMARIES
from annotation.manage.forms import ONCE, CloneForm, NewProject, PrincipleForm, Settings
from annotation.manage.guard import managing, managing_any
from annotation.models import Principle, Project
from annotation.models.projects import Kind
from annotation.services import cloning, projects
from config.auth import role_required
from config.errors import DomainError
from config.markdown import render as markdown


@require_GET
@managing_any
def home(request: HttpRequest) -> HttpResponse:
    """The projects this person manages, with how far and how fast they are."""
    archived = request.GET.get("archived") == "1"
    found = policies.managed_projects(request.user).filter(archived_at__isnull=not archived)
    rows = list(found)
    shown = progress.overview([row.pk for row in rows])
    listed = [
        {"project": row, "bars": progress.bars(shown[row.pk]["days"]), **shown[row.pk]}
        for row in rows
    ]
    context = {
        "listed": listed,
        "archived": archived,
        "may_create": request.user.has_role("researcher"),
    }
    return render(request, "annotation/manage/home.html", context)


@require_http_methods(["GET", "POST"])
@role_required("researcher")
def create(request: HttpRequest) -> HttpResponse:
    """Choose what is asked, see what it looks like, and make the project."""
    asked = request.GET.get("kind")
    kinds = [asked] if asked in Kind.values else ["pairwise"]
    form = NewProject(request.POST or None, initial={"kinds": kinds})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            made = projects.create_project(
                slug=given["slug"] or projects.slug_from(given["name"]),
                name=given["name"],
                kinds=given["kinds"],
                overlap=given["overlap"],
                by=request.user,
            )
        except DomainError as error:
            form.refuse(error)
        else:
            messages.success(request, _("The project is there. Write its guidelines next."))
            return redirect("manage-settings", slug=made.slug)
    pictures = [
        {"kind": kind, "name": kind.label, "says": SUMMARIES[kind], "field": field}
        for kind, field in zip(Kind, form["kinds"], strict=True)
    ]
    context = {"form": form, "pictures": pictures}
    return render(request, "annotation/manage/new.html", context, status=_status(form))


@require_GET
@managing
def overview(request: HttpRequest, project: Project) -> HttpResponse:
    """A project at a glance: how far, how fast, until when."""
    shown = progress.overview([project.pk])[project.pk]
    context = shown | {"bars": progress.bars(shown["days"], width=560, height=96)}
    return page(request, project, "overview", context | {"clone": _clone_form(project)})


@require_http_methods(["GET", "POST"])
@managing
def settings(request: HttpRequest, project: Project) -> HttpResponse:
    """Everything that can be set, each refusal beside its field."""
    form = Settings(request.POST or None, initial=Settings.initial_of(project))
    if request.method == "POST" and form.is_valid():
        given = dict(form.cleaned_data)
        once = given.pop(ONCE)
        given["guidelines"] = given["guidelines"].replace("\r\n", "\n")
        try:
            projects.change_project(project=project, by=request.user, apply_to_open=once, **given)
        except DomainError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Saved."))
            return redirect("manage-settings", slug=project.slug)
    context = {"form": form, "html": markdown(form["guidelines"].value() or "")}
    return page(request, project, "settings", context, status=_status(form))


@require_http_methods(["GET", "POST"])
@managing
def principles(request: HttpRequest, project: Project) -> HttpResponse:
    """The principles asked, their earlier versions, and a form for the next one."""
    form = PrincipleForm(None)
    if request.method == "POST" and "retire" in request.POST:
        try:
            projects.retire_principle(project=project, key=request.POST["retire"], by=request.user)
        except DomainError as error:
            messages.error(request, error.detail)
        return redirect("manage-principles", slug=project.slug)
    if request.method == "POST":
        form = PrincipleForm(request.POST)
        if form.is_valid():
            try:
                made = projects.set_principle(project=project, by=request.user, **form.cleaned_data)
            except DomainError as error:
                form.refuse(error)
            else:
                said = {"key": made.key, "version": made.version}
                messages.success(request, _("%(key)s is asked as version %(version)s.") % said)
                return redirect("manage-principles", slug=project.slug)
    rows = list(Principle.objects.filter(project=project).order_by("key", "-version"))
    context = {
        "form": form,
        "active": [row for row in rows if row.is_active],
        "earlier": [row for row in rows if not row.is_active],
    }
    return page(request, project, "principles", context, status=_status(form))


@require_POST
@managing
def change(request: HttpRequest, project: Project) -> HttpResponse:
    """Pause, resume, archive, restore."""
    actions = {
        "pause": (projects.pause, _("Paused. What people hold they may still send.")),
        "resume": (projects.resume, _("Tasks are handed out again.")),
        "archive": (projects.archive, _("Archived. Nothing is lost; restore it at any time.")),
        "restore": (projects.restore, _("It is back, and paused.")),
    }
    if request.POST.get("do") not in actions:
        raise Http404
    act, said = actions[request.POST["do"]]
    act(project=project, by=request.user)
    messages.success(request, said)
    return redirect("manage-project", slug=project.slug)


@require_POST
@managing
def clone(request: HttpRequest, project: Project) -> HttpResponse:
    """A copy with the same settings."""
    form = CloneForm(request.POST)
    if request.user.has_role("researcher") and form.is_valid():
        try:
            made = cloning.clone_project(project=project, by=request.user, **form.cleaned_data)
        except DomainError as error:
            form.refuse(error)
        else:
            messages.success(request, _("This is the copy."))
            return redirect("manage-project", slug=made.slug)
    elif not request.user.has_role("researcher"):
        form.add_error(None, _("Only researchers of the house may make projects."))
    shown = progress.overview([project.pk])[project.pk]
    context = shown | {"bars": progress.bars(shown["days"], width=560, height=96), "clone": form}
    return page(request, project, "overview", context, status=400)


@require_POST
@managing_any
def words(request: HttpRequest) -> HttpResponse:
    """Markdown as annotators will see it, through the sanitiser; nothing is stored."""
    return JsonResponse({"html": markdown(request.POST.get("text", "")[:100_000])})


def page(
    request: HttpRequest, project: Project, tab: str, context: dict, *, status: int = 200
) -> HttpResponse:
    """A page of one project."""
    context = {"project": project, "tab": tab} | context
    return render(request, f"annotation/manage/{tab}.html", context, status=status)


def _clone_form(project: Project) -> CloneForm:
    name = _("%(name)s (copy)") % {"name": project.name[:110]}
    return CloneForm(initial={"name": name, "slug": f"{project.slug[:55]}-copy"})


def _status(form) -> int:
    return 400 if form.is_bound and not form.is_valid() else 200
