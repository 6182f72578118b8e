"""Devices: which job holds which processor of which host, and for how long it may."""

from django.db import models
from django.db.models import Q

from alignment.models.runs import Run


class Device(models.Model):
    """One place where one job can train: a GPU, or the processor of a host without any.

    A claim is a lease: it ends by itself when its holder stops renewing it. `token` grows with
    every claim and is named by every renewal, so that a holder that was given up for dead cannot
    renew what someone else holds.
    """

    host = models.CharField(max_length=120)
    name = models.CharField(max_length=40, help_text="cpu, cuda:0 ...")
    run = models.ForeignKey(
        Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="devices"
    )
    worker = models.CharField(max_length=120, blank=True)
    token = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["host", "name"]
        constraints = [
            models.UniqueConstraint(fields=["host", "name"], name="device_once"),
            models.CheckConstraint(
                condition=Q(run__isnull=True) | Q(expires_at__isnull=False),
                name="device_lease_ends",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.host}"
