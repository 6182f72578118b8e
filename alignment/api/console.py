"""The console over REST: recipes as forms, estimates, lists, models with lineage, card and files,
live comparisons, and what a person decides about them."""

from django.http import FileResponse, Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from alignment import comparing, composing, lineage, policies, selectors, views_console
from alignment.api.serializers import DecisionIn, DeploymentOut, ModelOut, RunIn, RunOut
from alignment.api.views import PAGE, PROJECT, ResearchView, _model, _snapshot
from alignment.models import Experiment
from alignment.services import cards, estimates, files, recipes, releases
from inference.models import ModelVersion

OFFSET = OpenApiParameter("offset", int, description="Rows to pass over; 200 are given at once.")


@extend_schema_serializer(component_name="CanaryShare")
class ShareIn(DecisionIn):
    """Why, and on which share of the conversations, in parts per thousand."""

    weight = serializers.IntegerField(min_value=1, max_value=500)
    rules = serializers.DictField(required=False)


class HoldIn(DecisionIn):
    """Why, and which share of the conversations is held out, in parts per thousand."""

    weight = serializers.IntegerField(min_value=1, max_value=500)


class ExperimentOut(serializers.Serializer):
    id = serializers.UUIDField()
    project = serializers.CharField(source="project.slug")
    candidate = serializers.CharField(source="candidate.model_version.name")
    control = serializers.CharField(source="control.model_version.name")
    share = serializers.FloatField()
    state = serializers.CharField()
    halted = serializers.BooleanField()
    rules = serializers.DictField()
    counts = serializers.DictField()
    outcome = serializers.DictField()
    path = serializers.ListField(child=serializers.DictField())
    started_at = serializers.DateTimeField()
    looked_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class DecisionOut(serializers.Serializer):
    id = serializers.IntegerField()
    action = serializers.CharField()
    model = serializers.CharField(source="model.name")
    round = serializers.IntegerField(source="round.number", default=None, allow_null=True)
    reason = serializers.CharField()
    numbers = serializers.DictField()
    by = serializers.CharField(source="by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()


class EstimateOut(serializers.Serializer):
    rows = serializers.IntegerField()
    seconds = serializers.FloatField()
    seconds_range = serializers.ListField(child=serializers.FloatField())
    based_on = serializers.IntegerField()
    cost = serializers.FloatField(allow_null=True)
    cost_range = serializers.ListField(child=serializers.FloatField(), allow_null=True)
    currency = serializers.CharField()


class Recipes(ResearchView):
    @extend_schema(operation_id="recipes_list", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """The recipes that can be run by themselves."""
        return Response({"recipes": composing.choices()})


class RecipeForm(ResearchView):
    @extend_schema(
        operation_id="recipes_form",
        parameters=[OpenApiParameter("objective", str, description="Its settings are told.")],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, name: str) -> Response:
        """A recipe's fields with defaults, ranges, choices and help."""
        return Response(composing.described(name, request.query_params.get("objective", "")))


class RunEstimate(ResearchView):
    @extend_schema(operation_id="runs_estimate", request=RunIn, responses=EstimateOut)
    def post(self, request: Request) -> Response:
        """What a run would take in time and money; nothing is started."""
        given = self.parsed(RunIn)
        taken = _snapshot(request.user, given["snapshot"])
        found = recipes.load(given["recipe"])
        task = recipes.trained_by(found)
        params = recipes.params_for(task, dict(found.stages[task]), given.get("params") or {})
        return Response(estimates.estimate(snapshot=taken, task=task, params=params))


class Decisions(ResearchView):
    @extend_schema(
        operation_id="decisions_list",
        parameters=[PROJECT, OFFSET],
        responses=DecisionOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """Every decision about a project's models with its numbers, newest first."""
        project = self.project(request.query_params.get("project", ""))
        rows = project.decisions.select_related("model", "by", "round")
        return Response(DecisionOut(_part(request, rows), many=True).data)


class Experiments(ResearchView):
    @extend_schema(
        operation_id="experiments_list",
        parameters=[PROJECT, OFFSET],
        responses=ExperimentOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """The live comparisons of a project, newest first."""
        project = self.project(request.query_params.get("project", ""))
        related = ("project", "candidate__model_version", "control__model_version")
        rows = project.experiments.select_related(*related)
        return Response(ExperimentOut(_part(request, rows), many=True).data)


class ExperimentDetail(ResearchView):
    @extend_schema(operation_id="experiments_read", responses=ExperimentOut)
    def get(self, request: Request, pk) -> Response:
        """One live comparison with its confidence sequences."""
        visible = Experiment.objects.filter(project__in=policies.visible(request.user))
        return Response(ExperimentOut(visible.get(pk=pk)).data)


class OfModel(ResearchView):
    """Views of one model that the person may see."""

    def version(self, model_id) -> ModelVersion:
        """The model, or 404 where no project the person sees trained or served it."""
        version = ModelVersion.objects.get(pk=model_id)
        self.where(version)
        return version

    def where(self, version: ModelVersion):
        """A project of the model: the one asked for, or the first that has it."""
        slug = self.request.query_params.get("project", "").replace("\0", "")
        visible = policies.visible(self.request.user)
        for project in visible.filter(slug=slug) if slug else visible[:50]:
            if selectors.models_of(project).filter(pk=version.pk).exists():
                return project
        raise Http404


class ModelDetail(OfModel):
    @extend_schema(operation_id="models_read", responses=ModelOut)
    def get(self, request: Request, model_id) -> Response:
        """One model with its lineage and where it serves."""
        version = self.version(model_id)
        found = selectors.models_of(self.where(version)).get(pk=version.pk)
        return Response(_model(found))


class ModelLineage(OfModel):
    @extend_schema(operation_id="models_lineage", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, model_id) -> Response:
        """The graph from people to the model, and on to what came of it."""
        version = self.version(model_id)
        return Response(lineage.as_json(self.where(version), version))


class ModelCard(OfModel):
    @extend_schema(operation_id="models_card", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, model_id) -> Response:
        """The model card as Markdown, as of now."""
        return Response({"markdown": cards.card(self.version(model_id))})


class ModelFiles(OfModel):
    @extend_schema(operation_id="models_files", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, model_id) -> Response:
        """The files of a model's artefact: path and size."""
        return Response({"files": views_console.files_of(self.version(model_id))})


class ModelFile(OfModel):
    @extend_schema(operation_id="models_file", responses=OpenApiTypes.BINARY)
    def get(self, request: Request, model_id, path: str) -> HttpResponse:
        """One file of a model's artefact."""
        target = files.inside(self.version(model_id).location, path)
        if target is None:
            raise Http404
        return FileResponse(target.open("rb"), as_attachment=True, filename=target.name)


class ModelAnswers(ResearchView):
    @extend_schema(
        operation_id="models_compare",
        parameters=[PROJECT, OpenApiParameter("model", str, many=True, required=True)],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request) -> Response:
        """Models side by side: win rates, and answers to the same prompts with their rewards."""
        project = self.project(request.query_params.get("project", ""))
        named = [n for n in request.query_params.getlist("model") if "\0" not in n]
        names = named[: comparing.MOST_MODELS]
        models = list(selectors.models_of(project).filter(name__in=names))
        models.sort(key=lambda model: names.index(model.name))
        matrix = [
            {"model": row["model"].name, "against": row["cells"]}
            for row in comparing.win_matrix(project, models)
        ]
        answers = comparing.answers(project, models) if len(models) > 1 else []
        known = [model.name for model in models]
        return Response({"models": known, "win_rates": matrix, "answers": answers})


class ModelCanary(ResearchView):
    @extend_schema(operation_id="models_canary", request=ShareIn, responses={201: ExperimentOut})
    def post(self, request: Request, model_id) -> Response:
        """Try a policy on a share of the conversations and compare it with the live one."""
        given = self.parsed(ShareIn)
        made = releases.canary(
            project=self.project(given["project"]),
            model=ModelVersion.objects.get(pk=model_id),
            weight=given["weight"],
            by=request.user,
            reason=given["reason"],
            rules=given.get("rules"),
        )
        return Response(ExperimentOut(made).data, status=status.HTTP_201_CREATED)


class ModelHoldout(ResearchView):
    @extend_schema(operation_id="models_holdout", request=HoldIn, responses={201: DeploymentOut})
    def post(self, request: Request, model_id) -> Response:
        """Keep a share of the conversations on a policy, to see over time what changes gain."""
        given = self.parsed(HoldIn)
        made = releases.hold_out(
            project=self.project(given["project"]),
            model=ModelVersion.objects.get(pk=model_id),
            weight=given["weight"],
            by=request.user,
            reason=given["reason"],
        )
        return Response(DeploymentOut(made).data, status=status.HTTP_201_CREATED)


class ModelRetire(ResearchView):
    @extend_schema(operation_id="models_retire", request=DecisionIn, responses={204: None})
    def post(self, request: Request, model_id) -> Response:
        """Take a canary or hold-out out of service."""
        given = self.parsed(DecisionIn)
        releases.retire(
            project=self.project(given["project"]),
            model=ModelVersion.objects.get(pk=model_id),
            by=request.user,
            reason=given["reason"],
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


def run_list(view: ResearchView, request: Request) -> Response:
    """The runs of a project, newest first, without their curves."""
    project = view.project(request.query_params.get("project", ""))
    rows = project.runs.select_related("project", "model", "base").defer("curve", "log")
    return Response(RunOut(_part(request, rows), many=True).data)


def _part(request: Request, rows):
    text = request.query_params.get("offset", "0")
    offset = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return rows[offset : offset + PAGE]
