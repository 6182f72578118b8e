"""Conversations as trees of immutable messages, and what readers made of them."""

from feedback.models.conversations import Conversation
from feedback.models.events import Event
from feedback.models.messages import Message

__all__ = ["Conversation", "Event", "Message"]
