"""A real Celery worker of the queue `train`, with the quick trainer: `train_worker.py NAME`."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()
    from alignment import conf
    from alignment.services import process
    from config.celery import app

    fake = Path(__file__).with_name("fake_trainer.py")
    conf.LAUNCHER = "direct"
    process.command = lambda folder: [sys.executable, str(fake), str(folder)]
    name, queue = sys.argv[1:]
    app.worker_main(
        ["worker", "-Q", queue, "-n", f"{name}@test", "--pool", "solo", "--loglevel", "warning"]
    )
