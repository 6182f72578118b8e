"""Projects, tasks, assignments, and one typed row per judgment."""

from annotation.models.judgments import (
    Critique,
    DimensionChoice,
    Judgment,
    MissingMark,
    PairwiseJudgment,
    PrincipleVerdict,
    RankingPlace,
    Rating,
    SpanMark,
)
from annotation.models.projects import Membership, Principle, Project
from annotation.models.tasks import Assignment, Candidate, Draft, PromptItem, Task

__all__ = [
    "Assignment",
    "Candidate",
    "Critique",
    "DimensionChoice",
    "Draft",
    "Judgment",
    "Membership",
    "MissingMark",
    "PairwiseJudgment",
    "Principle",
    "PrincipleVerdict",
    "Project",
    "PromptItem",
    "RankingPlace",
    "Rating",
    "SpanMark",
    "Task",
]
