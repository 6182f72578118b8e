"""Messages: the immutable nodes of a conversation's tree."""

import uuid

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import Q
from django.db.models.functions import Left

from feedback.models.conversations import Conversation

#: The words of a message by which it is found: of any language, and of the beginning alone,
#: because a vector of words has a greatest size.
WORDS = SearchVector(Left("text", 100_000), config="simple")


class Message(models.Model):
    """A node of the tree. Once its state is final the text never changes (a trigger sees to it)."""

    class Role(models.TextChoices):
        SYSTEM = "system", "System"
        USER = "user", "User"
        ASSISTANT = "assistant", "Assistant"

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        STREAMING = "streaming", "Streaming"
        COMPLETE = "complete", "Complete"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages"
    )
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="children"
    )
    role = models.CharField(max_length=10, choices=Role)
    text = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.COMPLETE)
    error = models.CharField(max_length=300, blank=True)
    model_version = models.ForeignKey(
        "inference.ModelVersion", null=True, blank=True, on_delete=models.PROTECT
    )
    deployment = models.ForeignKey(
        "inference.Deployment", null=True, blank=True, on_delete=models.SET_NULL
    )
    sampling = models.JSONField(default=dict, blank=True)
    request_id = models.UUIDField(unique=True, null=True, blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    first_token_ms = models.PositiveIntegerField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at", "pk"]
        indexes = [
            models.Index(
                fields=["state"],
                condition=Q(state__in=["queued", "streaming"]),
                name="message_unfinished",
            ),
            GinIndex(WORDS, name="message_words"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(role="assistant", state="complete") | Q(model_version__isnull=False),
                name="message_answer_names_its_model",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} message {self.pk}"
