"""Addresses: each app names its own pages and REST calls; this file only joins them."""

from importlib.util import find_spec

from django.contrib.auth import views as auth_views
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import AllowAny

from config import docs, health, people_api

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("login/", auth_views.LoginView.as_view(template_name="login.html"), name="login"),
    path("logout/", auth_views.LogoutView.as_view(), name="logout"),
    path(
        "api/schema/",
        SpectacularAPIView.as_view(permission_classes=[AllowAny]),
        name="schema",
    ),
    path("api/docs/", docs.api_docs, name="docs"),
    path("api/people/<str:pseudonym>/erasure/", people_api.ErasureView.as_view(), name="erasure"),
]
for app in ("inference", "annotation", "alignment", "feedback"):
    if find_spec(f"{app}.urls"):
        urlpatterns.append(path("", include(f"{app}.urls")))
