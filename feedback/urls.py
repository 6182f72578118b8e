"""Pages and REST calls of the chat."""

from django.urls import include, path, re_path

from feedback.api import completions, images, own_data, shares, signals, webhooks
from feedback.api import views as api
from feedback.views import chat, reports, shared

urlpatterns = [
    path("", chat.home, name="chat"),
    path("c/<uuid:conversation_id>/", chat.conversation, name="conversation"),
    path("s/<slug:token>/", shared.shared, name="shared"),
    path("review/reports/", reports.reported, name="reported"),
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
        "api/conversations/<uuid:conversation_id>/shares/",
        shares.SharesView.as_view(),
        name="conversation-shares",
    ),
    path("api/shares/<uuid:share_id>/", shares.ShareView.as_view(), name="share-detail"),
    path("api/images/", images.ImagesView.as_view(), name="images"),
    path("api/images/<uuid:image_id>/", images.ImageView.as_view(), name="image-detail"),
    path("s/<slug:token>/<uuid:image_id>/", shared.shared_image, name="shared-image"),
    path("api/webhooks/", webhooks.WebhooksView.as_view(), name="webhooks"),
    path("api/webhooks/<uuid:webhook_id>/", webhooks.WebhookView.as_view(), name="webhook-detail"),
    path("api/events/", signals.EventsView.as_view(), name="events"),
    path("api/own-data/", own_data.OwnDataView.as_view(), name="own-data"),
    path(
        "api/messages/<uuid:message_id>/reactions/",
        api.ReactionsView.as_view(),
        name="message-reactions",
    ),
    path("v1/models", completions.models, name="v1-models"),
    path("v1/chat/completions", completions.chat_completions, name="v1-chat-completions"),
    path("v1/feedback", completions.feedback, name="v1-feedback"),
    re_path(r"^v1/", completions.no_door),
    path("", include("feedback.urls_arena")),
    path("", include("feedback.urls_reading")),
]
