"""Researchers' pages on conversations: found, read, handed on to be judged; and who looked."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from annotation.models import Project
from config.auth import role_required
from config.errors import DomainError, Invalid
from feedback.models import Conversation, HandoverRule, Image
from feedback.services import handover, handover_rules, reader, reading
from feedback.vocabulary import REACTIONS
from inference.models import Deployment, ModelVersion

LOOKS = 100
MODELS = 100


def _project(slug: str) -> Project:
    found = Project.objects.filter(slug=slug).first()
    if found is None:
        raise Http404("There is no such project.")
    return found


@require_GET
@role_required("researcher")
def conversations(request: HttpRequest, slug: str) -> HttpResponse:
    """Find conversations; choose some to be judged."""
    project = _project(slug)
    context = {"project": project, "tab": "conversations", **_choices(project)}
    try:
        query = reading.Query.read(request.GET)
        before = request.GET.get("before", "")
        found = reading.search(project=project, by=request.user, query=query, before=before)
    except DomainError as exc:
        context |= {"error": exc.detail, "query": request.GET, "rows": []}
        return render(request, "feedback/conversations.html", context, status=400)
    older = None
    if found.before:
        given = request.GET.copy()
        given["before"] = found.before
        older = given.urlencode()
    context |= {"query": query, "rows": found.rows, "older": older, "paged": bool(before)}
    return render(request, "feedback/conversations.html", context)


def _choices(project: Project) -> dict:
    targets = Project.objects.live().order_by("slug")
    return {
        "models": ModelVersion.objects.filter(
            kind="policy",
            pk__in=Deployment.objects.filter(project=project.slug).values("model_version"),
        ).values_list("name", flat=True)[:MODELS],
        "arms": Deployment.Arm.choices,
        "reactions": REACTIONS,
        "sources": reading.SOURCES.items(),
        "targets": [(one, kind) for one in targets for kind in handover.kinds_of(one)],
    }


@require_GET
@role_required("researcher")
def conversation(request: HttpRequest, slug: str, conversation_id: UUID) -> HttpResponse:
    """Read one conversation, the branch that ends in `?leaf=`."""
    project = _project(slug)
    try:
        told = reader.open_one(project=project, by=request.user, conversation_id=conversation_id)
    except Conversation.DoesNotExist:
        raise Http404("There is no such conversation.") from None
    leaf = request.GET.get("leaf") or told["leaf"]
    context = {
        "project": project,
        "tab": "conversations",
        "conversation": told,
        "path": reader.path_to(told["messages"], leaf),
        **_choices(project),
    }
    return render(request, "feedback/conversation_read.html", context)


@require_GET
@role_required("researcher")
def picture(request: HttpRequest, slug: str, conversation_id: UUID, image_id: UUID) -> HttpResponse:
    """A picture of a question, where there is consent."""
    try:
        image = reader.open_picture(
            project=_project(slug), by=request.user, conversation_id=conversation_id,
            image_id=image_id,
        )  # fmt: skip
    except Image.DoesNotExist:
        raise Http404("There is no such picture.") from None
    response = HttpResponse(bytes(image.data), content_type=image.content_type)
    response["Cache-Control"] = "private, no-store"
    return response


@require_POST
@role_required("researcher")
def preview(request: HttpRequest, slug: str) -> HttpResponse:
    """What conversations would look like as tasks, with the marks to be seen."""
    project = _project(slug)
    try:
        asked = _asked(request)
        ready, left_out = handover.preview(project=project, by=request.user, **asked)
    except DomainError as exc:
        messages.error(request, exc.detail)
        return redirect("conversations-read", slug)
    context = {
        "project": project,
        "tab": "conversations",
        "target": asked["target"],
        "kind": asked["kind"],
        "ready": ready,
        "marks": sum(sum(one.marks.values()) for one in ready),
        "left_out": left_out,
        "caveat": handover.CAVEAT,
    }
    return render(request, "feedback/handover_preview.html", context)


@require_POST
@role_required("researcher")
def send(request: HttpRequest, slug: str) -> HttpResponse:
    """Make the tasks."""
    try:
        done = handover.send(project=_project(slug), by=request.user, **_asked(request))
    except DomainError as exc:
        messages.error(request, exc.detail)
        return redirect("conversations-read", slug)
    told = ngettext(
        "%(n)d conversation became a task.", "%(n)d conversations became tasks.", len(done.sent)
    ) % {"n": len(done.sent)}
    messages.success(request, told)
    for one, why in done.left_out[:5]:
        messages.warning(request, _("%(one)s was left out: %(why)s.") % {"one": one, "why": why})
    return redirect("conversations-read", slug)


def _asked(request: HttpRequest) -> dict:
    try:
        ids = [UUID(one) for one in request.POST.getlist("conversation")]
    except ValueError:
        raise Invalid("A conversation's name is not valid.") from None
    if not ids:
        raise Invalid(_("Choose conversations first."))
    target, kind = _target(request)
    return {"ids": ids, "target": target, "kind": kind}


def _target(request: HttpRequest) -> tuple[Project, str]:
    slug, _colon, kind = request.POST.get("target", "").replace("\x00", "").partition(":")
    target = Project.objects.live().filter(slug=slug).first()
    if target is None:
        raise Invalid(_("Choose the project that is to judge them."))
    return target, kind


@role_required("researcher")
def rules(request: HttpRequest, slug: str) -> HttpResponse:
    """Rules by which conversations become tasks by themselves."""
    project = _project(slug)
    if request.method == "POST":
        try:
            _change(request, project)
        except DomainError as exc:
            messages.error(request, exc.detail)
        return redirect("handover-rules", slug)
    found = HandoverRule.objects.filter(project=project).select_related("target", "created_by")
    rows = [
        {"rule": one, "sent": one.handovers.count(), "waiting": len(handover_rules.waiting(one))}
        for one in found
    ]
    context = {
        "project": project,
        "tab": "rules",
        "rows": rows,
        "picks": handover_rules.picks_for(project),
        "quiet": int(handover_rules.QUIET.total_seconds() // 60),
        **_choices(project),
    }
    return render(request, "feedback/handover_rules.html", context)


def _change(request: HttpRequest, project: Project) -> None:
    action = request.POST.get("action", "")
    if action == "create":
        target, kind = _target(request)
        try:
            share = float(request.POST.get("share", "100")) / 100
            per_day = int(request.POST.get("per_day", "20"))
        except ValueError:
            raise Invalid(_("Give the share and the number a day in figures.")) from None
        handover_rules.create(
            project=project, target=target, by=request.user, kind=kind,
            pick=request.POST.get("pick", ""), share=share, per_day=per_day,
        )  # fmt: skip
        return
    try:
        rule = HandoverRule.objects.get(project=project, pk=UUID(request.POST.get("rule", "")))
    except (ValueError, HandoverRule.DoesNotExist):
        raise Invalid(_("The rule is gone.")) from None
    if action == "delete":
        rule.delete()
    elif action in ("pause", "resume"):
        rule.is_active = action == "resume"
        rule.save(update_fields=["is_active"])


@require_GET
@role_required("admin")
def looks(request: HttpRequest, slug: str) -> HttpResponse:
    """Who looked at conversations, and when."""
    project = _project(slug)
    given = request.GET.get("before", "")
    before = int(given) if given.isdecimal() and len(given) <= 18 else None
    rows = reading.looks(project=project, before=before, limit=LOOKS)
    context = {
        "project": project,
        "tab": "looks",
        "rows": rows,
        "older": rows[-1]["id"] if len(rows) == LOOKS else None,
    }
    return render(request, "feedback/reading_log.html", context)
