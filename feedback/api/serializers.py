"""What REST clients send to the chat."""

import uuid

from rest_framework import serializers

from feedback.services.signals import MAX_BATCH, TOLD


def valid(serializer: type[serializers.Serializer], request) -> dict:
    """The request's body, read by `serializer`; raises ValidationError."""
    parsed = serializer(data=request.data)
    parsed.is_valid(raise_exception=True)
    return parsed.validated_data


class BeginIn(serializers.Serializer):
    consent = serializers.BooleanField(default=True)
    title = serializers.CharField(max_length=120, required=False, allow_blank=True)


class ChangeIn(serializers.Serializer):
    consent = serializers.BooleanField(required=False)
    title = serializers.CharField(max_length=120, required=False)


class SendIn(serializers.Serializer):
    # Length and characters are judged by feedback.text, with better words than a field has.
    text = serializers.CharField(trim_whitespace=False, allow_blank=True)
    parent = serializers.UUIDField(required=False, allow_null=True, default=None)
    id = serializers.UUIDField(required=False, allow_null=True, default=None)
    client_time = serializers.DateTimeField(required=False, allow_null=True, default=None)
    images = serializers.ListField(child=serializers.UUIDField(), max_length=100, default=list)


class ReactionIn(serializers.Serializer):
    reaction = serializers.CharField(max_length=20)
    on = serializers.BooleanField(default=True)
    id = serializers.UUIDField(default=uuid.uuid4)
    reasons = serializers.ListField(
        child=serializers.CharField(max_length=60), max_length=10, default=list
    )
    comment = serializers.CharField(max_length=2000, allow_blank=True, default="")
    client_time = serializers.DateTimeField(required=False, allow_null=True, default=None)


class EventIn(serializers.Serializer):
    """One event of a batch, as the API description tells it; feedback.api.signals reads it."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=sorted(TOLD))
    message = serializers.UUIDField()
    reaction = serializers.CharField(max_length=20, allow_blank=True, default="")
    reasons = serializers.ListField(
        child=serializers.CharField(max_length=60), max_length=10, default=list
    )
    comment = serializers.CharField(max_length=2000, allow_blank=True, default="")
    duration_ms = serializers.IntegerField(required=False, allow_null=True, default=None)
    share_seen = serializers.FloatField(required=False, allow_null=True, default=None)
    client_time = serializers.DateTimeField(required=False, allow_null=True, default=None)


class EventsIn(serializers.Serializer):
    events = EventIn(many=True, allow_empty=False, max_length=MAX_BATCH)


class ShareIn(serializers.Serializer):
    leaf = serializers.UUIDField(required=False, allow_null=True, default=None)
