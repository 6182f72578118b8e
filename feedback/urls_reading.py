"""Researchers' pages and REST calls: the live board, and conversations."""

from django.urls import path

from feedback.api import reading as api
from feedback.api.board import BoardView
from feedback.views import board, reading

_PAGES = "console/<slug:slug>/conversations/"
_REST = "api/projects/<slug:slug>/"

urlpatterns = [
    path("console/<slug:slug>/board/", board.live, name="board"),
    path("console/<slug:slug>/board.csv", board.table, name="board-csv"),
    path(f"{_REST}board/", BoardView.as_view(), name="api-board"),
    path(_PAGES, reading.conversations, name="conversations-read"),
    path(f"{_PAGES}preview/", reading.preview, name="handover-preview"),
    path(f"{_PAGES}send/", reading.send, name="handover-send"),
    path(f"{_PAGES}rules/", reading.rules, name="handover-rules"),
    path(f"{_PAGES}looks/", reading.looks, name="reading-log"),
    path(f"{_PAGES}<uuid:conversation_id>/", reading.conversation, name="conversation-read"),
    path(
        f"{_PAGES}<uuid:conversation_id>/<uuid:image_id>/",
        reading.picture,
        name="conversation-picture",
    ),
    path(
        f"{_REST}conversations/", api.ConversationsReadView.as_view(), name="api-conversations-read"
    ),
    path(
        f"{_REST}conversations/<uuid:conversation_id>/",
        api.ConversationReadView.as_view(),
        name="api-conversation-read",
    ),
    path(
        f"{_REST}conversations/<uuid:conversation_id>/pictures/<uuid:image_id>/",
        api.PictureReadView.as_view(),
        name="api-conversation-picture",
    ),
    path(f"{_REST}handovers/", api.HandoversView.as_view(), name="api-handovers"),
    path(f"{_REST}handover-rules/", api.RulesView.as_view(), name="api-handover-rules"),
    path(
        f"{_REST}handover-rules/<uuid:rule_id>/",
        api.RuleView.as_view(),
        name="api-handover-rule",
    ),
    path(f"{_REST}reading-log/", api.ReadingLogView.as_view(), name="api-reading-log"),
]
