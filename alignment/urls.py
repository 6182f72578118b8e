"""Pages and REST calls of the research side."""

from django.urls import include, path

from alignment import views, views_console, views_loop, views_releases

urlpatterns = [
    path("api/", include("alignment.api.urls")),
    path("console/", views.home, name="console"),
    path("console/<slug:slug>/", views.project, name="console-project"),
    path("console/<slug:slug>/live/", views.live, name="console-live"),
    path("console/<slug:slug>/rounds/", views.start_round, name="console-start-round"),
    path("console/<slug:slug>/rounds/<int:number>/", views.round_page, name="console-round"),
    path("console/<slug:slug>/rounds/<int:number>/live/", views.live, name="console-round-live"),
    path(
        "console/<slug:slug>/rounds/<int:number>/<str:action>/",
        views.change_round,
        name="console-change-round",
    ),
    path("console/<slug:slug>/models/", views.models, name="console-models"),
    path(
        "console/<slug:slug>/compare-models/",
        views_console.compare_models,
        name="console-compare-models",
    ),
    path("console/<slug:slug>/models/<slug:name>/", views_console.model, name="console-model"),
    path("console/<slug:slug>/models/<slug:name>/card.md", views_console.card, name="console-card"),
    path(
        "console/<slug:slug>/models/<slug:name>/files/<path:path>",
        views_console.file,
        name="console-file",
    ),
    path(
        "console/<slug:slug>/models/<slug:name>/<str:action>/",
        views_releases.decide,
        name="console-decide",
    ),
    path(
        "console/<slug:slug>/experiments/", views_releases.experiments, name="console-experiments"
    ),
    path(
        "console/<slug:slug>/experiments/<uuid:pk>/",
        views_releases.experiment,
        name="console-experiment",
    ),
    path("console/<slug:slug>/compose/", views_console.compose, name="console-compose"),
    path(
        "console/<slug:slug>/runs/compare/", views_console.compare_runs, name="console-compare-runs"
    ),
    path("console/<slug:slug>/runs/", views.runs, name="console-runs"),
    path("console/<slug:slug>/runs/<uuid:run_id>/", views.run_page, name="console-run"),
    path("console/<slug:slug>/runs/<uuid:run_id>/cancel/", views.cancel_run, name="console-cancel"),
    path("console/<slug:slug>/rule/", views_loop.rule, name="console-rule"),
    path(
        "console/<slug:slug>/runs/<uuid:run_id>/<str:action>/",
        views_loop.change_run,
        name="console-change-run",
    ),
    path("console/<slug:slug>/data/compare/", views_loop.compare, name="console-compare-data"),
    path(
        "console/<slug:slug>/data/<uuid:snapshot_id>/datasheet.<str:form>",
        views_loop.datasheet,
        name="console-datasheet",
    ),
    path("console/<slug:slug>/data/", views.snapshots, name="console-snapshots"),
    path(
        "console/<slug:slug>/data/<uuid:snapshot_id>/", views.snapshot_page, name="console-snapshot"
    ),
]
