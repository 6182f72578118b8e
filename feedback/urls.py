"""Pages and REST calls of the chat."""

from django.urls import path

from feedback import views
from feedback.api import completions
from feedback.api import views as api

urlpatterns = [
    path("", views.home, name="chat"),
    path("c/<uuid:conversation_id>/", views.conversation, name="conversation"),
    path("api/conversations/", api.ConversationsView.as_view(), name="conversations"),
    path(
        "api/conversations/<uuid:conversation_id>/",
        api.ConversationView.as_view(),
        name="conversation-detail",
    ),
    path(
        "api/conversations/<uuid:conversation_id>/messages/",
        api.MessagesView.as_view(),
        name="conversation-messages",
    ),
    path(
        "api/messages/<uuid:message_id>/reactions/",
        api.ReactionsView.as_view(),
        name="message-reactions",
    ),
    path("v1/models", completions.models, name="v1-models"),
    path("v1/chat/completions", completions.chat_completions, name="v1-chat-completions"),
    path("v1/feedback", completions.feedback, name="v1-feedback"),
]
