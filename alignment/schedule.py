"""What beat sends for this app."""

SCHEDULE = {
    "alignment-supervise": {
        "task": "alignment.tasks.supervise",
        "schedule": 10.0,
        "options": {"expires": 10, "queue": "default"},
    },
    "alignment-rules": {
        "task": "alignment.tasks.check_rules",
        "schedule": 60.0,
        "options": {"expires": 60, "queue": "default"},
    },
    "alignment-drift": {
        "task": "alignment.tasks.measure_drift",
        "schedule": 3600.0,
        "options": {"expires": 3600, "queue": "train"},
    },
    "alignment-watch-releases": {
        "task": "alignment.tasks.watch_releases",
        "schedule": 15.0,
        "options": {"expires": 15, "queue": "default"},
    },
}
