"""Pictures for questions: added before they are sent, shown to their person."""

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.response import Response
from rest_framework.views import APIView

from feedback.api.access import AUTHENTICATION, IsPerson, MayBegin, person_for
from feedback.models import Image
from feedback.people import remember
from feedback.present import image_json
from feedback.services import images


class AnyFile(BaseParser):
    """The body as it is, whatever the client calls it; the picture itself is what is checked."""

    media_type = "*/*"

    def parse(self, stream, media_type=None, parser_context=None) -> bytes:
        return stream.read(images.LARGEST_FILE + 1)


class ImagesView(APIView):
    """Add a picture: its bytes are the body."""

    authentication_classes = AUTHENTICATION
    permission_classes = [MayBegin]
    parser_classes = [AnyFile]

    @extend_schema(request=OpenApiTypes.BINARY, responses={201: OpenApiTypes.OBJECT})
    def post(self, request) -> Response:
        person = person_for(request)
        content = request.data if isinstance(request.data, bytes) else b""
        response = Response(image_json(images.add(person=person, content=content)), status=201)
        if person.guest:
            remember(response, person, secure=request.is_secure())
        return response


class ImageView(APIView):
    """One own picture."""

    authentication_classes = AUTHENTICATION
    permission_classes = [IsPerson]

    @extend_schema(responses={(200, "image/*"): OpenApiTypes.BINARY})
    def get(self, request, image_id) -> HttpResponse:
        return answer_with(images.find(person=person_for(request), image_id=image_id))


def answer_with(image: Image) -> HttpResponse:
    """The picture itself; it never changes, and only its reader's browser may keep it."""
    return HttpResponse(
        bytes(image.data),
        content_type=image.content_type,
        headers={"Cache-Control": "private, max-age=86400, immutable"},
    )
