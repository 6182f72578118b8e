"""What people said. Rows are added, superseded or withdrawn; never overwritten."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from annotation.models.projects import Kind, Principle, Project
from annotation.models.tasks import Assignment, Candidate, Task
from annotation.querysets import JudgmentQuerySet


class Judgment(models.Model):
    """One person's answer to one task; the typed row of its kind hangs from it.

    `surplus` marks work that came after the task was full: kept, and left out of counts.
    `shown` repeats the order on screen so that the row explains itself.
    """

    class Source(models.TextChoices):
        WEB = "web", "Annotation page or API"
        IMPORT = "import", "Import"
        VOTE = "vote", "Side-by-side vote in chat"
        REVIEW = "review", "Adjudication"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="judgments", db_index=False
    )
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="judgments")
    assignment = models.ForeignKey(
        Assignment, null=True, blank=True, on_delete=models.CASCADE, related_name="judgments"
    )
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="judgments", db_index=False
    )
    kind = models.CharField(max_length=16, choices=Kind)
    source = models.CharField(max_length=10, choices=Source, default=Source.WEB)
    shown = ArrayField(models.BigIntegerField(), default=list)
    rationale = models.TextField(blank=True)
    flags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    seconds = models.FloatField(null=True, blank=True)
    surplus = models.BooleanField(default=False)
    idempotency_key = models.CharField(max_length=80, null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    supersedes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="superseded_by"
    )

    objects = JudgmentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["annotator", "idempotency_key"], name="judgment_key_once"
            ),
            models.UniqueConstraint(
                fields=["task", "annotator"],
                condition=Q(withdrawn_at=None),
                name="judgment_one_standing_a_person",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "created_at"], name="judgment_by_project"),
            models.Index(fields=["annotator", "-created_at"], name="judgment_by_person"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} judgment {self.pk}"


class Part(models.Model):
    """What the rows below share: each belongs to one judgment."""

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{type(self).__name__} of judgment {self.judgment_id}"


class PairwiseJudgment(Part):
    """C1: which of two is better. Tie and both bad are different outcomes."""

    class Outcome(models.TextChoices):
        PREFERRED = "preferred", "One is better"
        TIE = "tie", "Tie"
        BOTH_BAD = "both_bad", "Both bad"

    judgment = models.OneToOneField(Judgment, on_delete=models.CASCADE, related_name="pairwise")
    outcome = models.CharField(max_length=10, choices=Outcome)
    preferred = models.ForeignKey(Candidate, null=True, blank=True, on_delete=models.CASCADE)
    strength = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome="preferred", preferred__isnull=False)
                | (~Q(outcome="preferred") & Q(preferred__isnull=True, strength__isnull=True)),
                name="pairwise_preferred_named",
            ),
            models.CheckConstraint(
                condition=Q(strength__isnull=True) | Q(strength__range=(1, 3)),
                name="pairwise_strength_1_to_3",
            ),
        ]


class DimensionChoice(Part):
    """The same question asked of one dimension, where the project asks it."""

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="dimensions")
    dimension = models.CharField(max_length=60)
    outcome = models.CharField(max_length=10, choices=PairwiseJudgment.Outcome)
    preferred = models.ForeignKey(Candidate, null=True, blank=True, on_delete=models.CASCADE)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["judgment", "dimension"], name="dimension_once"),
        ]


class RankingPlace(Part):
    """C2: a candidate's place, 1 is best, equal places are ties; no place means unusable."""

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="places")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE)
    place = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["judgment", "candidate"], name="place_once"),
            models.CheckConstraint(
                condition=Q(place__isnull=True) | Q(place__gte=1), name="place_from_1"
            ),
        ]


class SpanMark(Part):
    """C3: a marked stretch of a candidate; offsets are code points of the raw text."""

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="spans")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE)
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    quote = models.TextField(blank=True)
    category = models.CharField(max_length=60)
    severity = models.PositiveSmallIntegerField(default=1)
    comment = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(end__gt=F("start")), name="span_not_empty"),
            models.CheckConstraint(condition=Q(severity__range=(1, 3)), name="span_severity"),
        ]


class MissingMark(Part):
    """C3: something the candidate should have said and did not."""

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="missing")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE)
    category = models.CharField(max_length=60)
    comment = models.TextField(blank=True)


class PrincipleVerdict(Part):
    """C4: yes, no or not applicable on one principle, with optional evidence."""

    class Verdict(models.TextChoices):
        YES = "yes", "Yes"
        NO = "no", "No"
        NA = "na", "Not applicable"

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="verdicts")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE)
    principle = models.ForeignKey(Principle, on_delete=models.PROTECT)
    verdict = models.CharField(max_length=3, choices=Verdict)
    evidence_start = models.PositiveIntegerField(null=True, blank=True)
    evidence_end = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["judgment", "candidate", "principle"], name="verdict_once"
            ),
        ]


class Rating(Part):
    """C5: one attribute of one candidate, 0..4."""

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="ratings")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE)
    attribute = models.CharField(max_length=60)
    value = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["judgment", "candidate", "attribute"], name="rating_once"
            ),
            models.CheckConstraint(condition=Q(value__range=(0, 4)), name="rating_0_to_4"),
        ]


class Critique(Part):
    """C7: what is wrong, and the answer as it should have been."""

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="critiques")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE)
    critique = models.TextField(blank=True)
    corrected = models.TextField(blank=True)


class HarmMark(Part):
    """C6: how harmful one candidate is, apart from which one is safer."""

    class Level(models.IntegerChoices):
        NONE = 0, "None"
        MINOR = 1, "Minor"
        MODERATE = 2, "Moderate"
        SEVERE = 3, "Severe"

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="harms")
    candidate = models.ForeignKey(Candidate, on_delete=models.CASCADE)
    level = models.PositiveSmallIntegerField(choices=Level)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["judgment", "candidate"], name="harm_once"),
            models.CheckConstraint(condition=Q(level__range=(0, 3)), name="harm_0_to_3"),
        ]


class StepMark(Part):
    """C14: one step of a trace or one turn of a dialogue: good (1), neutral (0) or bad (-1).

    `step` counts from 0 in the candidate's own steps; a turn of the prompt has no candidate.
    """

    judgment = models.ForeignKey(Judgment, on_delete=models.CASCADE, related_name="steps")
    candidate = models.ForeignKey(Candidate, null=True, blank=True, on_delete=models.CASCADE)
    step = models.PositiveSmallIntegerField()
    value = models.SmallIntegerField()
    comment = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["judgment", "candidate", "step"],
                nulls_distinct=False,
                name="step_once",
            ),
            models.CheckConstraint(condition=Q(value__range=(-1, 1)), name="step_value"),
        ]


class TripletChoice(Part):
    """C12: which of two candidates is closer to the anchor; none where they are equally close."""

    judgment = models.OneToOneField(Judgment, on_delete=models.CASCADE, related_name="triplet")
    anchor = models.ForeignKey(Candidate, on_delete=models.CASCADE, related_name="+")
    closer = models.ForeignKey(
        Candidate, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(closer__isnull=True) | ~Q(closer=F("anchor")),
                name="triplet_closer_is_not_anchor",
            ),
        ]
