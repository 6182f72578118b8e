"""Conversations that researchers read, and hand on to be judged."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from feedback.models.conversations import Conversation
from feedback.models.messages import Message


class ReadingLog(models.Model):
    """Who looked at whose conversations, and when. Rows are added and never changed or deleted.

    No foreign keys: the log outlives what it speaks of. `reader` is a pseudonym; `what` holds
    the search as it was asked, or what was handed on.
    """

    class Action(models.TextChoices):
        SEARCHED = "searched", "Searched"
        OPENED = "opened", "Opened"
        PICTURE = "picture", "Opened a picture"
        PREVIEWED = "previewed", "Previewed for annotation"
        SENT = "sent", "Sent to annotation"

    id = models.BigAutoField(primary_key=True)
    project_id = models.BigIntegerField()
    reader = models.CharField(max_length=40)
    action = models.CharField(max_length=10, choices=Action)
    conversation = models.UUIDField(null=True, blank=True)
    with_words = models.BooleanField(
        default=False, help_text="Whether what was said was shown, not only when and how."
    )
    what = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["project_id", "-id"], name="reading_by_project"),
            models.Index(
                fields=["conversation"],
                condition=Q(conversation__isnull=False),
                name="reading_by_conversation",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reader} {self.action} {self.conversation or ''}"


class HandoverRule(models.Model):
    """Conversations of `project` that become tasks of `target` by themselves.

    Of those that `pick` finds, the share `share` is taken (by a hash, so that the same ones stay
    in or out), at most `per_day` in 24 hours.
    """

    class Pick(models.TextChoices):
        LOW_LOVE = "low-love", "Low love rate"
        REPORTED = "reported", "Reported"
        DISAGREEMENT = "disagreement", "Reward models disagree"
        RANDOM = "random", "Random control"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        "annotation.Project", on_delete=models.CASCADE, related_name="handover_rules"
    )
    target = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=16)
    pick = models.CharField(max_length=12, choices=Pick)
    share = models.FloatField(default=1.0)
    per_day = models.PositiveIntegerField(default=20)
    is_active = models.BooleanField(default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    ran_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(share__gt=0, share__lte=1), name="handover_share_is_a_share"
            ),
            models.UniqueConstraint(
                fields=["project", "target", "pick"], name="handover_rule_once_a_pick"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pick} of {self.project_id} to {self.target_id}"


class Handover(models.Model):
    """A conversation that became a task of a project; once for each of the two.

    Goes when the conversation goes; `task` has by then been taken back where nobody had judged
    it (feedback.services.handover).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="handovers"
    )
    target = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="+")
    task = models.OneToOneField(
        "annotation.Task", null=True, on_delete=models.SET_NULL, related_name="handover"
    )
    rule = models.ForeignKey(
        HandoverRule, null=True, blank=True, on_delete=models.SET_NULL, related_name="handovers"
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    marks = models.JSONField(default=dict, help_text="How many labels of each kind were put in.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "target"], name="handover_once_a_project"
            ),
        ]
        indexes = [models.Index(fields=["rule", "created_at"], name="handover_by_rule")]

    def __str__(self) -> str:
        return f"{self.conversation_id} to {self.target_id}"


class AnswerSpread(models.Model):
    """How far the members of a reward-model ensemble are apart on an answer."""

    message = models.OneToOneField(
        Message, primary_key=True, on_delete=models.CASCADE, related_name="spread"
    )
    reward_model = models.ForeignKey(
        "inference.ModelVersion", on_delete=models.CASCADE, related_name="+"
    )
    spread = models.FloatField(help_text="Standard deviation of the members' scores.")
    computed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(spread__gte=0), name="spread_is_not_negative")
        ]

    def __str__(self) -> str:
        return f"{self.spread} for {self.message_id}"
