"""Pages and REST calls of annotation."""

from django.urls import include, path

from annotation import views

urlpatterns = [
    path("annotate/", views.projects_page, name="annotate"),
    path("annotate/<slug:slug>/", views.work_page, name="annotate-work"),
    path("annotate/<slug:slug>/step/", views.StepView.as_view(), name="annotate-step"),
    path("", include("annotation.manage.urls")),
    path("api/", include("annotation.api.urls")),
]
