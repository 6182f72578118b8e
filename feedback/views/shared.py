"""A shared path: read-only, without script, without the name of who shared it."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from feedback.models import Share
from feedback.present import message_json
from feedback.services import shares


@require_safe
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """What the link shows, to whoever has it; search engines are asked to stay away."""
    try:
        found = shares.shown(token)
    except Share.DoesNotExist:
        raise Http404("This link was taken back, or never existed.") from None
    context = {
        "heading": found.title,
        "thread": [message_json(one) for one in found.thread],
    }
    response = render(request, "feedback/shared.html", context)
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Cache-Control"] = "no-store"
    return response
