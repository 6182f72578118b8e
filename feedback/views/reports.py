"""Reported answers, for reviewers: what was said, why it was reported, and the ruling."""

from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from config.auth import role_required
from config.errors import DomainError
from feedback.models import Event
from feedback.present import message_json
from feedback.selectors import guest_pseudonym
from feedback.services import reports
from feedback.tree import Tree

SHOWN = 50


@role_required("reviewer")
@require_http_methods(["GET", "HEAD", "POST"])
def reported(request: HttpRequest) -> HttpResponse:
    """Open reports with the path up to the answer, oldest first; those decided below."""
    if request.method == "POST":
        return _rule(request)
    waiting = reports.waiting()
    context = {
        "waiting": [_shown(one) for one in waiting[:SHOWN]],
        "count": waiting.count(),
        "decided": reports.decided()[:SHOWN],
    }
    return render(request, "feedback/reports.html", context)


def _rule(request: HttpRequest) -> HttpResponse:
    try:
        reports.rule(
            report_id=int(request.POST.get("report", "")),
            by=request.user,
            verdict=request.POST.get("verdict", ""),
            note=request.POST.get("note", ""),
        )
    except (ObjectDoesNotExist, ValueError, OverflowError):
        raise Http404("There is no such report.") from None
    except DomainError as exc:
        messages.error(request, exc.detail)
    else:
        messages.success(request, _("Your ruling was stored."))
    return redirect("reported")


def _shown(report: Event) -> dict:
    path = Tree.of(report.message.conversation_id).path(report.message_id)
    return {
        "report": report,
        "who": report.actor.pseudonym if report.actor else guest_pseudonym(report.guest),
        "before": [message_json(one) for one in path[:-1]],
        "answer": message_json(path[-1]),
    }
