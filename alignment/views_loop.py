"""The console's pages of the loop: when rounds begin, what changed in the data, pausing a run."""

import json
import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.dateparse import parse_time
from django.utils.translation import gettext as _
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from alignment import policies
from alignment.models import Rule, Snapshot
from alignment.services import differences, runs, snapshots, triggers
from annotation.models import Project
from config.auth import role_required
from config.errors import DomainError, Invalid

researcher = role_required("researcher")
WHOLE = ("new_judgments", "new_reactions", "rounds_a_day", "minutes_a_day")
SHARES = ("accuracy_drop", "agreement_drop", "prompt_shift")
LABELS = {
    "new_judgments": "New judgments",
    "new_reactions": "New reactions",
    "cron": "Clock (minute hour day month weekday)",
    "accuracy_drop": "Fall of the reward model's accuracy on fresh pairs",
    "agreement_drop": "Fall of agreement between people (alpha)",
    "prompt_shift": "Prompts moved: p-value at most",
    "quiet_from": "Quiet from",
    "quiet_until": "Quiet until",
    "time_zone": "Time zone",
    "rounds_a_day": "Rounds a day at most",
    "minutes_a_day": "Minutes a day at most",
    "config": "Settings of these rounds (JSON)",
}
TIMES = ("quiet_from", "quiet_until")


@ensure_csrf_cookie
@require_http_methods(["GET", "POST"])
@researcher
def rule(request: HttpRequest, slug: str) -> HttpResponse:
    """The rule by which rounds begin, and every time it held."""
    project = _project(request, slug)
    found = Rule.objects.filter(project=project).first() or Rule(project=project)
    given, wrong = None, {}
    if request.method == "POST":
        given = request.POST
        try:
            triggers.change(project=project, by=request.user, **_read(given))
        except Invalid as error:
            wrong = error.fields
            messages.error(request, error.detail)
        else:
            messages.success(request, _("The rule is kept."))
            return redirect("console-rule", slug=slug)
    fields = [
        {
            "name": name,
            "label": label,
            "shown": given.get(name, "") if given is not None else _shown(getattr(found, name)),
            "kind": "number" if name in (*WHOLE, *SHARES) else "time" if name in TIMES else "text",
            "step": "1" if name in WHOLE else "any",
            "error": wrong.get(name, ""),
        }
        for name, label in LABELS.items()
    ]
    enabled = given.get("enabled") if given is not None else found.enabled
    context = {
        "project": project,
        "tab": "rule",
        "rule": found,
        "fields": fields,
        "enabled": enabled,
        "since": triggers.counts_since(found),
        "firings": project.firings.select_related("round")[:50],
    }
    status = 400 if wrong else 200
    return render(request, "alignment/rule.html", context, status=status)


def _read(given) -> dict[str, Any]:
    """The form's fields as a rule has them. Raises Invalid naming those that cannot be read."""
    read: dict[str, Any] = {"enabled": bool(given.get("enabled"))}
    wrong: dict[str, str] = {}
    for name in LABELS:
        text = given.get(name, "").strip()
        try:
            if name in WHOLE:
                read[name] = int(text) if text else None
            elif name in SHARES:
                read[name] = float(text) if text else None
            elif name in TIMES:
                read[name] = parse_time(text) if text else None
                if text and read[name] is None:
                    raise ValueError
            elif name == "config":
                read[name] = json.loads(text) if text else {}
                if not isinstance(read[name], dict):
                    raise ValueError
            else:
                read[name] = text
        except ValueError:
            wrong[name] = "cannot be read"
    if wrong:
        raise Invalid(f"The rule was not changed: {', '.join(wrong)} cannot be read.", fields=wrong)
    if not read["time_zone"]:
        read["time_zone"] = "UTC"
    return read


def _shown(value: Any) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, dict):
        return json.dumps(value)
    return f"{value:%H:%M}" if hasattr(value, "hour") else str(value)


@require_POST
@researcher
def change_run(request: HttpRequest, slug: str, run_id, action: str) -> HttpResponse:
    """Pause a run, or let it go on."""
    run = get_object_or_404(_project(request, slug).runs, pk=run_id)
    actions = {"pause": runs.pause, "resume": runs.resume}
    if action not in actions:
        raise Http404
    try:
        actions[action](run=run)
    except DomainError as error:
        messages.error(request, error.detail)
    return redirect("console-run", slug=slug, run_id=run_id)


@require_GET
@researcher
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    """What changed between two snapshots; without a choice the newest two."""
    project = _project(request, slug)
    newest = list(project.snapshots.all()[:50])
    chosen = [_chosen(project, request.GET.get(name)) for name in ("before", "after")]
    if chosen == [None, None] and len(newest) > 1:
        chosen = [newest[1], newest[0]]
    found, problem = None, ""
    if None not in chosen:
        try:
            found = differences.between(*chosen)
        except DomainError as error:
            problem = error.detail
    context = {
        "project": project,
        "tab": "data",
        "snapshots": newest,
        "before": chosen[0],
        "after": chosen[1],
        "found": found,
        "problem": problem,
    }
    return render(request, "alignment/snapshot_compare.html", context)


def _chosen(project: Project, pk: str | None) -> Snapshot | None:
    if not pk:
        return None
    try:
        return get_object_or_404(project.snapshots, pk=uuid.UUID(pk))
    except ValueError:
        raise Http404 from None


@require_GET
@researcher
def datasheet(request: HttpRequest, slug: str, snapshot_id, form: str) -> HttpResponse:
    """The datasheet of a snapshot as JSON or Markdown."""
    taken = get_object_or_404(_project(request, slug).snapshots, pk=snapshot_id)
    try:
        if form == "json":
            return JsonResponse(snapshots.datasheet_of(taken), json_dumps_params={"indent": 2})
        if form == "md":
            path = snapshots.folder_of(taken) / "datasheet.md"
            return HttpResponse(path.read_text(), content_type="text/markdown; charset=utf-8")
    except (DomainError, OSError):
        raise Http404 from None
    raise Http404


def _project(request: HttpRequest, slug: str) -> Project:
    return get_object_or_404(policies.visible(request.user), slug=slug)
