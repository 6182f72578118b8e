"""Decisions: who released or refused what, on which numbers."""

from django.conf import settings
from django.db import models

from alignment.models.rounds import Round


class Decision(models.Model):
    """Who released, refused, promoted or rolled back what, when, on which numbers."""

    class Action(models.TextChoices):
        RELEASE = "release", "Released"
        REFUSE = "refuse", "Refused"
        PROMOTE = "promote", "Promoted"
        ROLLBACK = "rollback", "Rolled back"
        OVERRULE = "overrule", "Gate overruled"
        CANARY = "canary", "Tried on a share"
        HOLDOUT = "holdout", "Held out"
        RETIRE = "retire", "Taken out of service"
        HALT = "halt", "Comparison halted"
        UNDECIDED = "undecided", "No difference found"

    project = models.ForeignKey(
        "annotation.Project", on_delete=models.CASCADE, related_name="decisions"
    )
    round = models.ForeignKey(
        Round, null=True, blank=True, on_delete=models.CASCADE, related_name="decisions"
    )
    model = models.ForeignKey(
        "inference.ModelVersion", on_delete=models.PROTECT, related_name="decisions"
    )
    action = models.CharField(max_length=10, choices=Action)
    reason = models.TextField(blank=True)
    numbers = models.JSONField(default=dict)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.action} {self.model}"
