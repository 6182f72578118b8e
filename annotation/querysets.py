"""Named reads of projects, tasks, leases and judgments."""

from django.db import models
from django.db.models import F


class ProjectQuerySet(models.QuerySet):
    def visible_to(self, user):
        """Projects this person may see: their own; researchers and admins see all."""
        if user.has_role("researcher"):
            return self
        return self.filter(memberships__user=user)

    def live(self):
        return self.filter(archived_at=None)


class TaskQuerySet(models.QuerySet):
    def with_room(self):
        """Open tasks that fewer people hold or judged than their overlap asks."""
        return self.filter(state="open", taken__lt=F("overlap"))


class AssignmentQuerySet(models.QuerySet):
    def leased(self):
        return self.filter(state="leased")

    def of(self, user):
        return self.filter(annotator=user)


class JudgmentQuerySet(models.QuerySet):
    def standing(self):
        """Judgments that count: not withdrawn, not superseded, not surplus."""
        return self.filter(withdrawn_at=None, superseded_by=None, surplus=False)

    def of(self, user):
        return self.filter(annotator=user)
