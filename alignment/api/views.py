"""The research doors: parse, call a service, render."""

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alignment import policies, selectors
from alignment.api import serializers
from alignment.models import Round, Run, Snapshot
from alignment.services import releases, rounds, runs, snapshots
from annotation.models import Project
from config.auth import scope
from config.errors import Invalid
from inference.models import ModelVersion

PAGE = 200
PROJECT = OpenApiParameter("project", str, required=True, description="Slug of the project.")


class ResearchView(APIView):
    """For keys and sessions with the scope `research`."""

    permission_classes = [scope("research")]

    def project(self, slug: str) -> Project:
        """The project of that name that this person may see, or 404."""
        found = policies.visible(self.request.user).filter(slug=slug.replace("\0", "")).first()
        if found is None:
            raise Http404
        return found

    def parsed(self, serializer_class) -> dict:
        """The body, checked; raises ValidationError."""
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data


class Snapshots(ResearchView):
    @extend_schema(
        operation_id="snapshots_take",
        request=serializers.SnapshotIn,
        responses={201: serializers.SnapshotOut},
    )
    def post(self, request: Request) -> Response:
        """Take a snapshot. The same query over the same rows answers with the same one."""
        given = self.parsed(serializers.SnapshotIn)
        taken = snapshots.take(
            project=self.project(given["project"]), by=request.user, query=given.get("query")
        )
        body = serializers.SnapshotOut(taken).data
        return Response(body, status=status.HTTP_201_CREATED)


class Runs(ResearchView):
    @extend_schema(
        operation_id="runs_list", parameters=[PROJECT], responses=serializers.RunOut(many=True)
    )
    def get(self, request: Request) -> Response:
        """The newest runs of a project (200 at once, `offset` passes over some)."""
        from alignment.api.console import run_list

        return run_list(self, request)

    @extend_schema(
        operation_id="runs_create",
        request=serializers.RunIn,
        responses={201: serializers.RunOut},
    )
    def post(self, request: Request) -> Response:
        """Queue a training run of a recipe on a snapshot."""
        given = self.parsed(serializers.RunIn)
        taken = _snapshot(request.user, given["snapshot"])
        run = runs.create(
            snapshot=taken,
            recipe=given["recipe"],
            base=selectors.model(given["base"]) if given.get("base") else None,
            params=given.get("params"),
            seed=given["seed"],
            by=request.user,
        )
        return Response(serializers.RunOut(run).data, status=status.HTTP_201_CREATED)


class RunDetail(ResearchView):
    @extend_schema(operation_id="runs_read", responses=serializers.RunOut)
    def get(self, request: Request, run_id) -> Response:
        """How a run stands, and what came of it."""
        return Response(serializers.RunOut(_run(request.user, run_id)).data)


class RunCancel(ResearchView):
    @extend_schema(operation_id="runs_cancel", request=None, responses=serializers.RunOut)
    def post(self, request: Request, run_id) -> Response:
        """Stop a run that has not ended; 409 when it has."""
        run = runs.cancel(run=_run(request.user, run_id))
        runs.after(str(run.pk))
        return Response(serializers.RunOut(run).data)


class Rounds(ResearchView):
    @extend_schema(
        operation_id="rounds_start",
        request=serializers.RoundIn,
        responses={201: serializers.RoundOut},
    )
    def post(self, request: Request) -> Response:
        """Start a round; 409 while one of the same project is under way."""
        given = self.parsed(serializers.RoundIn)
        turn = rounds.start(
            project=self.project(given["project"]),
            by=request.user,
            trigger="api",
            config=given.get("config"),
        )
        return Response(_round(turn), status=status.HTTP_201_CREATED)


class RoundDetail(ResearchView):
    @extend_schema(operation_id="rounds_read", responses=serializers.RoundOut)
    def get(self, request: Request, round_id) -> Response:
        """How a round stands: its steps, its runs, the gate's verdict."""
        return Response(_round(_turn(request.user, round_id)))


class RoundCancel(ResearchView):
    @extend_schema(operation_id="rounds_cancel", request=None, responses=serializers.RoundOut)
    def post(self, request: Request, round_id) -> Response:
        """Stop a round and the run it waits for; what serves stays as it is."""
        return Response(_round(rounds.cancel(turn=_turn(request.user, round_id))))


class RoundRetry(ResearchView):
    @extend_schema(operation_id="rounds_retry", request=None, responses=serializers.RoundOut)
    def post(self, request: Request, round_id) -> Response:
        """Take a failed or cancelled round up again where it ended."""
        return Response(_round(rounds.retry(turn=_turn(request.user, round_id))))


class Models(ResearchView):
    @extend_schema(
        operation_id="models_list",
        parameters=[PROJECT],
        responses=serializers.ModelOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """The newest models of a project, each with its lineage and where it serves."""
        project = self.project(request.query_params.get("project", ""))
        found = selectors.models_of(project)[:PAGE]
        return Response([_model(version) for version in found])


class ModelPromote(ResearchView):
    @extend_schema(
        operation_id="models_promote",
        request=serializers.DecisionIn,
        responses=serializers.DeploymentOut,
    )
    def post(self, request: Request, model_id) -> Response:
        """Make a policy the live one, with a reason; over the gate's refusal this is on record."""
        given = self.parsed(serializers.DecisionIn)
        deployment = releases.promote(
            project=self.project(given["project"]),
            model=_version(model_id),
            by=request.user,
            reason=given["reason"],
        )
        return Response(serializers.DeploymentOut(deployment).data)


class ModelRollback(ResearchView):
    @extend_schema(
        operation_id="models_rollback",
        request=serializers.DecisionIn,
        responses=serializers.DeploymentOut,
    )
    def post(self, request: Request, model_id) -> Response:
        """Take the live model back and serve what was live before; 409 if it is not live."""
        given = self.parsed(serializers.DecisionIn)
        deployment = releases.rollback(
            project=self.project(given["project"]),
            model=_version(model_id),
            by=request.user,
            reason=given["reason"],
        )
        return Response(serializers.DeploymentOut(deployment).data)


def _snapshot(user, name: str) -> Snapshot:
    found = selectors.snapshot(name)
    if found is None or not policies.visible(user).filter(pk=found.project_id).exists():
        raise Invalid(f"There is no snapshot '{name}'.", fields={"snapshot": "is not known"})
    return found


def _run(user, run_id) -> Run:
    visible = Run.objects.filter(project__in=policies.visible(user))
    return visible.select_related("project", "model", "base").get(pk=run_id)


def _turn(user, round_id) -> Round:
    visible = Round.objects.filter(project__in=policies.visible(user))
    return visible.select_related("project", "snapshot", "base").get(pk=round_id)


def _version(model_id) -> ModelVersion:
    return ModelVersion.objects.get(pk=model_id)


def _round(turn: Round) -> dict:
    runs_of = list(turn.runs.select_related("project", "model", "base").order_by("created_at"))
    shown = {
        name: getattr(turn, name)
        for name in (
            *("id", "project", "number", "state", "step", "steps", "config", "gate", "error"),
            *("created_at", "finished_at"),
        )
    }
    shown |= {"result": selectors.round_result(turn), "runs": runs_of}
    return serializers.RoundOut(shown).data


def _model(version: ModelVersion) -> dict:
    shown = {
        name: getattr(version, name)
        for name in ("id", "name", "kind", "form", "digest", "created_at")
    }
    shown |= {
        "serving": [deployment.arm for deployment in version.serving],
        "lineage": selectors.lineage(version),
    }
    return serializers.ModelOut(shown).data
