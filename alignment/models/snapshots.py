"""Snapshots: what people said, drawn by a stated query and kept as it was."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models


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
    names = ArrayField(
        models.CharField(max_length=40), default=list, help_text="Pseudonyms of the people in it."
    )
    erased = models.PositiveIntegerField(
        default=0, help_text="People in it whose data was erased since."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    class Meta:
        ordering = ["-created_at"]
        indexes = [GinIndex(fields=["names"], name="snapshot_by_person")]

    def __str__(self) -> str:
        return f"snapshot {self.digest[:12]}"
