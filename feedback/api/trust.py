"""REST doors of trust, for researchers: what was doubted, why, and what it changes."""

from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Project
from config.auth import scope
from config.errors import Invalid
from feedback.services import love, trust

PAGE = 100


class TrustView(APIView):
    """The newest report: reasons, groups, love rates with and without the weights, and the
    predicted P[Love] of all answers that were seen."""

    permission_classes = [scope("research")]

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request, slug) -> Response:
        project = Project.objects.get(slug=slug)
        told = {"report": trust.report(project=project), "love": love.report(project=project)}
        return Response({"project": slug} | told)


class DoubtedView(APIView):
    """Reactions that count less than fully, newest first, each with its reasons."""

    permission_classes = [scope("research")]

    @extend_schema(
        parameters=[OpenApiParameter("before", int, description="An event id; older ones follow.")],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request, slug) -> Response:
        project = Project.objects.get(slug=slug)
        given = request.query_params.get("before")
        if given is not None and not (given.isdecimal() and len(given) <= 18):
            raise Invalid("'before' is an event id.", fields={"before": "must be a whole number"})
        before = int(given) if given is not None else None
        rows = trust.doubted(project=project, before=before, limit=PAGE)
        more = rows[-1]["event"] if len(rows) == PAGE else None
        return Response({"results": rows, "before": more})
