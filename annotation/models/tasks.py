"""Tasks with their candidates, and the leases that hand them out."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from annotation.models.projects import Kind, Project
from annotation.querysets import AssignmentQuerySet, TaskQuerySet


class Task(models.Model):
    """A prompt and K candidates to be judged by `overlap` people.

    A task with `gold` has a known answer; `reserved_for` keeps one place for one person;
    `repeat_of` names the task this one asks again, of the same person, for self-consistency;
    `disagreement` is 0 where everyone agreed and rises to 1 (None: not enough judgments yet).

    `taken` counts leases held plus judgments stored (surplus ones excluded); the check
    `taken <= overlap` is the promise that nothing is over-collected. `done` counts stored
    judgments. `prompt` is a path in chat form: [{"role", "content"}].
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        DONE = "done", "Done"
        WITHDRAWN = "withdrawn", "Withdrawn"

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="tasks", db_index=False
    )
    external_id = models.CharField(max_length=200, null=True, blank=True)
    kind = models.CharField(max_length=16, choices=Kind)
    also = ArrayField(
        models.CharField(max_length=16, choices=Kind),
        default=list,
        blank=True,
        help_text="Further kinds asked on the same page, answered in the same judgment.",
    )
    prompt = models.JSONField()
    prompt_hash = models.CharField(max_length=64)
    overlap = models.PositiveSmallIntegerField()
    taken = models.PositiveSmallIntegerField(default=0)
    done = models.PositiveSmallIntegerField(default=0)
    priority = models.FloatField(default=0.0)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    gold = models.JSONField(null=True, blank=True)
    gold_note = models.TextField(blank=True, help_text="Why the gold answer is right.")
    is_calibration = models.BooleanField(default=False)
    skills = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    reserved_for = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="reserved_tasks",
        db_index=False,
    )
    repeat_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="repeats",
        db_index=False,
    )
    disagreement = models.FloatField(null=True, blank=True)
    adjudicated_at = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=20, default="import")
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = TaskQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "external_id"], name="task_external_id_once"
            ),
            models.CheckConstraint(condition=Q(overlap__gte=1), name="task_overlap_positive"),
            models.CheckConstraint(
                condition=Q(taken__lte=F("overlap")), name="task_never_over_collected"
            ),
            models.CheckConstraint(
                condition=Q(done__lte=F("taken")), name="task_done_within_taken"
            ),
        ]
        # Each claim and each submit writes anew into every index without a condition: there are
        # as few of these as the reads allow, and what is mostly empty has one of its own rows.
        indexes = [
            models.Index(fields=["project", "id"], name="task_by_project"),
            models.Index(fields=["prompt_hash"], name="task_by_prompt"),
            models.Index(
                fields=["reserved_for"], condition=Q(reserved_for__isnull=False), name="task_kept"
            ),
            models.Index(
                fields=["repeat_of"], condition=Q(repeat_of__isnull=False), name="task_repeats"
            ),
            models.Index(
                fields=["project", "-priority", "id"],
                condition=Q(state="open", taken__lt=F("overlap")),
                name="task_queue",
            ),
            models.Index(
                fields=["project", "-priority", "taken", "id"],
                condition=Q(state="open", taken__lt=F("overlap")),
                name="task_queue_breadth",
            ),
            models.Index(
                fields=["project", "id"], condition=Q(is_calibration=True), name="task_calibration"
            ),
            models.Index(
                fields=["project", "id"], condition=Q(gold__isnull=False), name="task_gold"
            ),
            models.Index(
                fields=["reserved_for", "project"],
                condition=Q(reserved_for__isnull=False, state="open"),
                name="task_reserved",
            ),
            models.Index(
                fields=["project", "-disagreement"],
                condition=Q(disagreement__gt=0, adjudicated_at=None),
                name="task_to_review",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} task {self.pk}"

    def has_room_for(self, person) -> bool:
        """Whether this person may be counted in: the place kept for another is not theirs."""
        if self.state != self.State.OPEN:
            return False
        kept = 0
        if self.reserved_for_id is not None and self.reserved_for_id != person.pk:
            there = self.assignments.filter(
                annotator=self.reserved_for_id,
                state__in=[Assignment.State.LEASED, Assignment.State.SUBMITTED],
            )
            kept = int(not there.exists())
        return self.taken + kept < self.overlap


class PromptItem(models.Model):
    """A prompt without answers: the round samples answers for it and makes tasks of them.

    `split` is what the source said (train, test ...); blank leaves it to the prompt hash.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompt_items")
    external_id = models.CharField(max_length=200, null=True, blank=True)
    prompt = models.JSONField()
    prompt_hash = models.CharField(max_length=64)
    group = models.CharField(max_length=60, blank=True)
    split = models.CharField(max_length=20, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "prompt_hash"], name="prompt_item_once"),
            models.UniqueConstraint(
                fields=["project", "external_id"], name="prompt_item_external_id_once"
            ),
        ]

    def __str__(self) -> str:
        return f"prompt {self.pk} of {self.project_id}"


class Candidate(models.Model):
    """One answer to judge, with the model version and sampling that made it, where known."""

    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="candidates", db_index=False
    )
    position = models.PositiveSmallIntegerField(help_text="As imported; never the order shown.")
    content = models.TextField(blank=True)
    parts = models.JSONField(null=True, blank=True, help_text="Typed parts when not plain text.")
    model = models.CharField(max_length=200, blank=True)
    model_version = models.ForeignKey(
        "inference.ModelVersion", null=True, blank=True, on_delete=models.PROTECT, db_index=False
    )
    sampling = models.JSONField(default=dict, blank=True)
    logprob = models.FloatField(null=True, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, db_index=False
    )

    class Meta:
        ordering = ["task_id", "position"]
        constraints = [
            models.UniqueConstraint(fields=["task", "position"], name="candidate_position_once"),
        ]
        indexes = [
            models.Index(
                fields=["model_version"],
                condition=Q(model_version__isnull=False),
                name="candidate_by_version",
            ),
            models.Index(
                fields=["author"], condition=Q(author__isnull=False), name="candidate_by_author"
            ),
        ]

    def __str__(self) -> str:
        return f"candidate {self.position} of task {self.task_id}"


class Assignment(models.Model):
    """A lease of one task to one person. One row for a person and a task, ever.

    `token` is the fencing token: a submit names it, and a lease that was handed out again
    has a new one. `shown` holds candidate ids in the order on screen. One that `is_ahead` was
    taken in advance, for a page that shows it next; it begins when its turn has come.
    """

    class State(models.TextChoices):
        LEASED = "leased", "Leased"
        SUBMITTED = "submitted", "Submitted"
        SKIPPED = "skipped", "Skipped"
        EXPIRED = "expired", "Expired"
        RELEASED = "released", "Released"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="assignments", db_index=False
    )
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="assignments",
        db_index=False,
    )
    state = models.CharField(max_length=10, choices=State, default=State.LEASED)
    token = models.UUIDField(default=uuid.uuid4)
    shown = ArrayField(models.BigIntegerField())
    claimed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    skip_reason = models.CharField(max_length=300, blank=True)
    is_ahead = models.BooleanField(default=False, db_default=False)

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "annotator"], name="assignment_once_a_person"),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=Q(state="leased"), name="assignment_expiry"
            ),
            models.Index(fields=["annotator", "-claimed_at"], name="assignment_by_person"),
            # An expression, so that the planner takes this one and never a person's whole history.
            models.Index(
                F("annotator_id") + 0, condition=Q(state="leased"), name="assignment_held"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task} to {self.annotator}"


class Draft(models.Model):
    """Unsent work, so that a closed laptop loses nothing."""

    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE, related_name="draft")
    body = models.JSONField()
    saved_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"draft of {self.assignment_id}"
