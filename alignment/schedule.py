"""What beat sends for this app."""

SCHEDULE = {
    "alignment-supervise": {
        "task": "alignment.tasks.supervise",
        "schedule": 15.0,
        "options": {"expires": 15, "queue": "default"},
    },
    "alignment-watch-releases": {
        "task": "alignment.tasks.watch_releases",
        "schedule": 15.0,
        "options": {"expires": 15, "queue": "default"},
    },
}
