"""The whole loop with simulated people, with a table and plots at the end."""

from pathlib import Path

from django.conf import settings

from alignment.lab.loop import Plan
from alignment.lab.present import gain_sentence
from alignment.management.commands import simulate


class Command(simulate.Command):
    help = (
        "Show the whole loop: three rounds with simulated people, and a control of people who "
        "answer at random, in an instance of its own. Table and plots at the end.\n"
        "Example: manage.py demo --seed 1"
    )

    def add_arguments(self, parser):
        parser.add_argument("--seed", type=int, default=0, metavar="S")

    def handle(self, *, seed, **options):
        folder = Path(settings.VAR_DIR) / "demo"
        report = self.simulate(Plan(seed=seed), control=True, keep=None)
        self.show(report, folder)
        rows, control = report["rounds"], report["control"]["rounds"]
        self.stdout.write(
            f"\nAfter {rows[-1]['judgments']} judgments and {rows[-1]['reactions']} reactions "
            f"the answers are liked better in {rows[-1]['win_rate']:.0%} of comparisons with the "
            f"first policy. {gain_sentence('With people who have a taste', rows)} "
            f"{gain_sentence('With people who answer at random', control)}"
        )
