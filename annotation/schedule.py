"""What beat sends for annotation."""

SCHEDULE = {
    "annotation-sweep": {"task": "annotation.tasks.sweep", "schedule": 15.0},
    "annotation-seal": {"task": "annotation.tasks.seal", "schedule": 5.0},
    "annotation-tend": {"task": "annotation.tasks.tend", "schedule": 30.0},
}
