"""From judgments to models: snapshots, runs, rounds, and every decision with its numbers."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class Snapshot(models.Model):
    """An immutable, content-addressed Parquet copy of what a stated query drew."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        "annotation.Project", on_delete=models.CASCADE, related_name="snapshots"
    )
    query = models.JSONField(default=dict)
    position = models.JSONField(default=dict, help_text="How far each log had come.")
    digest = models.CharField(max_length=64, db_index=True)
    location = models.CharField(max_length=500)
    counts = models.JSONField(default=dict, help_text="Records by kind, split and source.")
    people = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"snapshot {self.digest[:12]}"


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


class Run(models.Model):
    """One launch of the trainer: its recipe, its input, its progress, what it made.

    `worker` and `attempt` are the claim: whoever holds a running row wrote both, and every
    later write names them. `curve` is a thinned copy of the trainer's progress lines, `log`
    the end of what it printed.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
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


class Decision(models.Model):
    """Who released, refused, promoted or rolled back what, when, on which numbers."""

    class Action(models.TextChoices):
        RELEASE = "release", "Released"
        REFUSE = "refuse", "Refused"
        PROMOTE = "promote", "Promoted"
        ROLLBACK = "rollback", "Rolled back"
        OVERRULE = "overrule", "Gate overruled"

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
