"""Experiments: a policy that is tried on a share of the conversations beside the live one."""

import uuid

from django.db import models
from django.db.models import Q


class Experiment(models.Model):
    """One live comparison of two deployments whose shares do not change while it runs.

    `counts` are settled conversations by arm up to `counted_until`, `path` the looks so far
    (thinned), `outcome` the newest judgment of `alignment.stats.release`.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        PROMOTED = "promoted", "Promoted"
        ROLLED_BACK = "rolled_back", "Rolled back"
        RETIRED = "retired", "Ended by a person"
        REPLACED = "replaced", "Replaced"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        "annotation.Project", on_delete=models.CASCADE, related_name="experiments"
    )
    round = models.ForeignKey(
        "alignment.Round",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="experiments",
    )
    candidate = models.ForeignKey(
        "inference.Deployment", on_delete=models.PROTECT, related_name="experiments"
    )
    control = models.ForeignKey(
        "inference.Deployment", on_delete=models.PROTECT, related_name="experiments_as_control"
    )
    share = models.FloatField(help_text="Chance of the candidate among the two arms.")
    rules = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=State, default=State.RUNNING)
    counts = models.JSONField(default=dict)
    counted_until = models.DateTimeField()
    outcome = models.JSONField(default=dict)
    path = models.JSONField(default=list)
    halted = models.BooleanField(default=False, help_text="The arms are not dealt as meant.")
    started_at = models.DateTimeField(auto_now_add=True)
    looked_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(state="running"),
                name="experiment_one_at_a_time",
            ),
        ]
        indexes = [models.Index(fields=["project", "-started_at"], name="experiment_by_project")]

    def __str__(self) -> str:
        return f"{self.candidate.model_version} beside {self.control.model_version}"
