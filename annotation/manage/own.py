"""One's own work: what one judged, what of it can be taken back, what reviewers wrote."""

from datetime import datetime, timedelta

from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from annotation.models import Candidate, Judgment, Note
from annotation.prompts import prompt_text
from annotation.said import in_words
from annotation.services import parts, queue
from config.auth import role_required
from config.errors import DomainError

PAGE = 30


@require_GET
@role_required("annotator")
@never_cache
def history(request: HttpRequest) -> HttpResponse:
    """Own judgments, newest first, in a fixed number of queries; nobody else's."""
    before = _moment(request.GET.get("before", ""))
    own = Judgment.objects.of(request.user).exclude(assignment=None)
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    rows = own.filter(created_at__lt=before) if before else own
    rows = list(
        rows.select_related("project", "task", "superseded_by")
        .prefetch_related(*dict.fromkeys(name for kind in parts.PREFETCH.values() for name in kind))
        .order_by("-created_at", "-pk")[: PAGE + 1]
    )
    letters = _letters(rows[:PAGE])
    undoable = set() if before else _undoable(rows)
    context = {
        "rows": [_row(row, letters, undoable) for row in rows[:PAGE]],
        "older": rows[PAGE - 1].created_at.isoformat() if len(rows) > PAGE else None,
        "is_first": not before,
        "today": own.filter(withdrawn_at=None, created_at__gte=today).count(),
        "total": own.filter(withdrawn_at=None).count(),
        "unread": Note.objects.filter(to=request.user, read_at=None).count(),
    }
    return render(request, "annotation/manage/own.html", context)


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    return moment if moment and timezone.is_aware(moment) else None


def _undoable(rows: list[Judgment]) -> set:
    """The newest standing judgment of each project, while the project's window is open."""
    found: dict[int, Judgment] = {}
    for row in rows:
        if row.withdrawn_at is None:
            found.setdefault(row.project_id, row)
    now = timezone.now()
    return {
        row.pk
        for row in found.values()
        if getattr(row, "superseded_by", None) is None
        and now - row.created_at < timedelta(seconds=row.project.undo_seconds)
    }


def _letters(rows: list[Judgment]) -> dict[int, dict[int, str]]:
    """By judgment's task: the letters under which its person saw the candidates."""
    places = Candidate.objects.filter(task__in={row.task_id for row in rows}).values_list(
        "task_id", "pk"
    )
    known: dict[int, list[int]] = {}
    for task, pk in places:
        known.setdefault(task, []).append(pk)
    return {
        row.pk: {pk: chr(ord("A") + n) for n, pk in enumerate(row.shown or known[row.task_id])}
        for row in rows
    }


def _row(row: Judgment, letters: dict, undoable: set) -> dict:
    return {
        "judgment": row,
        "prompt": prompt_text(row.task.prompt)[:240],
        "words": in_words(parts.answer_of(row), letters[row.pk]),
        "may_undo": row.pk in undoable,
    }


@require_POST
@role_required("annotator")
def undo(request: HttpRequest, judgment_id) -> HttpResponse:
    """Take back one's last judgment; it lies on the desk again."""
    try:
        assignment = queue.undo(judgment_id=judgment_id, by=request.user)
    except ObjectDoesNotExist:
        raise Http404 from None
    except DomainError as error:
        messages.warning(request, error.detail)
        return redirect("my-work")
    messages.success(request, _("Undone. Here it is again."))
    return redirect("annotate-work", slug=assignment.task.project.slug)
