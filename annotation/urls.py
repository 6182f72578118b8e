"""Pages and REST calls of annotation."""

from django.urls import include, path

urlpatterns = [
    path("api/", include("annotation.api.urls")),
]
