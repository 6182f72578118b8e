"""REST calls that administer a project: principles, clone, pause, archive."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import policies
from annotation.api import render
from annotation.api.permissions import Manages
from annotation.api.views import _object
from annotation.models import Principle
from annotation.services import cloning, projects
from config.auth import scope
from config.errors import Invalid

ANY = OpenApiTypes.OBJECT


class PrinciplesView(APIView):
    permission_classes = [Manages]

    @extend_schema(operation_id="principles_list", responses={200: ANY})
    def get(self, request, slug):
        """Every version of every principle; `active` ones are asked."""
        row = policies.managed_project(slug=slug, by=request.user)
        found = Principle.objects.filter(project=row).order_by("key", "-version")
        return Response([render.principle(one) for one in found])

    @extend_schema(request=ANY, responses={201: ANY, 400: ANY})
    def post(self, request, slug):
        """Add a principle or put a new version in its place: `{"key", "text"}`. The same words
        again change nothing; verdicts keep the version they were given on."""
        row = policies.managed_project(slug=slug, by=request.user)
        body = _known(request, "key", "text")
        made = projects.set_principle(
            project=row, key=body.get("key"), text=body.get("text"), by=request.user
        )
        return Response(render.principle(made), status=201)


class PrincipleView(APIView):
    permission_classes = [Manages]

    @extend_schema(responses={204: None, 409: ANY})
    def delete(self, request, slug, key):
        """Ask a principle no longer; its verdicts stay. The last one is kept."""
        row = policies.managed_project(slug=slug, by=request.user)
        Principle.objects.filter(project=row, key=key, is_active=True).get()
        projects.retire_principle(project=row, key=key, by=request.user)
        return Response(status=204)


class CloneView(APIView):
    permission_classes = [scope("research")]

    @extend_schema(request=ANY, responses={201: ANY, 400: ANY, 409: ANY})
    def post(self, request, slug):
        """A project with the same settings: `{"slug", "name", "with_tasks"}`."""
        row = policies.managed_project(slug=slug, by=request.user)
        body = _known(request, "slug", "name", "with_tasks")
        wrong = {}
        if not isinstance(body.get("with_tasks", False), bool):
            wrong["with_tasks"] = "must be true or false"
        name = body.get("name")
        if name is not None and not (isinstance(name, str) and 0 < len(name.strip()) <= 120):
            wrong["name"] = "must be short text"
        if wrong:
            raise Invalid("; ".join(f"{k} {v}" for k, v in wrong.items()) + ".", fields=wrong)
        made = cloning.clone_project(
            project=row,
            slug=body.get("slug"),
            name=name,
            by=request.user,
            with_tasks=body.get("with_tasks", False),
        )
        return Response(render.project(made), status=201)


class StateView(APIView):
    permission_classes = [Manages]
    act = staticmethod(projects.pause)

    @extend_schema(request=None, responses={200: ANY})
    def post(self, request, slug):
        """Pause, resume, archive or restore a project; again changes nothing."""
        row = policies.managed_project(slug=slug, by=request.user)
        type(self).act(project=row, by=request.user)
        row.refresh_from_db()
        return Response(render.project(row))


#: One address an act; each view says in the description what it does.
STATES = {
    name: type(f"{name.title()}View", (StateView,), {"act": staticmethod(act)})
    for name, act in (
        ("pause", projects.pause),
        ("resume", projects.resume),
        ("archive", projects.archive),
        ("restore", projects.restore),
    )
}


def _known(request, *names: str) -> dict:
    body = _object(request.data)
    unknown = {name: "is not a known field" for name in body if name not in names}
    if unknown:
        raise Invalid(f"{next(iter(unknown))} is not a known field.", fields=unknown)
    return body
