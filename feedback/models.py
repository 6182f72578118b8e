"""Conversations as trees of immutable messages, and what readers made of them."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from feedback.querysets import ConversationQuerySet, EventQuerySet


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
        choices=[("chat", "Chat"), ("api", "API")],
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
        indexes = [models.Index(fields=["owner", "-updated_at"], name="conversation_by_owner")]
        constraints = [
            models.CheckConstraint(
                condition=Q(owner__isnull=False) | ~Q(guest=""), name="conversation_has_a_person"
            ),
        ]

    def __str__(self) -> str:
        return self.title or str(self.pk)


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
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(role="assistant", state="complete") | Q(model_version__isnull=False),
                name="message_answer_names_its_model",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} message {self.pk}"


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
