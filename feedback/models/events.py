"""Events: what readers made of the answers, added and never changed."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from feedback.models.messages import Message
from feedback.querysets import EventQuerySet


class Event(models.Model):
    """One reaction or signal, append-only. Taking a reaction back is an event of its own."""

    class Kind(models.TextChoices):
        REACTION = "reaction", "Reaction"
        RETRACTION = "retraction", "Reaction taken back"
        COPY = "copy", "Copied"
        REGENERATE = "regenerate", "Asked again"
        EDIT = "edit", "Edited the question"
        STOP = "stop", "Stopped"
        REPORT = "report", "Reported"

    id = models.BigAutoField(primary_key=True)
    client_event = models.UUIDField(unique=True)
    kind = models.CharField(max_length=12, choices=Kind)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="events")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE
    )
    guest = models.CharField(max_length=40, blank=True)
    reaction = models.CharField(max_length=20, blank=True)
    reasons = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    comment = models.TextField(blank=True)
    weight = models.FloatField(default=1.0)
    client_time = models.DateTimeField(null=True, blank=True)
    server_time = models.DateTimeField(auto_now_add=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["message", "id"], name="event_by_message"),
            models.Index(fields=["server_time"], name="event_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reaction} on {self.message_id}"
