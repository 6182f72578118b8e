"""What is written beside the judgments: the hash-chained log, and words to annotators."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotation.models.judgments import Judgment
from annotation.models.projects import Project


class LogEntry(models.Model):
    """One line of the tamper-evident log: who did what to which row, and the row's digest.

    Written in the transaction of the change itself. `digest` is the SHA-256 of the row's
    canonical content, so the log proves content without holding it and outlives an erasure.
    Sealing gives entries their `position` (1, 2, ... without gaps) and
    `chain` = SHA-256(chain before, this entry's canonical form); sealed entries never change.
    """

    class Action(models.TextChoices):
        STORED = "stored", "Stored"
        WITHDRAWN = "withdrawn", "Withdrawn"
        SUPERSEDED = "superseded", "Superseded"
        CREATED = "created", "Created"
        CHANGED = "changed", "Changed"
        ERASED = "erased", "Erased"

    id = models.BigAutoField(primary_key=True)
    # No foreign keys: the log must outlive what it speaks of.
    project_id = models.BigIntegerField()
    action = models.CharField(max_length=10, choices=Action)
    subject = models.CharField(max_length=40, help_text="Table name, such as judgment or task.")
    subject_id = models.CharField(max_length=40)
    actor = models.CharField(max_length=40, blank=True, help_text="A pseudonym.")
    digest = models.BinaryField(max_length=32)
    at = models.DateTimeField()
    position = models.BigIntegerField(null=True, blank=True, unique=True)
    chain = models.BinaryField(max_length=32, null=True, blank=True)

    class Meta:
        verbose_name_plural = "log entries"
        indexes = [
            models.Index(fields=["id"], condition=Q(position=None), name="log_unsealed"),
            models.Index(fields=["subject", "subject_id"], name="log_by_subject"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(position__isnull=True, chain__isnull=True)
                | Q(position__isnull=False, chain__isnull=False),
                name="log_sealed_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject} {self.subject_id}"


class Note(models.Model):
    """Words from a reviewer to an annotator, about one judgment or about the work."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="notes")
    judgment = models.ForeignKey(
        Judgment, null=True, blank=True, on_delete=models.CASCADE, related_name="notes"
    )
    to = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notes_received"
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="notes_sent"
    )
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["to"], condition=Q(read_at=None), name="note_unread"),
        ]

    def __str__(self) -> str:
        return f"note to {self.to}"
