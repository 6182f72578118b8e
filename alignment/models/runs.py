"""Runs: one launch of the trainer."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from alignment.models.rounds import Round
from alignment.models.snapshots import Snapshot


class Run(models.Model):
    """One launch of the trainer: its recipe, its input, its progress, what it made.

    `worker` and `attempt` are the claim: whoever holds a running row wrote both, and every
    later write names them. `curve` is a thinned copy of the trainer's progress lines, `log`
    the end of what it printed.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    ACTIVE = ("queued", "running")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="runs")
    round = models.ForeignKey(
        Round, null=True, blank=True, on_delete=models.CASCADE, related_name="runs"
    )
    task = models.CharField(
        max_length=20, help_text="reward, sample, policy, evaluate, ask: what the round knows it by"
    )
    recipe = models.CharField(max_length=80, blank=True)
    config = models.JSONField(default=dict)
    snapshot = models.ForeignKey(
        Snapshot, null=True, blank=True, on_delete=models.PROTECT, related_name="runs"
    )
    base = models.ForeignKey(
        "inference.ModelVersion",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="runs_from",
    )
    model = models.OneToOneField(
        "inference.ModelVersion",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="run",
    )
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    phase = models.CharField(max_length=40, blank=True)
    step = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    metrics = models.JSONField(default=dict)
    curve = models.JSONField(default=list)
    log = models.TextField(blank=True)
    error = models.TextField(blank=True)
    folder = models.CharField(max_length=500, blank=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)
    priority = models.SmallIntegerField(default=0, help_text="Higher ones go first.")
    processes = models.PositiveSmallIntegerField(default=1, help_text="One a device.")
    not_before = models.DateTimeField(null=True, blank=True, help_text="Set after a death.")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["round", "task"], name="run_one_a_task_in_a_round"),
        ]
        indexes = [
            models.Index(
                fields=["heartbeat_at"],
                condition=Q(state__in=["queued", "running"]),
                name="run_unfinished",
            ),
            models.Index(fields=["project", "-created_at"], name="run_by_project"),
        ]

    def __str__(self) -> str:
        return f"{self.task} run {self.pk}"
