"""The tasks of a project: find, read with their judgments, withdraw, reopen."""

from django.contrib import messages
from django.db import OperationalError, connection, transaction
from django.db.models import Exists, OuterRef, Q, TextField
from django.db.models.functions import Cast
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from annotation.formats.lines import unstorable
from annotation.manage.guard import managing
from annotation.manage.projects import page
from annotation.models import Assignment, Candidate, Judgment, Project, Task
from annotation.models.projects import Kind
from annotation.prompts import prompt_text
from annotation.said import in_words
from annotation.services import curation, parts

PAGE = 50
SEARCH_MS = 5000


@require_GET
@managing
def table(request: HttpRequest, project: Project) -> HttpResponse:
    """Tasks, newest first, by words, state and kind; the filter is in the address."""
    asked = {name: request.GET.get(name, "").strip() for name in ("q", "state", "kind", "before")}
    found = _found(project, asked)
    if asked["before"].isascii() and asked["before"].isdigit() and len(asked["before"]) < 19:
        found = found.filter(pk__lt=int(asked["before"]))
    rows, too_long = _read(found.order_by("-pk").defer("metadata", "gold"), limited=asked["q"])
    query = request.GET.copy()
    query.pop("before", None)
    context = {
        "too_long": too_long,
        "rows": [{"task": row, "prompt": prompt_text(row.prompt)[:300]} for row in rows[:PAGE]],
        "asked": asked,
        "states": Task.State.choices,
        "kinds": [(kind, Kind(kind).label) for kind in project.kinds],
        "older": rows[PAGE - 1].pk if len(rows) > PAGE else None,
        "query": query.urlencode(),
        "is_filtered": any(asked[name] for name in ("q", "state", "kind")),
    }
    return page(request, project, "tasks", context)


def _read(found, *, limited: str) -> tuple[list[Task], bool]:
    """A page of tasks and one more. A search for words reads every text of the project, so it has
    SEARCH_MS and no more; then True stands beside an empty list."""
    if not limited:
        return list(found[: PAGE + 1]), False
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(SEARCH_MS)])
            return list(found[: PAGE + 1]), False
    except OperationalError:
        return [], True


def _found(project: Project, asked: dict[str, str]):
    found = Task.objects.filter(project=project)
    if asked["state"] in Task.State.values:
        found = found.filter(state=asked["state"])
    if asked["kind"] in Kind.values:
        found = found.filter(Q(kind=asked["kind"]) | Q(also__contains=[asked["kind"]]))
    words = asked["q"][:200]
    if words and not unstorable(words):
        answers = Candidate.objects.filter(task=OuterRef("pk"), content__icontains=words)
        matching = Q(said__icontains=words) | Q(external_id=words) | Exists(answers)
        if words.isascii() and words.isdigit() and len(words) < 19:
            matching |= Q(pk=int(words))
        found = found.annotate(said=Cast("prompt", TextField())).filter(matching)
    return found


@require_http_methods(["GET", "POST"])
@managing
def one(request: HttpRequest, project: Project, task_id: int) -> HttpResponse:
    """One task with its answers, who holds it, and what was said, under pseudonyms."""
    task = get_object_or_404(
        Task.objects.filter(project=project).select_related("repeat_of"), pk=task_id
    )
    if request.method == "POST":
        actions = {
            "withdraw": (curation.withdraw, _("Withdrawn: nobody is given it any more.")),
            "reopen": (curation.reopen, _("It is back.")),
        }
        if request.POST.get("do") not in actions:
            raise Http404
        act, said = actions[request.POST["do"]]
        act(task=task)
        messages.success(request, said)
        return redirect("manage-task", slug=project.slug, task_id=task.pk)
    candidates = list(
        Candidate.objects.filter(task=task).select_related("model_version").order_by("position")
    )
    letters = {c.pk: chr(ord("A") + c.position) for c in candidates}
    judgments = (
        Judgment.objects.filter(task=task)
        .select_related("annotator", "superseded_by", "task")
        .prefetch_related(
            *(name for kind in (task.kind, *task.also) for name in parts.PREFETCH[kind])
        )
        .order_by("created_at")
    )
    context = {
        "task": task,
        "tab": "tasks",
        "candidates": [
            {
                "letter": letters[c.pk],
                "candidate": c,
                "content": c.content if c.parts is None else c.parts,
            }
            for c in candidates
        ],
        "said": [_said(judgment, letters) for judgment in judgments],
        "held": Assignment.objects.filter(task=task)
        .exclude(state="submitted")
        .select_related("annotator")
        .order_by("-claimed_at"),
    }
    return page(request, project, "task", context)


def _said(judgment: Judgment, letters: dict[int, str]) -> dict:
    return {
        "judgment": judgment,
        "words": in_words(parts.answer_of(judgment), letters),
        "shown": " ".join(letters.get(pk, "?") for pk in judgment.shown),
        "superseded": getattr(judgment, "superseded_by", None) is not None,
    }
