"""Images in questions: drawn anew when they come in, kept with the conversation."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from feedback.models.messages import Message


class Image(models.Model):
    """A picture of one person, in a question or waiting to be sent with one.

    The bytes are in the row, so that they go when the conversation goes, in one transaction.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    guest = models.CharField(max_length=40, blank=True)
    message = models.ForeignKey(
        Message, null=True, blank=True, on_delete=models.CASCADE, related_name="images"
    )
    place = models.PositiveSmallIntegerField(default=0)
    content_type = models.CharField(max_length=20)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    data = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["place", "created_at"]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(message=None), name="image_waiting_by_time"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(owner__isnull=False) | ~Q(guest=""), name="image_has_a_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.content_type} {self.width} × {self.height}"
