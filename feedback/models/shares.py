"""Shares: read-only links to one path of a conversation."""

import secrets
import uuid

from django.db import models

from feedback.models.conversations import Conversation
from feedback.models.messages import Message


def new_token() -> str:
    """128 random bits: who has not been given the link cannot guess it."""
    return secrets.token_urlsafe(16)


class Share(models.Model):
    """A link to the path that ends in `leaf`; what is said later is not shown by it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="shares")
    leaf = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    token = models.CharField(max_length=32, unique=True, default=new_token)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["leaf"],
                condition=models.Q(revoked_at=None),
                name="share_one_live_link_per_path",
            ),
        ]

    def __str__(self) -> str:
        return f"link to {self.conversation_id}"
