"""The desk as annotators see it, on a sample or on a real task, with nothing stored."""

import json
from datetime import timedelta
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from annotation import bodies, desks
from annotation.manage.guard import managing
from annotation.manage.samples import sample
from annotation.models import Assignment, Project, Task
from annotation.services.questions import question
from config.errors import Invalid

#: No lease has this id, so whatever reaches the real doors with it finds nothing.
NOWHERE = UUID(int=0)


@require_GET
@managing
def desk(request: HttpRequest, project: Project) -> HttpResponse:
    """The page. `?kind=` chooses the sample, `?task=` a task of the project."""
    task = _task(request, project)
    context = desk_context(request, project, task) | {
        "task": task,
        "counts": {"judgments": 0, "wanted": 0},
        "today": 0,
        "kinds": [(kind, task.kind == kind) for kind in project.kinds],
        "is_sample": not task.pk,
    }
    return render(request, "annotation/manage/preview.html", context)


@require_POST
@managing
def step(request: HttpRequest, project: Project) -> HttpResponse:
    """Check an answer as the desk would, and say what it would have stored."""
    try:
        sent = json.loads(request.body)
    except (ValueError, RecursionError):
        sent = None
    if not isinstance(sent, dict):
        return JsonResponse({"detail": "Send a JSON object."}, status=400)
    task = _task(request, project)
    answer = {"today": 0, "given": 0, "stored": None}
    if sent.get("do") == "submit":
        texts = {c.pk: c for c in task.in_order}
        asked = question(
            kind=task.kind,
            project=project,
            candidates=tuple(texts),
            text=lambda pk: texts[pk].content,
            also=task.also,
            prompt=task.prompt,
            metadata=task.metadata,
            position=lambda pk: texts[pk].position,
        )
        try:
            read = bodies.read(asked, sent.get("body"))
        except Invalid as error:
            refused = {"detail": error.detail, "code": error.code, "fields": error.fields}
            return JsonResponse(refused, status=400)
        answer["stored"] = read.answer | ({"also": dict(read.also)} if read.also else {})
    context = {"project": project, **desk_context(request, project, task)}
    answer["html"] = render_to_string("annotation/desk.html", context, request=request)
    return JsonResponse(answer)


def _task(request: HttpRequest, project: Project) -> Task:
    asked = request.GET.get("task", "")
    if asked:
        if not (asked.isascii() and asked.isdigit() and len(asked) < 19):
            raise Http404
        task = Task.objects.filter(project=project, pk=int(asked)).first()
        if task is None:
            raise Http404
        task.project = project
        task.in_order = list(task.candidates.order_by("position"))
        return task
    kind = request.GET.get("kind", project.kinds[0])
    if kind not in project.kinds:
        raise Http404
    return sample(project, kind)


def desk_context(request: HttpRequest, project: Project, task: Task) -> dict:
    """What `annotation/desk.html` needs to show a task that nobody holds."""
    now = timezone.now()
    lease = timedelta(seconds=project.lease_seconds)
    assignment = Assignment(
        pk=NOWHERE,
        task=task,
        annotator=request.user,
        shown=[c.pk for c in task.in_order],
        claimed_at=now,
        expires_at=now + lease,
    )
    assignment._state.fields_cache["draft"] = None  # nobody drafts here
    return {
        "project": project,
        "desk": desks.desk(assignment),
        "seconds_left": project.lease_seconds,
        "key": "preview",
        "flags": desks.FLAGS,
        "skip_reasons": desks.SKIP_REASONS,
        "last": None,
    }
