"""When a round begins by itself, and every time it did or did not."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from alignment.models.rounds import Round

_SHARE = [MinValueValidator(0.0), MaxValueValidator(1.0)]


class Rule(models.Model):
    """A project's rule: any condition that is set begins a round, unless a limit forbids it.

    Empty conditions are off. `measured` is what drift came to when it was last looked at.
    """

    project = models.OneToOneField(
        "annotation.Project", on_delete=models.CASCADE, related_name="rule"
    )
    enabled = models.BooleanField(default=False)
    new_judgments = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    new_reactions = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    cron = models.CharField(
        max_length=80, blank=True, help_text="Minute, hour, day, month, weekday: 30 3 * * *"
    )
    accuracy_drop = models.FloatField(null=True, blank=True, validators=_SHARE)
    agreement_drop = models.FloatField(null=True, blank=True, validators=_SHARE)
    prompt_shift = models.FloatField(
        null=True, blank=True, validators=_SHARE, help_text="Largest p-value that counts as moved."
    )
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    time_zone = models.CharField(max_length=60, default="UTC")
    rounds_a_day = models.PositiveSmallIntegerField(default=4, validators=[MinValueValidator(1)])
    minutes_a_day = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    config = models.JSONField(default=dict, blank=True, help_text="Settings of the rounds.")
    measured = models.JSONField(default=dict, blank=True)
    measured_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(auto_now=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="rule_quiet_hours_have_two_ends",
            ),
        ]

    def __str__(self) -> str:
        return f"rule of {self.project}"


class Firing(models.Model):
    """A rule's condition held: a round began, or why none did, with the numbers.

    The same refusal again and again is one row with its first and last time.
    """

    project = models.ForeignKey(
        "annotation.Project", on_delete=models.CASCADE, related_name="firings"
    )
    condition = models.CharField(max_length=20)
    round = models.ForeignKey(
        Round, null=True, blank=True, on_delete=models.SET_NULL, related_name="firings"
    )
    refused = models.CharField(max_length=300, blank=True)
    numbers = models.JSONField(default=dict)
    times = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    last_at = models.DateTimeField()

    class Meta:
        ordering = ["-last_at"]
        indexes = [models.Index(fields=["project", "-last_at"], name="firing_by_project")]

    def __str__(self) -> str:
        return self.refused or f"{self.condition} began {self.round}"
