"""REST calls around a project: list, create, fill, let people in, export."""

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import policies, selectors
from annotation.api import render
from annotation.api.permissions import Manages
from annotation.api.streams import gathered, in_turns
from annotation.api.views import _object
from annotation.models import Invite, Membership, Project
from annotation.services import exports, imports, people, projects, settings
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
    def get_permissions(self):
        return [scope("annotate")() if self.request.method == "GET" else Manages()]

    @extend_schema(responses={200: ANY})
    def get(self, request, slug):
        """One project with its counts."""
        row = policies.access_project(slug=slug, by=request.user)
        return Response(render.project(row, counts=selectors.counts(row.pk)))

    @extend_schema(operation_id="projects_change", request=ANY, responses={200: ANY, 400: ANY})
    def patch(self, request, slug):
        """Change settings: any of `name, guidelines, kinds, overlap, order, lease_seconds,
        undo_seconds, gold_rate, repeat_rate, calibration_size, calibration_pass, languages,
        dimensions, attributes, categories, missing_categories, is_paused`. With
        `"apply_to_open": true` open tasks take the overlap too.
        """
        row = policies.managed_project(slug=slug, by=request.user)
        changes = dict(_object(request.data))
        spread = changes.pop("apply_to_open", False)
        if not isinstance(spread, bool):
            reason = "must be true or false"
            raise Invalid(f"apply_to_open {reason}.", fields={"apply_to_open": reason})
        row = projects.change_project(
            project=row, by=request.user, apply_to_open=spread, **_by_name(changes)
        )
        return Response(render.settings(row))


def _by_name(changes: dict) -> dict:
    """Settings as keywords: a field that is none of theirs is refused by name, whatever it is."""
    settings.check({name: value for name, value in changes.items() if name not in settings.RULES})
    return changes


class MembersView(APIView):
    permission_classes = [Manages]

    @extend_schema(responses={200: ANY})
    def get(self, request, slug):
        """Who is in the project: name, role, skills, pause."""
        row = policies.managed_project(slug=slug, by=request.user)
        places = Membership.objects.filter(project=row).select_related("user")
        return Response([render.membership(place) for place in places.order_by("user__username")])

    @extend_schema(request=ANY, responses={201: ANY, 400: ANY})
    def post(self, request, slug):
        """Let a person in: `{"username", "role"}`."""
        row = policies.managed_project(slug=slug, by=request.user)
        body = _object(request.data)
        username, role = body.get("username"), body.get("role", "annotator")
        if not isinstance(username, str) or "\x00" in username:
            raise Invalid("username must be text.", fields={"username": "must be text"})
        allowed = policies.roles_to_give(project=row, by=request.user)
        if role not in allowed:
            raise Invalid("role is not known.", fields={"role": ", ".join(allowed)})
        user = User.objects.filter(username=username).first()
        if user is None:
            raise Invalid("There is no such person.", fields={"username": "is not known"})
        projects.add_member(project=row, user=user, role=role, by=request.user)
        return Response({"username": username, "role": role}, status=201)


class MemberView(APIView):
    permission_classes = [Manages]

    @extend_schema(request=ANY, responses={200: ANY, 400: ANY})
    def patch(self, request, slug, username):
        """Change a person's place: any of `{"role", "skills", "paused"}`."""
        place = _place(slug, username, request.user)
        body = _object(request.data)
        known = {"role", "skills", "paused"}
        wrong = {name: "is not a known field" for name in body if name not in known}
        if not isinstance(body.get("paused", False), bool):
            wrong["paused"] = "must be true or false"
        skills = body.get("skills", [])
        if not isinstance(skills, list) or not all(isinstance(word, str) for word in skills):
            wrong["skills"] = "must be a list of words"
        if not isinstance(body.get("role", ""), str):
            wrong["role"] = "must be text"
        if wrong:
            raise Invalid("; ".join(f"{k} {v}" for k, v in wrong.items()) + ".", fields=wrong)
        changed = people.change_member(membership=place, by=request.user, **body)
        return Response(render.membership(changed))

    @extend_schema(responses={204: None})
    def delete(self, request, slug, username):
        """Take a person out of the project. Their judgments stay; what they hold goes back."""
        people.remove_member(membership=_place(slug, username, request.user), by=request.user)
        return Response(status=204)


def _place(slug: str, username: str, by: User) -> Membership:
    row = policies.managed_project(slug=slug, by=by)
    places = Membership.objects.filter(project=row).select_related("user", "project")
    return places.get(user__username=username.replace("\x00", ""))


class InvitesView(APIView):
    permission_classes = [Manages]

    @extend_schema(operation_id="invites_list", responses={200: ANY})
    def get(self, request, slug):
        """Links that still let someone in, newest first; never their secrets."""
        row = policies.managed_project(slug=slug, by=request.user)
        found = people.live_invites(row).order_by("-created_at")
        return Response([render.invite(one) for one in found])

    @extend_schema(request=ANY, responses={201: ANY, 400: ANY})
    def post(self, request, slug):
        """A link into the project: `{"role", "uses", "days", "skills", "note"}`; shown once."""
        row = policies.managed_project(slug=slug, by=request.user)
        body = _object(request.data)
        unknown = sorted(set(body) - {"role", "uses", "days", "skills", "note"})
        if unknown:
            reason = "is not a known field"
            raise Invalid(f"{unknown[0]} {reason}.", fields={unknown[0]: reason})
        skills = body.get("skills", [])
        if not isinstance(skills, list) or not all(isinstance(word, str) for word in skills):
            raise Invalid("skills must be a list.", fields={"skills": "must be a list of words"})
        made, secret = people.invite(
            project=row, by=request.user, **(body | {"skills": skills, "role": _role(body)})
        )
        link = request.build_absolute_uri(reverse("join", args=[secret]))
        return Response(
            {"id": made.pk, "link": link, "expires_at": made.expires_at.isoformat()}, status=201
        )


class InviteView(APIView):
    permission_classes = [Manages]

    @extend_schema(responses={204: None})
    def delete(self, request, slug, invite_id):
        """Make a link useless from now on; who came in by it stays."""
        row = policies.managed_project(slug=slug, by=request.user)
        made = Invite.objects.select_related("project").get(project=row, pk=invite_id)
        people.revoke_invite(invite=made, by=request.user)
        return Response(status=204)


def _role(body: dict) -> str:
    role = body.get("role", "annotator")
    return role if isinstance(role, str) else ""


class TasksView(APIView):
    permission_classes = [Manages]
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
        row = policies.managed_project(slug=slug, by=request.user)
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
    permission_classes = [Manages]

    @extend_schema(
        parameters=[
            OpenApiParameter("format", str),
            OpenApiParameter("report", bool, description="Only what the format cannot hold."),
        ],
        responses={(200, "application/x-ndjson"): OpenApiTypes.STR, 400: ANY},
    )
    def get(self, request, slug):
        """The project in one of the formats of export_dataset, streamed: a JSON object a line, an
        array, or a zip. `?report=1` answers with the loss report alone."""
        row = policies.managed_project(slug=slug, by=request.user)
        form = exports.find(request.query_params.get("format", "preferendum"))
        if request.query_params.get("report") == "1":
            return Response(exports.count_loss(project=row, form=form))
        chunks = gathered(exports.body(project=row, form=form))
        body = in_turns(chunks) if isinstance(request._request, ASGIRequest) else chunks
        name = f"{row.slug}-{form.name}{form.suffix}"
        return StreamingHttpResponse(
            body,
            content_type=form.content_type,
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
