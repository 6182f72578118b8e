"""Side by side: two blind answers to one question, and the vote between them."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from feedback.models.conversations import Conversation
from feedback.models.messages import Message


class Battle(models.Model):
    """Two models answer the same question at the same time; `left` and `right` as on screen.

    Which model stands on which side is drawn at random. `chance` is the probability with which
    this pair was drawn among the contenders (pairs the leaderboard knows little about come more
    often), so that an analysis can correct for it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="battles")
    question = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="battle")
    left = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="battle_as_left")
    right = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="battle_as_right")
    chance = models.FloatField(default=1.0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "pk"]
        indexes = [
            models.Index(fields=["conversation", "created_at"], name="battle_by_conversation")
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(left=F("right")), name="battle_of_two"),
            models.CheckConstraint(
                condition=Q(chance__gt=0, chance__lte=1), name="battle_chance_is_a_share"
            ),
        ]

    def __str__(self) -> str:
        return f"battle {self.pk}"


class Vote(models.Model):
    """What the person said of a battle, once and for all; names are shown only afterwards.

    `weight` in [0, 1] is how far it counts on the leaderboard, with `doubts` as the reasons:
    nothing is deleted, and researchers see both. `style_left` and `style_right` are
    `feedback.arena.style.counts` of the answers. `judgment` is the pairwise judgment it became.
    """

    class Outcome(models.TextChoices):
        LEFT = "left", "The left one is better"
        RIGHT = "right", "The right one is better"
        TIE = "tie", "Equally good"
        BOTH_BAD = "both_bad", "Both are bad"

    battle = models.OneToOneField(
        Battle, primary_key=True, on_delete=models.CASCADE, related_name="vote"
    )
    outcome = models.CharField(max_length=8, choices=Outcome)
    client_event = models.UUIDField(unique=True)
    seconds = models.FloatField(null=True, blank=True, help_text="From both answers to the vote.")
    style_left = ArrayField(models.PositiveIntegerField(), size=4)
    style_right = ArrayField(models.PositiveIntegerField(), size=4)
    weight = models.FloatField(default=1.0)
    doubts = models.JSONField(default=list, blank=True)
    judgment = models.OneToOneField(
        "annotation.Judgment", null=True, blank=True, on_delete=models.SET_NULL, related_name="vote"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="vote_by_time")]
        constraints = [
            models.CheckConstraint(
                condition=Q(weight__gte=0, weight__lte=1), name="vote_weight_is_a_share"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} in {self.battle_id}"


class Leaderboard(models.Model):
    """The newest fit of a project's votes, made by a worker; `board` is what pages and REST show,
    `pairs` what the choice of the next pair needs."""

    project = models.OneToOneField(
        "annotation.Project", primary_key=True, on_delete=models.CASCADE, related_name="leaderboard"
    )
    board = models.JSONField()
    pairs = models.JSONField()
    seen = models.CharField(max_length=80, help_text="Which votes and weights were read.")
    computed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"leaderboard of {self.project_id}"
