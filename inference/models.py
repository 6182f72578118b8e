"""Which models exist, and which of them answer whom."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from inference.querysets import DeploymentQuerySet, ModelVersionQuerySet


class ModelVersion(models.Model):
    """One immutable set of weights. The name is never reused, the artefact never overwritten."""

    class Kind(models.TextChoices):
        POLICY = "policy", "Policy"
        REWARD = "reward", "Reward model"

    class Form(models.TextChoices):
        FULL = "full", "Full weights"
        ADAPTER = "adapter", "LoRA adapter"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(max_length=100, unique=True)
    kind = models.CharField(max_length=10, choices=Kind)
    form = models.CharField(max_length=10, choices=Form, default=Form.FULL)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    location = models.CharField(
        max_length=500, help_text="Folder of the artefact, or a Hugging Face id."
    )
    digest = models.CharField(max_length=64, help_text="SHA-256 over the artefact's files.")
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name


class Deployment(models.Model):
    """A policy that answers chats in one project, with its share of the traffic.

    `weight` is a share of conversations in parts per thousand; per project the serving
    arms' weights sum to 1000 (kept by inference.services.deployments).
    """

    class Arm(models.TextChoices):
        LIVE = "live", "Live"
        CANARY = "canary", "Canary"
        HOLDOUT = "holdout", "Hold-out"

    class State(models.TextChoices):
        SERVING = "serving", "Serving"
        DRAINING = "draining", "Draining"
        ENDED = "ended", "Ended"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.SlugField(max_length=60, help_text="Slug of the project it serves.")
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="deployments"
    )
    arm = models.CharField(max_length=10, choices=Arm)
    weight = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.SERVING)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    reason = models.CharField(max_length=300, blank=True)
    restores = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="After a rollback: the earlier deployment whose model serves again.",
    )

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.CheckConstraint(condition=Q(weight__lte=1000), name="deployment_weight_share"),
            models.UniqueConstraint(
                fields=["project", "arm"],
                condition=Q(state="serving"),
                name="deployment_one_serving_per_arm",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_version} as {self.arm} of {self.project}"
