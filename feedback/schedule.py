"""What Celery beat does for this app."""

SCHEDULE = {
    "feedback-tally": {"task": "feedback.tasks.tally", "schedule": 30.0},
    "feedback-sweep": {"task": "feedback.tasks.sweep", "schedule": 15.0},
}
