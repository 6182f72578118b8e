"""How far a reaction counts, beside the append-only event it is about."""

from django.db import models
from django.db.models import Q

from feedback.models.events import Event


class ReactionTrust(models.Model):
    """A reaction that counts less than fully: its weight in [0, 1] and why.

    There is no row for the others, which weigh 1. `doubts` is a list of {"code", "factor",
    "says"}; the weight is the product of the factors. Computed anew by a worker; the event itself
    is never touched.
    """

    event = models.OneToOneField(
        Event, primary_key=True, on_delete=models.CASCADE, related_name="trust"
    )
    weight = models.FloatField()
    doubts = models.JSONField(default=list)
    computed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(weight__gte=0, weight__lte=1), name="trust_weight_is_a_share"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.weight} for event {self.event_id}"
