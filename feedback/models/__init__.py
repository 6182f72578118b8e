"""Conversations as trees of immutable messages, and what readers made of them."""

from feedback.models.conversations import Conversation
from feedback.models.events import Event, ReportRuling
from feedback.models.images import Image
from feedback.models.messages import Message
from feedback.models.reading import AnswerSpread, Handover, HandoverRule, ReadingLog
from feedback.models.rollups import (
    AnswerTally,
    Rollup,
    RollupDirty,
    RollupLatency,
    RollupPerson,
)
from feedback.models.shares import Share
from feedback.models.trust import ReactionTrust
from feedback.models.votes import Battle, Leaderboard, Vote
from feedback.models.webhooks import Delivery, Webhook

__all__ = [
    "AnswerSpread",
    "AnswerTally",
    "Battle",
    "Conversation",
    "Delivery",
    "Event",
    "Handover",
    "HandoverRule",
    "Image",
    "Leaderboard",
    "Message",
    "ReactionTrust",
    "ReadingLog",
    "ReportRuling",
    "Rollup",
    "RollupDirty",
    "RollupLatency",
    "RollupPerson",
    "Share",
    "Vote",
    "Webhook",
]
