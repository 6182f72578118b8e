"""A project: what is asked, of whom, how often."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from annotation.querysets import ProjectQuerySet


class Kind(models.TextChoices):
    """What one task asks for; a task may ask for several at once (`Task.also`)."""

    PAIRWISE = "pairwise", "Pairwise"
    LISTWISE = "listwise", "Listwise"
    SPAN = "span", "Spans"
    PRINCIPLE = "principle", "Principles"
    RATING = "rating", "Ratings"
    CRITIQUE = "critique", "Critique and correction"
    SAFETY = "safety", "Helpfulness and safety"
    STEP = "step", "Steps and turns"
    TRIPLET = "triplet", "Similarity"


class Order(models.TextChoices):
    """Which open task comes next among those of equal priority."""

    BREADTH = "breadth", "Every task once before any task twice"
    DEPTH = "depth", "Finish a task before starting the next"


class Project(models.Model):
    """The home of tasks, people and models. `slug` is what scripts use."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    guidelines = models.TextField(blank=True, help_text="Markdown, shown beside every task.")
    kinds = ArrayField(models.CharField(max_length=16, choices=Kind))
    overlap = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="How many people judge each task unless the task says otherwise.",
    )
    lease_seconds = models.PositiveIntegerField(default=900, validators=[MinValueValidator(10)])
    undo_seconds = models.PositiveIntegerField(default=600)
    dimensions = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    attributes = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    categories = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    missing_categories = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    order = models.CharField(max_length=8, choices=Order, default=Order.DEPTH)
    gold_rate = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(0.5)],
        help_text="Share of claims that hand out a task with a known answer, unseen.",
    )
    repeat_rate = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(0.5)],
        help_text="Share of judged tasks that the same person is asked once more, later.",
    )
    calibration_size = models.PositiveSmallIntegerField(
        default=0, help_text="How many explained tasks a newcomer judges first."
    )
    calibration_pass = models.FloatField(
        default=0.7, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )
    languages = ArrayField(models.CharField(max_length=12), default=list, blank=True)
    options = models.JSONField(default=dict, blank=True)
    is_paused = models.BooleanField(default=False)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(overlap__gte=1), name="project_overlap_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(gold_rate__range=(0, 0.5), repeat_rate__range=(0, 0.5)),
                name="project_rates_up_to_half",
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """A person's place in a project; the role here may be below the person's own role."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=16, default="annotator")
    is_paused = models.BooleanField(default=False)
    skills = ArrayField(
        models.CharField(max_length=40),
        default=list,
        blank=True,
        help_text="What this person qualified for; languages are skills such as 'lang:ar'.",
    )
    calibrated_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project} as {self.role}"


class Invite(models.Model):
    """A link that lets its bearer into a project; the secret is kept only as its hash."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invites")
    digest = models.CharField(max_length=64, unique=True)
    role = models.CharField(max_length=16, default="annotator")
    skills = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    note = models.CharField(max_length=120, blank=True)
    uses_left = models.PositiveIntegerField(default=1)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    def __str__(self) -> str:
        return f"invite {self.pk} to {self.project_id} as {self.role}"


class Media(models.Model):
    """An image of a prompt or an answer, checked on its way in and named by its hash."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="media")
    sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=40)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    alt = models.CharField(max_length=500, blank=True)
    file = models.FileField(upload_to="media/")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "media"
        constraints = [
            models.UniqueConstraint(fields=["project", "sha256"], name="media_once"),
        ]

    def __str__(self) -> str:
        return f"{self.content_type} {self.sha256[:12]}"


class Principle(models.Model):
    """One yes/no question about an answer. Editing makes a new version; verdicts keep theirs."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="principles")
    key = models.SlugField(max_length=60)
    text = models.CharField(max_length=500)
    version = models.PositiveIntegerField(default=1)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "key", "version"], name="principle_version_once"
            ),
            models.UniqueConstraint(
                fields=["project", "key"],
                condition=models.Q(is_active=True),
                name="principle_one_active_version",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key} v{self.version}"
