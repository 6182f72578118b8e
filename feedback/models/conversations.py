"""Conversations: one chat of one person."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from feedback.querysets import ConversationQuerySet


class Conversation(models.Model):
    """One chat of one person: a member (`owner`) or a guest (`guest`, a signed cookie's key).

    `deployment` is the traffic arm the conversation was dealt at its first answer.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        "annotation.Project", on_delete=models.CASCADE, related_name="conversations"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="conversations",
    )
    guest = models.CharField(max_length=40, blank=True, db_index=True)
    deployment = models.ForeignKey(
        "inference.Deployment", null=True, blank=True, on_delete=models.SET_NULL
    )
    source = models.CharField(
        max_length=4,
        choices=[("chat", "Chat"), ("api", "API"), ("side", "Side by side")],
        default="chat",
        help_text="The door it came through; only those of the chat are listed there.",
    )
    title = models.CharField(max_length=120, blank=True)
    consent = models.BooleanField(default=True, help_text="May be used to improve the model.")
    leaf = models.ForeignKey(
        "Message", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        ordering = ["-updated_at"]
        indexes = [
            models.Index(fields=["owner", "-updated_at"], name="conversation_by_owner"),
            models.Index(fields=["project", "-updated_at", "-id"], name="conversation_by_project"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(owner__isnull=False) | ~Q(guest=""), name="conversation_has_a_person"
            ),
        ]

    def __str__(self) -> str:
        return self.title or str(self.pk)
