"""Rounds: one turn of the loop, step by step."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from alignment.models.snapshots import Snapshot


class Round(models.Model):
    """One turn of the loop: snapshot, refit, sample, optimise, evaluate, gate, deploy, ask.

    `steps` tells what each step did: {"reward": {"state", "started", "finished", "sentence"}}.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        RELEASED = "released", "Released"
        REFUSED = "refused", "Refused by the gate"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    ACTIVE = ("queued", "running")

    class Step(models.TextChoices):
        SNAPSHOT = "snapshot", "Snapshot"
        REWARD = "reward", "Refit the reward model"
        SAMPLE = "sample", "Sample answers"
        POLICY = "policy", "Optimise the policy"
        EVALUATE = "evaluate", "Evaluate"
        GATE = "gate", "Gate"
        DEPLOY = "deploy", "Deploy"
        ASK = "ask", "Ask people"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        "annotation.Project", on_delete=models.CASCADE, related_name="rounds"
    )
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    step = models.CharField(max_length=10, choices=Step, default=Step.SNAPSHOT)
    trigger = models.CharField(max_length=40, default="hand")
    config = models.JSONField(default=dict)
    snapshot = models.ForeignKey(
        Snapshot, null=True, blank=True, on_delete=models.PROTECT, related_name="rounds"
    )
    base = models.ForeignKey(
        "inference.ModelVersion",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="rounds_from",
    )
    steps = models.JSONField(default=dict)
    gate = models.JSONField(default=dict, help_text="The gate's verdict, criterion by criterion.")
    error = models.TextField(blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="round_number_once"),
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(state__in=["queued", "running"]),
                name="round_one_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"round {self.number} of {self.project}"
