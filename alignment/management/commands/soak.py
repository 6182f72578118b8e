"""Leave the loop to itself: simulated people, rounds, canaries, roll-backs, faults."""

import json as jsonlib
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from alignment.lab import soak
from alignment.lab.instance import InstanceError


class Command(BaseCommand):
    help = (
        "Run an instance of its own unattended, with people whose taste drifts midway, a ruined "
        "policy that must be rolled back, and processes that are killed; ends with a timeline.\n"
        "Example: manage.py soak --minutes 60 --output soak"
    )
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--minutes", type=float, default=60.0, metavar="N")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--users", type=int, default=soak.Plan().users)
        parser.add_argument("--annotators", type=int, default=soak.Plan().annotators)
        parser.add_argument("--no-faults", action="store_true", help="kill nothing")
        parser.add_argument("--output", type=Path, default=None, help="folder for the timeline")
        parser.add_argument("--json", action="store_true", help="one JSON object on the last line")

    def handle(self, *, minutes, seed, users, annotators, no_faults, output, json, **options):
        if minutes <= 0:
            raise CommandError("--minutes must be greater than 0.")
        more = {"faults": ()} if no_faults else {}
        plan = soak.Plan(minutes=minutes, seed=seed, users=users, annotators=annotators, **more)
        try:
            report = soak.soak(plan, say=self._say)
        except (InstanceError, RuntimeError) as error:
            raise CommandError(f"The soak ended early. {error}") from None
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            (output / "timeline.json").write_text(jsonlib.dumps(report, indent=1) + "\n")
            self._say(f"{soak.plot(report, output / 'timeline.png')}")
        self._say(f"decisions {report['decisions']}; checks {report['checks']}")
        if json:
            self.stdout.write(jsonlib.dumps(report))
        if report["checks"]["judgments_lost"] or report["checks"]["reactions_lost"]:
            raise CommandError("Something that was acknowledged is not there.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
