"""Named reads of models and deployments."""

from django.db import models


class ModelVersionQuerySet(models.QuerySet):
    def policies(self):
        return self.filter(kind="policy")

    def reward_models(self):
        return self.filter(kind="reward")


class DeploymentQuerySet(models.QuerySet):
    def serving(self, project: str):
        """What answers new conversations of the project, live arm first."""
        return (
            self.filter(project=project, state="serving")
            .select_related("model_version")
            .order_by(models.Case(models.When(arm="live", then=0), default=1), "started_at")
        )
