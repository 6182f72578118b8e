"""A project: what is asked, of whom, how often."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from annotation.querysets import ProjectQuerySet


class Kind(models.TextChoices):
    """What one task asks for (METHODS.md C1-C7)."""

    PAIRWISE = "pairwise", "Pairwise"
    LISTWISE = "listwise", "Listwise"
    SPAN = "span", "Spans"
    PRINCIPLE = "principle", "Principles"
    RATING = "rating", "Ratings"
    CRITIQUE = "critique", "Critique and correction"


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
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project} as {self.role}"


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
