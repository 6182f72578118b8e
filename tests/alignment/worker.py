"""A worker of its own process, to be killed: works on one run with the quick trainer."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()
    from alignment import conf
    from alignment.services import process, runs

    fake = Path(__file__).with_name("fake_trainer.py")
    conf.LAUNCHER = "direct"
    process.command = lambda folder: [sys.executable, str(fake), str(folder)]
    runs.execute(sys.argv[1])
