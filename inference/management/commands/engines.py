"""The engines of the pool: which are well, which are drained; drain one, or take it in again."""

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from inference import pool


class Command(BaseCommand):
    help = (
        "List the engines, drain one or admit it again.\n"
        "Example: manage.py engines drain http://gpu-1:8001"
    )

    def add_arguments(self, parser):
        parser.add_argument("action", nargs="?", choices=("list", "drain", "admit"), default="list")
        parser.add_argument("url", nargs="?", help="address of the engine, as in ENGINE_URLS")

    def handle(self, *, action, url, **options):
        known = pool.urls()
        if action != "list":
            if url not in known:
                raise CommandError(f"'{url}' is none of {', '.join(known)}.")
            pool.drain(url, on=action == "drain")
        drained = pool.draining()
        headers = {"Authorization": f"Bearer {settings.ENGINE_KEY}"} if settings.ENGINE_KEY else {}
        for one in known:
            try:
                answer = httpx.get(f"{one}/health", headers=headers, timeout=3.0, trust_env=False)
                state = "well" if answer.status_code == 200 else f"status {answer.status_code}"
            except httpx.HTTPError as error:
                state = f"away ({type(error).__name__})"
            self.stdout.write(f"{one}: {state}{', drained' if one in drained else ''}")
