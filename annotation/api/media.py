"""Images of a project: uploaded by those who manage it, shown to those who work in it."""

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import policies
from annotation.api.permissions import Manages
from annotation.models import Media, Project
from annotation.services.media import add_image
from config.auth import role_required
from config.errors import Invalid


class MediaView(APIView):
    """Uploads, one image a request."""

    permission_classes = [Manages]
    parser_classes = [MultiPartParser]

    @extend_schema(
        request={
            "multipart/form-data": {
                "type": "object",
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "alt": {"type": "string"},
                },
                "required": ["file"],
            }
        },
        responses={201: OpenApiTypes.OBJECT, 400: OpenApiTypes.OBJECT},
    )
    def post(self, request, slug):
        """Store an image (field `file`, words for those who cannot see it in `alt`).

        Name it in a prompt or an answer as `{"type": "image", "image": ID}`.
        """
        project = policies.access_project(slug=slug, by=request.user)
        if not policies.may_manage(project=project, by=request.user):
            raise PermissionDenied
        file = request.FILES.get("file")
        if file is None:
            raise Invalid("Send an image in the field 'file'.", fields={"file": "is missing"})
        row = add_image(project=project, file=file, alt=str(request.data.get("alt") or ""))
        shown = {
            "id": str(row.pk),
            "address": reverse("annotate-media", args=[row.pk]),
            "content_type": row.content_type,
            "width": row.width,
            "height": row.height,
            "alt": row.alt,
        }
        return Response(shown, status=201)


@role_required("annotator")
@require_safe
def media_page(request: HttpRequest, media_id) -> HttpResponse:
    """The picture itself, for members of its project; anyone else does not find it."""
    try:
        row = Media.objects.get(
            pk=media_id, project__in=Project.objects.visible_to(request.user).values("pk")
        )
        with row.file.open() as file:
            data = file.read()
    except (ObjectDoesNotExist, FileNotFoundError):
        raise Http404 from None
    # Named by its hash, so it never changes; private, because only members may see it.
    return HttpResponse(
        data,
        content_type=row.content_type,
        headers={
            "Cache-Control": "private, max-age=31536000, immutable",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
        },
    )
