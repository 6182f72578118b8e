"""What beat sends for annotation."""

SCHEDULE = {
    "annotation-sweep": {"task": "annotation.tasks.sweep", "schedule": 15.0},
    "annotation-seal": {"task": "annotation.tasks.seal", "schedule": 5.0},
}
