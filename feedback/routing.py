"""The sockets of the chat and of the live board."""

from django.urls import path

from feedback.board_socket import BoardConsumer
from feedback.consumers import ChatConsumer

websocket_urlpatterns = [
    path("ws/chat/<uuid:conversation_id>/", ChatConsumer.as_asgi()),
    path("ws/console/board/", BoardConsumer.as_asgi()),
]
