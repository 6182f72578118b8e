"""The socket of annotation."""

from django.urls import path

from annotation.consumers import WorkConsumer

websocket_urlpatterns = [
    path("ws/annotate/<slug:slug>/", WorkConsumer.as_asgi()),
]
