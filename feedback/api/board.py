"""REST door of the live board."""

from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Project
from config.auth import scope
from feedback.services import board, rollups


class BoardView(APIView):
    """What people make of the answers, by model version and arm, over a window."""

    permission_classes = [scope("research")]

    @extend_schema(
        parameters=[
            OpenApiParameter("window", str, enum=list(board.WINDOWS)),
            OpenApiParameter("door", str, enum=list(board.DOORS)),
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request, slug) -> Response:
        """Shares with 95 % Wilson intervals, times in milliseconds, and a series over time."""
        asked = request.query_params
        window = board.Window.read(asked.get("window"), asked.get("door"))
        project = Project.objects.get(slug=slug)
        rollups.fold()
        return Response(board.as_json(board.read(project=project, window=window)))
