"""Researchers' pages and REST calls on conversations."""

from django.urls import path

from feedback.api import reading as api
from feedback.views import reading

_PAGES = "console/<slug:slug>/conversations/"
_REST = "api/projects/<slug:slug>/"

urlpatterns = [
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
