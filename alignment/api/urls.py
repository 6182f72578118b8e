"""Addresses of the research doors, below /api/."""

from django.urls import path

from alignment.api import views

urlpatterns = [
    path("snapshots/", views.Snapshots.as_view(), name="api-snapshots"),
    path("runs/", views.Runs.as_view(), name="api-runs"),
    path("runs/<uuid:run_id>/", views.RunDetail.as_view(), name="api-run"),
    path("runs/<uuid:run_id>/cancel/", views.RunCancel.as_view(), name="api-run-cancel"),
    path("rounds/", views.Rounds.as_view(), name="api-rounds"),
    path("rounds/<uuid:round_id>/", views.RoundDetail.as_view(), name="api-round"),
    path("rounds/<uuid:round_id>/cancel/", views.RoundCancel.as_view(), name="api-round-cancel"),
    path("rounds/<uuid:round_id>/retry/", views.RoundRetry.as_view(), name="api-round-retry"),
    path("models/", views.Models.as_view(), name="api-models"),
    path("models/<uuid:model_id>/promote/", views.ModelPromote.as_view(), name="api-promote"),
    path("models/<uuid:model_id>/rollback/", views.ModelRollback.as_view(), name="api-rollback"),
]
