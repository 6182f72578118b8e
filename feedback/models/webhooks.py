"""Webhooks: other systems hear of reactions and votes."""

import base64
import secrets
import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from feedback.models.events import Event
from feedback.models.votes import Vote


def new_secret() -> str:
    """256 random bits that sign what is sent, in base64 after a prefix (Standard Webhooks)."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


class Webhook(models.Model):
    """An address that hears of some kinds of events of one project."""

    KINDS = ("reaction", "vote")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        "annotation.Project", on_delete=models.CASCADE, related_name="webhooks"
    )
    url = models.URLField(max_length=500)
    secret = models.CharField(max_length=80, default=new_secret)
    kinds = ArrayField(models.CharField(max_length=20))
    active = models.BooleanField(default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """One event on its way to one address. It points at what it tells, and goes when that goes."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Given up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, null=True, on_delete=models.CASCADE, related_name="+")
    vote = models.ForeignKey(Vote, null=True, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(auto_now_add=True)
    status = models.PositiveSmallIntegerField(null=True, help_text="The last answer's HTTP status.")
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(state="waiting"), name="delivery_waiting_by_time"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(event__isnull=True) ^ Q(vote__isnull=True), name="delivery_of_one_thing"
            ),
            models.UniqueConstraint(fields=["webhook", "event"], name="delivery_once_per_event"),
            models.UniqueConstraint(fields=["webhook", "vote"], name="delivery_once_per_vote"),
        ]

    def __str__(self) -> str:
        return f"delivery to {self.webhook_id}"
