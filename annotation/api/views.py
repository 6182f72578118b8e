"""REST calls of the queue: claim, submit, undo, skip, draft."""

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.api import render
from annotation.services import queue
from config.auth import scope
from config.errors import DomainError, Invalid

ANY = OpenApiTypes.OBJECT
KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Up to 80 characters; the same key again stores nothing new.",
)
NEXT = OpenApiParameter("next", bool, description="Claim the next task in the same call.")


class AnnotateView(APIView):
    """For people who annotate; every object is reached through its owner."""

    permission_classes = [scope("annotate")]


class ClaimView(AnnotateView):
    @extend_schema(request=None, responses={201: ANY, 204: None, 409: ANY})
    def post(self, request, slug):
        """Claim the next task: 201 with the task and the lease, 204 when none is left."""
        claimed = queue.claim(project=slug, by=request.user)
        if claimed is None:
            return Response(status=204)
        return Response(render.assignment(claimed), status=201)


class JudgmentView(AnnotateView):
    @extend_schema(
        parameters=[KEY, NEXT], request=ANY, responses={201: ANY, 200: ANY, 400: ANY, 409: ANY}
    )
    def post(self, request, assignment_id):
        """Store a judgment: 201, 200 on a repeat of the key, 409 with the reason otherwise.

        With `?next=1` the answer carries `next`, the lease claimed after it, or null.
        """
        judgment, created = queue.submit(
            assignment_id=assignment_id,
            by=request.user,
            body=_object(request.data),
            key=request.headers.get("Idempotency-Key"),
        )
        answer = render.judgment(judgment)
        if request.query_params.get("next") == "1":
            answer["next"] = next_lease(judgment.project.slug, by=request.user)
        return Response(answer, status=201 if created else 200)


def next_lease(slug: str, *, by) -> dict | None:
    """The next lease, or None: a judgment that is stored must not look failed by what follows."""
    try:
        claimed = queue.claim(project=slug, by=by)
    except (DomainError, ObjectDoesNotExist, DatabaseError):
        return None  # paused, archived or gone: the next claim says so
    return render.assignment(claimed) if claimed else None


class UndoView(AnnotateView):
    @extend_schema(responses={200: ANY, 409: ANY})
    def delete(self, request, judgment_id):
        """Undo one's own last judgment within the undo window; answers with the lease again."""
        assignment = queue.undo(judgment_id=judgment_id, by=request.user)
        return Response(render.assignment(assignment))


class SkipView(AnnotateView):
    @extend_schema(parameters=[NEXT], request=ANY, responses={200: ANY, 409: ANY})
    def post(self, request, assignment_id):
        """Pass a task on for good: `{"reason": ""}`."""
        body = _object(request.data)
        queue.skip(assignment_id=assignment_id, by=request.user, reason=body.get("reason") or "")
        return _ended("skipped", assignment_id, request)


class ReleaseView(AnnotateView):
    @extend_schema(request=None, responses={200: ANY, 409: ANY})
    def post(self, request, assignment_id):
        """Put a task back, for anyone to take."""
        queue.release(assignment_id=assignment_id, by=request.user)
        return _ended("released", assignment_id, request)


class HeartbeatView(AnnotateView):
    @extend_schema(request=None, responses={200: ANY, 409: ANY})
    def post(self, request, assignment_id):
        """Extend the lease from now."""
        assignment = queue.heartbeat(assignment_id=assignment_id, by=request.user)
        return Response({"id": str(assignment.pk), "expires_at": assignment.expires_at.isoformat()})


class DraftView(AnnotateView):
    @extend_schema(request=ANY, responses={200: ANY, 409: ANY})
    def put(self, request, assignment_id):
        """Keep unsent work: any JSON object."""
        draft = queue.save_draft(
            assignment_id=assignment_id, by=request.user, body=_object(request.data)
        )
        return Response({"saved_at": draft.saved_at.isoformat()})


def _ended(state: str, assignment_id, request) -> Response:
    answer: dict = {"id": str(assignment_id), "state": state}
    if request.query_params.get("next") == "1":
        slug = queue.project_of(assignment_id=assignment_id, by=request.user)
        answer["next"] = next_lease(slug, by=request.user)
    return Response(answer)


def _object(data: object) -> dict:
    if not isinstance(data, dict):
        raise Invalid("Send a JSON object.", fields={"body": "must be an object"})
    return data
