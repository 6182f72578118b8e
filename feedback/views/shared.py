"""A shared path: read-only, without script, without the name of who shared it."""

from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from feedback.api.images import answer_with
from feedback.models import Share
from feedback.present import message_json
from feedback.services import shares


@require_safe
def shared_image(request: HttpRequest, token: str, image_id: UUID) -> HttpResponse:
    """A picture of the shared path."""
    try:
        return answer_with(shares.picture(token, image_id))
    except ObjectDoesNotExist:
        raise Http404("There is no such picture behind this link.") from None


@require_safe
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """What the link shows, to whoever has it; search engines are asked to stay away."""
    try:
        found = shares.shown(token)
    except Share.DoesNotExist:
        raise Http404("This link was taken back, or never existed.") from None
    thread = [message_json(one) for one in found.thread]
    for image in (image for one in thread for image in one["images"]):
        image["url"] = reverse("shared-image", args=[token, image["id"]])
    context = {"heading": found.title, "thread": thread}
    response = render(request, "feedback/shared.html", context)
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Cache-Control"] = "no-store"
    return response
