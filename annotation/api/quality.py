"""REST calls of quality and review."""

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import policies
from annotation.api.views import ANY, KEY, _object
from annotation.models import Judgment, Membership, Task
from annotation.quality import gold
from annotation.services import calibration, parts, quality, review, said_by
from config.auth import scope, scopes_of


class QualityView(APIView):
    permission_classes = [scope("annotate")]

    @extend_schema(responses={200: ANY})
    def get(self, request, slug):
        """Agreement, habits and reliability: the whole report for reviewers of the project, one's
        own row for everyone else. `state` is fresh, updating (an older report is shown while a
        new one is made, `progress` of it from 0 to 1) or measuring (there is none yet: ask again
        in a few seconds)."""
        project = policies.access_project(slug=slug, by=request.user)
        now = quality.current(project)
        whole = "review" in scopes_of(request) and policies.may_review(
            project=project, by=request.user
        )
        return Response(
            {
                "state": now.state,
                "progress": now.progress,
                "report": now.report if whole else None,
                "own": quality.own(now.report, request.user),
            }
        )


class ExplanationView(APIView):
    permission_classes = [scope("annotate")]

    @extend_schema(responses={200: ANY, 404: ANY})
    def get(self, request, judgment_id):
        """Whether one's own answer to an exercise matched the known one, and why that is right."""
        rows = Judgment.objects.of(request.user).filter(pk=judgment_id)
        found = said_by.prefetched(rows, rows.values_list("kind", flat=True)).first()
        if found is None:
            raise Http404
        explained = calibration.explain(found)
        ids = {place: pk for pk, place in said_by.places(found.task).items()}
        membership = (
            Membership.objects.filter(project=found.project_id, user=request.user)
            .select_related("user", "project")
            .first()
        )
        progress = None
        if membership is not None:
            calibration.settle(membership)
            membership.refresh_from_db(fields=["calibrated_at"])
            at = calibration.progress(membership)
            progress = {
                "done": at.done,
                "right": at.right,
                "size": at.size,
                "wanted": at.wanted,
                "passed": at.is_passed,
                "left": at.left,
            }
        return Response(
            {
                "matched": explained.is_right,
                "score": explained.score,
                "note": explained.note,
                "known": gold.placed(explained.answer, ids),
                "progress": progress,
            }
        )


class VerdictView(APIView):
    permission_classes = [scope("review")]

    @extend_schema(parameters=[KEY], request=ANY, responses={201: ANY, 400: ANY, 409: ANY})
    def post(self, request, slug, task_id):
        """Give the verdict on a task: the body of a judgment of its kind."""
        project = policies.access_project(slug=slug, by=request.user)
        if not policies.may_review(project=project, by=request.user):
            raise Http404
        task = Task.objects.get(project=project, pk=task_id)
        verdict = review.decide(
            task=task,
            by=request.user,
            body=_object(request.data),
            key=request.headers.get("Idempotency-Key"),
        )
        verdict = said_by.prefetched(
            Judgment.objects.filter(pk=verdict.pk), said_by.kinds_of(task)
        ).get()
        shown = {"id": str(verdict.pk), "task": task.pk, **parts.answer_of(verdict)}
        return Response(shown | {"rationale": verdict.rationale}, status=201)
