"""The chat's demo content: a project to chat in. Conversations are for people to begin."""

from django.conf import settings

from annotation.models import Project
from annotation.services.projects import ensure_project


def prepare() -> list[str]:
    """Make sure that there is a project for the chat. Safe to repeat."""
    if not Project.objects.filter(slug=settings.CHAT_PROJECT).exists():
        ensure_project(slug=settings.CHAT_PROJECT, kinds=["pairwise"], name="Demo")
        return [f"Project '{settings.CHAT_PROJECT}' was made for the chat."]
    return []
