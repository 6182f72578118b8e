"""Conversations as trees of immutable messages, and what readers made of them."""

from feedback.models.conversations import Conversation
from feedback.models.events import Event, ReportRuling
from feedback.models.messages import Message
from feedback.models.shares import Share

__all__ = ["Conversation", "Event", "Message", "ReportRuling", "Share"]
