"""Addresses of the research doors, below /api/."""

from django.urls import path

from alignment.api import console, views

urlpatterns = [
    path("snapshots/", views.Snapshots.as_view(), name="api-snapshots"),
    path("runs/", views.Runs.as_view(), name="api-runs"),
    path("runs/<uuid:run_id>/", views.RunDetail.as_view(), name="api-run"),
    path("runs/<uuid:run_id>/cancel/", views.RunCancel.as_view(), name="api-run-cancel"),
    path("rounds/", views.Rounds.as_view(), name="api-rounds"),
    path("rounds/<uuid:round_id>/", views.RoundDetail.as_view(), name="api-round"),
    path("rounds/<uuid:round_id>/cancel/", views.RoundCancel.as_view(), name="api-round-cancel"),
    path("rounds/<uuid:round_id>/retry/", views.RoundRetry.as_view(), name="api-round-retry"),
    path("runs/estimate/", console.RunEstimate.as_view(), name="api-run-estimate"),
    path("recipes/", console.Recipes.as_view(), name="api-recipes"),
    path("recipes/<slug:name>/", console.RecipeForm.as_view(), name="api-recipe"),
    path("decisions/", console.Decisions.as_view(), name="api-decisions"),
    path("experiments/", console.Experiments.as_view(), name="api-experiments"),
    path("experiments/<uuid:pk>/", console.ExperimentDetail.as_view(), name="api-experiment"),
    path("models/compare/", console.ModelAnswers.as_view(), name="api-models-compare"),
    path("models/<uuid:model_id>/", console.ModelDetail.as_view(), name="api-model"),
    path("models/<uuid:model_id>/lineage/", console.ModelLineage.as_view(), name="api-lineage"),
    path("models/<uuid:model_id>/card/", console.ModelCard.as_view(), name="api-card"),
    path("models/<uuid:model_id>/files/", console.ModelFiles.as_view(), name="api-files"),
    path("models/<uuid:model_id>/files/<path:path>", console.ModelFile.as_view(), name="api-file"),
    path("models/<uuid:model_id>/canary/", console.ModelCanary.as_view(), name="api-canary"),
    path("models/<uuid:model_id>/holdout/", console.ModelHoldout.as_view(), name="api-holdout"),
    path("models/<uuid:model_id>/retire/", console.ModelRetire.as_view(), name="api-retire"),
    path("models/", views.Models.as_view(), name="api-models"),
    path("models/<uuid:model_id>/promote/", views.ModelPromote.as_view(), name="api-promote"),
    path("models/<uuid:model_id>/rollback/", views.ModelRollback.as_view(), name="api-rollback"),
]
