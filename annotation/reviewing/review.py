"""What waits for a reviewer, and the page where they decide."""

import json
from uuid import uuid4

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import desks
from annotation.manage.preview import desk_context
from annotation.models import Judgment, Membership, Project, Task
from annotation.models.projects import Kind
from annotation.prompts import prompt_text
from annotation.reviewing.guard import reviewed_projects, reviewing, reviewing_any, task_of
from annotation.reviewing.told import told, voices
from annotation.services import parts, queue, review, tending
from config.errors import DomainError, Invalid
from config.models import User

SHOWN = 100
MOST_PROJECTS = 20

#: Disagreement to choose from, in words.
LEVELS = (
    (0.01, gettext_lazy("any")),
    (review.LEAST, gettext_lazy("a third")),
    (0.5, gettext_lazy("half")),
    (0.75, gettext_lazy("three quarters")),
    (1.0, gettext_lazy("full")),
)

REASONS = {
    "disagreement": gettext_lazy("Disagreement"),
    "flag": gettext_lazy("Flagged"),
    "gold": gettext_lazy("Known answer missed"),
}


@require_GET
@reviewing_any
def listing(request: HttpRequest) -> HttpResponse:
    """Disagreements, flags and missed gold answers in one list; the filter is in the address."""
    projects = list(reviewed_projects(request.user).order_by("name"))
    asked = _asked(request, projects)
    chosen = [p for p in projects if asked["project"] in ("", p.slug)][:MOST_PROJECTS]
    items = []
    for project in chosen:
        tending.tend_when_due(project)
        found = review.waiting(
            project,
            reasons=tuple(asked["reasons"]) or review.REASONS,
            kind=asked["kind"],
            least=asked["least"],
            person=asked["person"],
            limit=SHOWN,
        )
        items += [(project, item) for item in found]
    items.sort(key=lambda pair: (-pair[1].weight, -pair[1].at.timestamp()))
    context = {
        "projects": projects,
        "asked": asked,
        "reasons": [(name, word, name in asked["reasons"]) for name, word in REASONS.items()],
        "kinds": sorted({kind for p in projects for kind in p.kinds}),
        "rows": [_row(project, item) for project, item in items[:SHOWN]],
        "more": max(0, len(items) - SHOWN),
        "levels": LEVELS,
        "least": min(LEVELS, key=lambda level: abs(level[0] - asked["least"]))[0],
        "is_filtered": bool(request.GET),
        "query": request.GET.urlencode(),
    }
    return render(request, "annotation/review/list.html", context)


def _asked(request: HttpRequest, projects: list[Project]) -> dict:
    form = request.GET
    slug, kind = form.get("project", ""), form.get("kind", "")
    person = form.get("person", "").strip()[:40]
    try:
        least = min(max(float(form.get("least", review.LEAST)), 0.0), 1.0)
    except ValueError:
        least = review.LEAST
    return {
        "project": slug if slug in {p.slug for p in projects} else "",
        "kind": kind if kind in Kind.values else "",
        "person": person if person.isprintable() else "",
        "least": least if least == least else review.LEAST,  # not a number
        "reasons": [name for name in form.getlist("reason") if name in REASONS],
    }


def _row(project: Project, item: review.Item) -> dict:
    return {
        "project": project,
        "item": item,
        "reason": REASONS[item.reason],
        "asked": prompt_text(item.task.prompt)[:240],
        "percent": round(100 * item.weight),
    }


@require_http_methods(["GET", "POST"])
@reviewing
def task_page(request: HttpRequest, project: Project, task_id: int) -> HttpResponse:
    """A task with what people said of it, without their names; the verdict is given here."""
    task = task_of(project, task_id)
    if request.method == "POST":
        return _act(request, project, task)
    words = told(task)
    verdict = review.verdict_of(task)
    spoken = voices(task)
    own = any(voice.judgment.annotator_id == request.user.pk for voice in spoken)
    context = {
        "project": project,
        "task": task,
        "answers": [
            {
                "letter": words.letters[c.pk],
                "content": c.parts if c.parts is not None else c.content,
            }
            for c in task.in_order
        ],
        "choices": _choices(task, words),
        "voices": spoken,
        "verdict": verdict,
        "verdict_lines": words.lines(parts.answer_of(verdict)) if verdict else [],
        "gold_lines": words.gold_lines(),
        "is_own": own,
        "people": _others(project, spoken),
        "key": str(uuid4()),
        "back": request.GET.get("back", "")[:500],
    }
    return render(request, "annotation/review/task.html", context)


def _choices(task: Task, words) -> list[tuple[str, str, str]]:
    """One-key verdicts of a plain pair: (value, what it says, key)."""
    if task.kind != "pairwise" or task.also or len(words.letters) != 2:
        return []
    first, second = (c.pk for c in task.in_order)
    return [
        (f"{first}:2", _("A is better"), "a"),
        (f"{second}:2", _("B is better"), "b"),
        ("tie", _("Tie"), "t"),
        ("both_bad", _("Both bad"), "x"),
    ]


def _others(project: Project, spoken) -> list[User]:
    """Annotators who have not judged the task."""
    there = [voice.judgment.annotator_id for voice in spoken]
    rows = Membership.objects.filter(project=project, role="annotator", is_paused=False)
    rows = rows.exclude(user__in=there).filter(user__is_active=True)
    return [row.user for row in rows.select_related("user").order_by("user__pseudonym")[:200]]


def _act(request: HttpRequest, project: Project, task: Task) -> HttpResponse:
    form = request.POST
    back = _back(request)
    try:
        said = ACTS[form.get("do", "")](request, task)
    except KeyError:
        raise Http404 from None
    except DomainError as error:
        messages.warning(request, error.detail)
    except (Judgment.DoesNotExist, User.DoesNotExist):
        messages.warning(request, _("That is no longer there; this is how things stand."))
    else:
        messages.success(request, said)
        if form["do"] in ("choose", "uphold", "dismiss"):
            return redirect(back)
    return redirect(reverse("review-task", args=[project.slug, task.pk]) + _carry(form))


def _carry(form) -> str:
    from urllib.parse import urlencode

    back = form.get("back", "")[:500]
    return f"?{urlencode({'back': back})}" if back else ""


def _back(request: HttpRequest) -> str:
    """The list, with the filter one came with."""
    query = request.POST.get("back", "")[:500]
    fine = query and query.isprintable() and "#" not in query
    return reverse("review") + (f"?{query}" if fine else "")


def _choose(request: HttpRequest, task: Task) -> str:
    choice = request.POST.get("choice", "")
    body: dict = {"rationale": request.POST.get("rationale", "").strip()}
    if choice in ("tie", "both_bad"):
        body["outcome"] = choice
    else:
        preferred, _colon, strength = choice.partition(":")
        if not (f"{preferred}{strength}".isascii() and preferred.isdigit() and strength.isdigit()):
            raise Invalid("Choose one of the verdicts.", fields={"choice": "is missing"})
        if len(preferred) > 18 or len(strength) > 1:
            raise Invalid("Choose one of the verdicts.", fields={"choice": "is not known"})
        body |= {"outcome": "preferred", "preferred": int(preferred), "strength": int(strength)}
    review.decide(task=task, by=request.user, body=body, key=_key(request))
    return _("Decided. Snapshots take your verdict from now on.")


def _key(request: HttpRequest) -> str | None:
    key = request.POST.get("key", "")
    return key if 0 < len(key) <= 80 and key.isprintable() else None


def _uphold(request: HttpRequest, task: Task) -> str:
    pk = queue.valid_uuid(request.POST.get("judgment"))
    review.uphold(task=task, judgment_id=pk, by=request.user, key=_key(request))
    return _("Upheld: that is the verdict now.")


def _dismiss(request: HttpRequest, task: Task) -> str:
    review.dismiss(task=task)
    return _("Off the list. The judgments stay as they are.")


def _reopen(request: HttpRequest, task: Task) -> str:
    review.reopen(task=task)
    return _("Back on the list.")


def _note(request: HttpRequest, task: Task) -> str:
    pk = queue.valid_uuid(request.POST.get("judgment"))
    judgment = task.judgments.select_related("annotator").get(pk=pk)
    review.write_note(
        project=task.project,
        to=judgment.annotator,
        by=request.user,
        text=request.POST.get("text"),
        judgment=judgment,
    )
    return _("Sent. They see it when they next open Annotate.")


def _ask(request: HttpRequest, task: Task) -> str:
    name = request.POST.get("person", "")[:40].replace("\x00", "")
    to = None
    if name:
        to = User.objects.get(memberships__project=task.project_id, pseudonym=name)
    review.ask_another(task=task, to=to)
    return _("One more person is asked.")


ACTS = {
    "choose": _choose,
    "uphold": _uphold,
    "dismiss": _dismiss,
    "reopen": _reopen,
    "note": _note,
    "ask": _ask,
}


# The desk, for a verdict in full --------------------------------------------------------------


@require_GET
@reviewing
def verdict_desk(request: HttpRequest, project: Project, task_id: int) -> HttpResponse:
    """The annotators' own desk, for kinds that a single button cannot answer."""
    task = task_of(project, task_id)
    context = desk_context(request, project, task) | {
        "task": task,
        "counts": {"judgments": 0, "wanted": 0},
        "today": 0,
        "key": str(uuid4()),
        "flags": desks.FLAGS,
    }
    return render(request, "annotation/review/desk.html", context)


@require_POST
@reviewing
def verdict_step(request: HttpRequest, project: Project, task_id: int) -> HttpResponse:
    """The verdict sent from the desk: `{"do": "submit", "body", "key"}`, as desks send it."""
    task = task_of(project, task_id)
    try:
        sent = json.loads(request.body)
    except (ValueError, RecursionError):
        sent = None
    if not isinstance(sent, dict) or sent.get("do") != "submit":
        return JsonResponse({"detail": "Send a verdict."}, status=400)
    body = sent.get("body")
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name != "token"}
    key = sent.get("key")
    try:
        review.decide(
            task=task, by=request.user, body=body, key=key if isinstance(key, str) else None
        )
    except DomainError as error:
        status = 400 if isinstance(error, Invalid) else 409
        refused = {"detail": error.detail, "code": error.code, "fields": error.fields}
        return JsonResponse(refused, status=status)
    messages.success(request, _("Decided. Snapshots take your verdict from now on."))
    return JsonResponse({"next": reverse("review")})
