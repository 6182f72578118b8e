"""REST calls around a project: list, create, fill, let people in, export."""

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import policies, selectors
from annotation.api import render
from annotation.api.streams import gathered, in_turns
from annotation.api.views import _object
from annotation.models import Project
from annotation.services import exports, imports, projects
from config.auth import scope
from config.errors import Invalid
from config.models import User

ANY = OpenApiTypes.OBJECT


class Untouched(BaseParser):
    """Any media type; the view reads the stream itself."""

    media_type = "*/*"

    def parse(self, stream, media_type=None, parser_context=None):
        return stream


class ProjectsView(APIView):
    def get_permissions(self):
        return [scope("annotate" if self.request.method == "GET" else "research")()]

    @extend_schema(operation_id="projects_list", responses={200: ANY})
    def get(self, request):
        """The projects this person may see, with counts."""
        rows = Project.objects.visible_to(request.user).live().distinct()
        counts = selectors.counts_of([row.pk for row in rows])
        return Response([render.project(row, counts=counts[row.pk]) for row in rows])

    @extend_schema(request=ANY, responses={201: ANY, 400: ANY, 409: ANY})
    def post(self, request):
        """Create a project from the template of its kinds: `{"slug", "kinds", "overlap"}`."""
        body = _object(request.data)
        unknown = sorted(set(body) - {"slug", "kinds", "name", "overlap"})
        if unknown:
            raise Invalid(
                f"{unknown[0]} is not a known field.", fields={unknown[0]: "is not a known field"}
            )
        name = body.get("name")
        if name is not None and not (isinstance(name, str) and 0 < len(name) <= 120):
            raise Invalid("name must be short text.", fields={"name": "must be short text"})
        row = projects.create_project(
            slug=body.get("slug"),
            kinds=body.get("kinds"),
            name=name,
            overlap=body.get("overlap", 1),
            by=request.user,
        )
        return Response(render.project(row), status=201)


class ProjectView(APIView):
    permission_classes = [scope("annotate")]

    @extend_schema(responses={200: ANY})
    def get(self, request, slug):
        """One project with its counts."""
        row = policies.access_project(slug=slug, by=request.user)
        return Response(render.project(row, counts=selectors.counts(row.pk)))


class MembersView(APIView):
    permission_classes = [scope("research")]

    @extend_schema(request=ANY, responses={201: ANY, 400: ANY})
    def post(self, request, slug):
        """Let a person in: `{"username", "role"}`."""
        row = policies.access_project(slug=slug, by=request.user)
        body = _object(request.data)
        username, role = body.get("username"), body.get("role", "annotator")
        if not isinstance(username, str) or "\x00" in username:
            raise Invalid("username must be text.", fields={"username": "must be text"})
        if role not in ("annotator", "reviewer", "researcher"):
            raise Invalid("role is not known.", fields={"role": "annotator, reviewer, researcher"})
        user = User.objects.filter(username=username).first()
        if user is None:
            raise Invalid("There is no such person.", fields={"username": "is not known"})
        projects.add_member(project=row, user=user, role=role)
        return Response({"username": username, "role": role}, status=201)


class TasksView(APIView):
    permission_classes = [scope("research")]
    parser_classes = [JSONParser, Untouched]

    @extend_schema(
        parameters=[
            OpenApiParameter("partial", bool, description="Keep the good lines."),
            OpenApiParameter(
                "format", str, description="As of import_tasks; preferendum if left out."
            ),
            OpenApiParameter("kind", str),
        ],
        request=ANY,
        responses={201: ANY, 400: ANY},
    )
    def post(self, request, slug):
        """Tasks as NDJSON or a JSON array, streamed; all or nothing unless `?partial=1`."""
        row = policies.access_project(slug=slug, by=request.user)
        query = request.query_params
        created = imports.import_stream(
            project=row,
            stream=request._request,
            format=query.get("format", "preferendum"),
            kind=query.get("kind", ""),
            partial=query.get("partial") == "1",
            dry_run=query.get("dry_run") == "1",
            by=request.user,
        )
        kept = not created.refused or query.get("partial") == "1"
        answer = imports.summary(created)
        if kept:
            return Response(answer, status=201)
        detail = imports.refusal(created)
        return Response({"detail": detail, "code": "invalid", "fields": {}, **answer}, status=400)


class ExportView(APIView):
    permission_classes = [scope("research")]

    @extend_schema(
        parameters=[OpenApiParameter("format", str)],
        responses={(200, "application/x-ndjson"): OpenApiTypes.STR, 400: ANY},
    )
    def get(self, request, slug):
        """The project in one of the formats of export_dataset, streamed, a JSON object a line."""
        row = policies.access_project(slug=slug, by=request.user)
        form = exports.find(request.query_params.get("format", "preferendum"))
        lines = gathered(exports.lines(project=row, form=form))
        body = in_turns(lines) if isinstance(request._request, ASGIRequest) else lines
        return StreamingHttpResponse(
            body,
            content_type="application/x-ndjson",
            headers={"Content-Disposition": f'attachment; filename="{row.slug}-{form.name}.jsonl"'},
        )
