"""Webhooks: registered, listed with their deliveries, taken away. For administrators."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Project
from config.auth import scope
from feedback.api.serializers import valid
from feedback.models import Delivery, Webhook
from feedback.services import webhooks

SHOWN = 200


class WebhookIn(serializers.Serializer):
    project = serializers.SlugField(max_length=60)
    url = serializers.URLField(max_length=500)
    kinds = serializers.ListField(child=serializers.CharField(max_length=20), max_length=10)


def _json(hook: Webhook) -> dict:
    return {
        "id": str(hook.pk),
        "project": hook.project.slug,
        "url": hook.url,
        "kinds": hook.kinds,
        "active": hook.active,
        "created_at": hook.created_at.isoformat(),
    }


def _told(delivery: Delivery) -> dict:
    return {
        "id": str(delivery.pk),
        "state": delivery.state,
        "attempts": delivery.attempts,
        "status": delivery.status,
        "error": delivery.error,
        "next_at": delivery.next_at.isoformat() if delivery.state == "waiting" else None,
        "delivered_at": delivery.delivered_at and delivery.delivered_at.isoformat(),
    }


class WebhooksView(APIView):
    """All webhooks."""

    permission_classes = [scope("admin")]

    @extend_schema(operation_id="webhooks_list", responses=OpenApiTypes.OBJECT)
    def get(self, request) -> Response:
        rows = Webhook.objects.select_related("project")
        return Response({"results": [_json(one) for one in rows]})

    @extend_schema(request=WebhookIn, responses={201: OpenApiTypes.OBJECT})
    def post(self, request) -> Response:
        """Register an address; its signing secret is shown in this answer and never again."""
        wanted = valid(WebhookIn, request)
        project = get_object_or_404(Project, slug=wanted["project"])
        hook = webhooks.register(
            project=project, url=wanted["url"], kinds=wanted["kinds"], by=request.user
        )
        return Response(_json(hook) | {"secret": hook.secret}, status=201)


class WebhookView(APIView):
    """One webhook with its newest deliveries."""

    permission_classes = [scope("admin")]

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request, webhook_id) -> Response:
        hook = get_object_or_404(Webhook.objects.select_related("project"), pk=webhook_id)
        rows = hook.deliveries.all()[:SHOWN]
        return Response(_json(hook) | {"deliveries": [_told(one) for one in rows]})

    @extend_schema(responses={204: None})
    def delete(self, request, webhook_id) -> Response:
        """Take it away with its deliveries; what waits is not sent."""
        get_object_or_404(Webhook, pk=webhook_id).delete()
        return Response(status=204)
