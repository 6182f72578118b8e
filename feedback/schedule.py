"""What Celery beat does for this app."""

SCHEDULE = {
    "feedback-sweep": {"task": "feedback.tasks.sweep", "schedule": 15.0},
}
