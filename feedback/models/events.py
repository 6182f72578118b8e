"""Events: what readers made of the answers, added and never changed."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from feedback.models.messages import Message
from feedback.querysets import EventQuerySet


class Event(models.Model):
    """One reaction or signal, append-only. Taking a reaction back is an event of its own.

    `message` is the answer it is about, which knows its model version and its arm.
    """

    class Kind(models.TextChoices):
        REACTION = "reaction", "Reaction"
        RETRACTION = "retraction", "Reaction taken back"
        COPY = "copy", "Copied"
        REGENERATE = "regenerate", "Asked again"
        EDIT = "edit", "Edited the question"
        STOP = "stop", "Stopped"
        REPORT = "report", "Reported"
        SHARE = "share", "Shared by link"
        FOLLOW_UP = "follow-up", "Asked on"
        EXPOSURE = "exposure", "Was on screen"
        DWELL = "dwell", "Time on screen"
        HINDSIGHT = "hindsight", "Judged later"

    id = models.BigAutoField(primary_key=True)
    client_event = models.UUIDField(unique=True)
    kind = models.CharField(max_length=12, choices=Kind)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="events")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE
    )
    guest = models.CharField(max_length=40, blank=True)
    reaction = models.CharField(
        max_length=20, blank=True, help_text="The reaction, or the verdict given in hindsight."
    )
    reasons = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    comment = models.TextField(blank=True)
    duration_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text="Time on screen since the last such event."
    )
    share_seen = models.FloatField(
        null=True, blank=True, help_text="Greatest part of the answer that was on screen, 0 to 1."
    )
    weight = models.FloatField(default=1.0)
    client_time = models.DateTimeField(null=True, blank=True)
    server_time = models.DateTimeField(auto_now_add=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["message", "id"], name="event_by_message"),
            models.Index(fields=["server_time"], name="event_by_time"),
            models.Index(fields=["guest"], condition=~Q(guest=""), name="event_by_guest"),
            models.Index(fields=["id"], condition=Q(kind="report"), name="event_reports"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(share_seen__isnull=True) | Q(share_seen__gte=0, share_seen__lte=1),
                name="event_share_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reaction} on {self.message_id}"


class ReportRuling(models.Model):
    """What a reviewer decided about a reported answer; a report without one is open."""

    class Verdict(models.TextChoices):
        UPHELD = "upheld", "Upheld"
        DISMISSED = "dismissed", "Dismissed"

    report = models.OneToOneField(Event, on_delete=models.CASCADE, related_name="ruling")
    verdict = models.CharField(max_length=10, choices=Verdict)
    note = models.CharField(max_length=500, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.verdict}: report {self.report_id}"
