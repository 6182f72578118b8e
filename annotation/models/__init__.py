"""Projects, tasks, assignments, and one typed row per judgment."""

from annotation.models.judgments import (
    Critique,
    DimensionChoice,
    HarmMark,
    Judgment,
    MissingMark,
    PairwiseJudgment,
    PrincipleVerdict,
    RankingPlace,
    Rating,
    SpanMark,
    StepMark,
    TripletChoice,
)
from annotation.models.projects import Invite, Media, Membership, Principle, Project
from annotation.models.records import LogEntry, Note
from annotation.models.tasks import Assignment, Candidate, Draft, PromptItem, Task

__all__ = [
    "Assignment",
    "Candidate",
    "Critique",
    "DimensionChoice",
    "Draft",
    "HarmMark",
    "Invite",
    "Judgment",
    "LogEntry",
    "Media",
    "Membership",
    "MissingMark",
    "Note",
    "PairwiseJudgment",
    "Principle",
    "PrincipleVerdict",
    "Project",
    "PromptItem",
    "RankingPlace",
    "Rating",
    "SpanMark",
    "StepMark",
    "Task",
    "TripletChoice",
]
