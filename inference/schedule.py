"""What Celery beat does for this app."""

SCHEDULE = {
    "inference-sweep": {"task": "inference.tasks.sweep", "schedule": 60.0},
}
