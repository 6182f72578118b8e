"""The Celery application; tasks are two-line entries in each app's tasks.py."""

import os
from importlib import import_module
from importlib.util import find_spec

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("preferendum")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def _schedule() -> dict:
    """What beat sends, gathered from each app's schedule.py."""
    entries: dict = {}
    for name in ("inference", "annotation", "feedback", "alignment"):
        if find_spec(f"{name}.schedule"):
            entries |= import_module(f"{name}.schedule").SCHEDULE
    return entries


app.conf.beat_schedule = _schedule()
