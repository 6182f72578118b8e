"""Addresses of the REST calls of annotation."""

from django.urls import path

from annotation.api import administration, importing, media, projects, quality, views

urlpatterns = [
    path("projects/", projects.ProjectsView.as_view(), name="projects"),
    path("projects/<slug:slug>/", projects.ProjectView.as_view(), name="project"),
    path("projects/<slug:slug>/tasks/", projects.TasksView.as_view(), name="project-tasks"),
    path("projects/<slug:slug>/media/", media.MediaView.as_view(), name="project-media"),
    path("projects/<slug:slug>/members/", projects.MembersView.as_view(), name="project-members"),
    path(
        "projects/<slug:slug>/members/<str:username>/",
        projects.MemberView.as_view(),
        name="project-member",
    ),
    path(
        "projects/<slug:slug>/invites/<int:invite_id>/",
        projects.InviteView.as_view(),
        name="project-invite",
    ),
    path(
        "projects/<slug:slug>/principles/",
        administration.PrinciplesView.as_view(),
        name="project-principles",
    ),
    path(
        "projects/<slug:slug>/principles/<slug:key>/",
        administration.PrincipleView.as_view(),
        name="project-principle",
    ),
    path("projects/<slug:slug>/clone/", administration.CloneView.as_view(), name="project-clone"),
    path("projects/<slug:slug>/invites/", projects.InvitesView.as_view(), name="project-invites"),
    path("projects/<slug:slug>/import/", importing.ImportView.as_view(), name="project-import"),
    path(
        "projects/<slug:slug>/import/preview/",
        importing.PreviewView.as_view(),
        name="project-import-preview",
    ),
    path("projects/<slug:slug>/export/", projects.ExportView.as_view(), name="project-export"),
    path("projects/<slug:slug>/quality/", quality.QualityView.as_view(), name="project-quality"),
    path(
        "projects/<slug:slug>/tasks/<int:task_id>/verdict/",
        quality.VerdictView.as_view(),
        name="verdict",
    ),
    path("projects/<slug:slug>/assignments/", views.ClaimView.as_view(), name="claim"),
    path("assignments/<uuid:assignment_id>/judgment/", views.JudgmentView.as_view(), name="submit"),
    path("assignments/<uuid:assignment_id>/draft/", views.DraftView.as_view(), name="draft"),
    path("assignments/<uuid:assignment_id>/skip/", views.SkipView.as_view(), name="skip"),
    path("assignments/<uuid:assignment_id>/release/", views.ReleaseView.as_view(), name="release"),
    path(
        "assignments/<uuid:assignment_id>/heartbeat/",
        views.HeartbeatView.as_view(),
        name="heartbeat",
    ),
    path(
        "judgments/<uuid:judgment_id>/explanation/",
        quality.ExplanationView.as_view(),
        name="explanation",
    ),
    path("judgments/<uuid:judgment_id>/", views.UndoView.as_view(), name="judgment"),
]
urlpatterns += [
    path(f"projects/<slug:slug>/{name}/", view.as_view(), name=f"project-{name}")
    for name, view in administration.STATES.items()
]
