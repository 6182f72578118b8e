"""`manage.py rebuild_rollups`: count everything that dashboards show anew."""

import time

from django.core.management.base import BaseCommand

from feedback.services import rollups


class Command(BaseCommand):
    help = (
        "Count everything that dashboards show anew, from the answers and the event stream. "
        "Dashboards show the old counts until it is done. Example: manage.py rebuild_rollups"
    )

    def handle(self, *args, **options) -> None:
        begun = time.monotonic()
        read = rollups.rebuild()
        rollups.fold()
        self.stdout.write(f"Read {read} messages in {time.monotonic() - begun:.1f} s.")
