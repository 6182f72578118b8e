"""What Celery beat does for this app."""

SCHEDULE = {
    "feedback-tally": {"task": "feedback.tasks.tally", "schedule": 30.0},
    "feedback-weigh": {"task": "feedback.tasks.weigh", "schedule": 120.0},
    "feedback-love": {"task": "feedback.tasks.estimate_love", "schedule": 1800.0},
    "feedback-webhooks": {"task": "feedback.tasks.send_webhooks", "schedule": 5.0},
    "feedback-fold": {"task": "feedback.tasks.fold", "schedule": 5.0, "options": {"expires": 5.0}},
    "feedback-prune": {"task": "feedback.tasks.prune", "schedule": 3600.0},
    "feedback-sweep-images": {"task": "feedback.tasks.sweep_images", "schedule": 600.0},
    "feedback-hand-over": {"task": "feedback.tasks.hand_over", "schedule": 300.0},
    "feedback-sweep": {"task": "feedback.tasks.sweep", "schedule": 15.0},
}
