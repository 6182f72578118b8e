"""Pages of annotation: the projects of a person, and the desk where they judge."""

from datetime import timedelta
from uuid import uuid4

from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import desks, live, policies, selectors
from annotation.models import Assignment, Judgment, Project
from annotation.plain_forms import body_of
from annotation.services import parts, queue
from config.auth import role_required, scope
from config.errors import DomainError, Invalid

#: What the desk's script imports, directly or not; a test compares it with the files.
MODULES = [
    *(f"js/annotation/{name}.js" for name in (
        "judgment", "answers", "critique", "evidence", "listwise", "offsets", "picker", "rows",
        "sides", "span", "words")),
    *(f"js/lib/{name}.js" for name in ("api", "dom", "format", "keys")),
    *(f"js/elements/{name}.js" for name in ("code-copy", "relative-time", "theme-switch")),
]  # fmt: skip


@role_required("annotator")
@never_cache
@require_GET
def projects_page(request: HttpRequest) -> HttpResponse:
    """The projects this person works in, with their progress."""
    rows = list(Project.objects.visible_to(request.user).live().distinct())
    counts = selectors.counts_of([row.pk for row in rows])
    own = selectors.judged_by(request.user, since=_midnight())
    listed = [
        {"project": row, "counts": counts[row.pk], "today": own.get(row.pk, 0)} for row in rows
    ]
    context = {"listed": listed, "manages": policies.manages_any(request.user)}
    return render(request, "annotation/projects.html", context)


@role_required("annotator")
@never_cache
@require_http_methods(["GET", "POST"])
def work_page(request: HttpRequest, slug: str) -> HttpResponse:
    """The desk. GET shows the next task; POST is the plain form, for browsers without scripts."""
    try:
        project = policies.access_project(slug=slug, by=request.user)
        if request.method == "POST":
            return _plain_step(request, project)
        context = _work(request, project)
    except ObjectDoesNotExist:
        raise Http404 from None
    return render(request, "annotation/work.html", context, status=200)


def _plain_step(request: HttpRequest, project: Project) -> HttpResponse:
    form = request.POST
    try:
        # Each button of the form has a name of its own: undo, skip with its reason, or send.
        verb = next((name for name in ("undo", "skip") if name in form), "submit")
        step = {
            "do": verb,
            "assignment": form.get("assignment"),
            "judgment": form.get("undo"),
            "reason": form.get("skip", ""),
            "key": form.get("key") or None,
        }
        if step["do"] == "submit":
            asked = Assignment.objects.of(request.user).values_list("task__kind", "task__also")
            kind, also = asked.get(pk=_uuid(form.get("assignment")))
            step["body"] = body_of((kind, *also), form, project)
        _take_step(step, by=request.user)
    except DomainError as exc:
        messages.warning(request, exc.detail)
        _keep_as_draft(request, form)
    return HttpResponseRedirect(reverse("annotate-work", args=[project.slug]))


def _keep_as_draft(request: HttpRequest, form) -> None:
    """What was typed into a refused form is there again when the page comes back."""
    body = {"rationale": form.get("rationale", ""), "flags": form.getlist("flags")}
    try:
        queue.save_draft(assignment_id=_uuid(form.get("assignment")), by=request.user, body=body)
    except (DomainError, ObjectDoesNotExist):
        return


class StepView(APIView):
    """One step of the page's script: do something, and get the next desk with the answer.

    A page that shows the next task before it is asked for names it in `ahead` (empty where it
    has none yet): then its desk is not sent again, and the one that comes after it is.
    """

    permission_classes = [scope("annotate")]
    schema = None

    def post(self, request, slug):
        project = policies.access_project(slug=slug, by=request.user)
        step = request.data if isinstance(request.data, dict) else {}
        if step.get("do") == "ahead":
            return Response({"ahead": _ahead_html(request._request, project)})
        stored = _take_step(step, by=request.user)
        context = {"project": project, **_desk_context(request, project)}
        answer = {
            "today": selectors.judged_by(request.user, since=_midnight()).get(project.pk, 0),
            "given": live.totals(project.pk)["judgments"],
        }
        desk = context["desk"]
        if desk is not None and step.get("ahead") == str(desk.assignment.pk):
            undo = render_to_string("annotation/undo.html", context)
            answer |= {"html": None, "seconds_left": context["seconds_left"], "undo": undo}
        else:
            answer["html"] = _desk_html(request._request, context)
        if "ahead" in step:
            answer["ahead"] = _ahead_html(request._request, project) if desk is not None else None
        if stored is not None:
            answer |= {"judgment": str(stored.pk), "surplus": stored.surplus}
        return Response(answer)


def _take_step(step: dict, *, by) -> Judgment | None:
    """Submit, skip, release or undo. Raises what the queue raises, and Invalid for another verb."""
    match step.get("do"):
        case "submit":
            return queue.submit(
                assignment_id=_uuid(step.get("assignment")),
                by=by,
                body=step.get("body"),
                key=step.get("key") if isinstance(step.get("key"), str) else None,
            ).judgment
        case "skip":
            queue.skip(
                assignment_id=_uuid(step.get("assignment")), by=by, reason=step.get("reason") or ""
            )
        case "release":
            queue.release(assignment_id=_uuid(step.get("assignment")), by=by)
        case "undo":
            _undo(_uuid(step.get("judgment")), by=by)
        case "next":
            pass
        case _:
            raise Invalid("There is no such step.", fields={"do": "is not known"})
    return None


def _undo(judgment_id, *, by) -> None:
    """Undo, and lay what was said on the desk again as a draft."""
    judgment = Judgment.objects.of(by).get(pk=judgment_id)
    assignment = queue.undo(judgment_id=judgment_id, by=by)
    said = parts.answer_of(judgment) | {"rationale": judgment.rationale, "flags": judgment.flags}
    queue.save_draft(assignment_id=assignment.pk, by=by, body=said)


def _uuid(value: object):
    return queue.valid_uuid(value)


def _work(request: HttpRequest, project: Project) -> dict:
    return {
        "modules": MODULES,
        "preload": True,
        "project": project,
        "counts": selectors.counts(project),
        "today": selectors.judged_by(request.user, since=_midnight()).get(project.pk, 0),
        **_desk_context(request, project),
    }


def _desk_html(request: HttpRequest, context: dict) -> str:
    return render_to_string("annotation/desk.html", context, request=request)


def _ahead_html(request: HttpRequest, project: Project) -> str | None:
    """The desk of the task that comes after the one at hand, if it is settled which that is.

    What can be undone then is not known yet: it is what is at hand now."""
    assignment = queue.claim_ahead(project=project.slug, by=request.user)
    if assignment is None:
        return None
    return _desk_html(request, {"project": project, "last": None, **_shown(assignment)})


def _desk_context(request: HttpRequest, project: Project) -> dict:
    """The desk of the next lease, or the reason why there is none."""
    context: dict = {"last": _last_judgment(request.user, project)}
    try:
        assignment = queue.claim(project=project.slug, by=request.user)
    except DomainError as exc:
        return context | {"desk": None, "reason": exc.detail}
    if assignment is None:
        return context | {"desk": None, "reason": ""}
    return context | _shown(assignment)


def _shown(assignment: Assignment) -> dict:
    left = max(0, round((assignment.expires_at - timezone.now()).total_seconds()))
    return {
        "desk": desks.desk(assignment),
        "seconds_left": left,
        "key": str(uuid4()),
        "flags": desks.FLAGS,
        "skip_reasons": desks.SKIP_REASONS,
    }


def _last_judgment(user, project: Project) -> Judgment | None:
    """What undo would take back: one's newest standing judgment, while the window is open."""
    since = timezone.now() - timedelta(seconds=project.undo_seconds)
    return (
        Judgment.objects.of(user)
        .filter(project=project, withdrawn_at=None, created_at__gt=since)
        .exclude(assignment=None)
        .order_by("-created_at")
        .first()
    )


def _midnight():
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
