"""A person's own chats: taken along as a file, or deleted."""

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback.api.access import AUTHENTICATION, IsPerson, person_for
from feedback.people import COOKIE
from feedback.services import chat, generation, own_data
from feedback.threads import in_loop, in_turns


class OwnDataView(APIView):
    """All conversations of this person with what was said about them."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.BINARY})
    def get(self, request) -> StreamingHttpResponse:
        """One JSON object, streamed as a download."""
        pieces = own_data.export(person=person_for(request))
        # The server's loop may not wait for a database; other servers take pieces as they are.
        body = in_turns(pieces) if isinstance(request._request, ASGIRequest) else pieces
        return StreamingHttpResponse(
            body,
            content_type="application/json; charset=utf-8",
            headers={
                "Content-Disposition": 'attachment; filename="preferendum-chats.json"',
                "Cache-Control": "no-store",
            },
        )

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def delete(self, request) -> Response:
        """Delete them all, now and for good; answers with how many of each there were."""
        person = person_for(request)
        for message in person.messages.filter(state__in=chat.UNFINISHED):
            in_loop(generation.stop, message.pk)
        response = Response({"deleted": own_data.erase(person=person)})
        if person.guest:
            response.delete_cookie(COOKIE, samesite="Lax")
        return response
