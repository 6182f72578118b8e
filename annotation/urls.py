"""Pages and REST calls of annotation."""

from django.urls import include, path

from annotation import views
from annotation.api.media import media_page

urlpatterns = [
    path("annotate/", views.projects_page, name="annotate"),
    path("annotate/media/<uuid:media_id>/", media_page, name="annotate-media"),
    path("", include("annotation.reviewing.urls")),
    path("annotate/<slug:slug>/", views.work_page, name="annotate-work"),
    path("annotate/<slug:slug>/step/", views.StepView.as_view(), name="annotate-step"),
    path("", include("annotation.manage.urls")),
    path("api/", include("annotation.api.urls")),
]
