from django.apps import AppConfig


class SharedConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        # So that `shared_task` in every process finds the one Celery application.
        from config import celery  # noqa: F401
