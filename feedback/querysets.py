"""Named reads of conversations and events."""

from django.db import models


class ConversationQuerySet(models.QuerySet):
    def of(self, *, user=None, guest: str = ""):
        """The conversations of one person: a signed-in user, or a guest by key."""
        if user is not None and user.is_authenticated:
            return self.filter(owner=user)
        return self.filter(guest=guest) if guest else self.none()


class EventQuerySet(models.QuerySet):
    def reactions(self):
        return self.filter(kind__in=["reaction", "retraction"])
