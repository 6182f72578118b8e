"""All WebSocket addresses, gathered from the apps that have any."""

from importlib import import_module
from importlib.util import find_spec

from django.urls import URLPattern

websocket_urlpatterns: list[URLPattern] = []
for app in ("feedback", "annotation", "alignment"):
    if find_spec(f"{app}.routing"):
        websocket_urlpatterns += import_module(f"{app}.routing").websocket_urlpatterns
