"""The loop with simulated people whose hidden taste is the gold reward."""

import json
import signal
import sys
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from alignment.lab import arms, present
from alignment.lab.doors import DoorError
from alignment.lab.gold import TASTES
from alignment.lab.instance import InstanceError
from alignment.lab.loop import Plan


class Command(BaseCommand):
    help = (
        "Run the loop with simulated annotators and users through the real HTTP and WebSocket "
        "doors of an instance of its own; yours is not touched. Their hidden taste is computed "
        "from the text and not visible to the trainer. Then the same with people who answer at "
        "random, as a control.\n"
        "Example: manage.py simulate --rounds 3 --annotators 6 --users 8 --seed 0 --json"
    )
    requires_system_checks = []

    def add_arguments(self, parser):
        defaults = Plan()
        parser.add_argument("--rounds", type=_count, default=defaults.rounds, metavar="N")
        parser.add_argument("--annotators", type=_count, default=defaults.annotators, metavar="M")
        parser.add_argument("--users", type=_count, default=defaults.users, metavar="U")
        parser.add_argument("--seed", type=int, default=defaults.seed, metavar="S")
        parser.add_argument(
            "--judged", type=_count, default=defaults.judged, help="pairs judged in a round"
        )
        parser.add_argument(
            "--chats", type=_count, default=defaults.chats, help="questions asked in a round"
        )
        parser.add_argument(
            "--held-out", type=_count, default=defaults.held_out, help="prompts measured on"
        )
        parser.add_argument("--taste", choices=sorted(TASTES), default=defaults.taste)
        parser.add_argument(
            "--config", type=_object, default={}, help="settings of the rounds, as JSON"
        )
        parser.add_argument(
            "--no-control", action="store_true", help="leave the control of random people out"
        )
        parser.add_argument(
            "--control", action="store_true", help="only the control: people answer at random"
        )
        parser.add_argument("--keep", action="store_true", help="keep the instances' folders")
        parser.add_argument(
            "--output", type=Path, default=None, help="folder for report.json and plots"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object on the last line")

    def handle(self, **options):
        if options["keep"] and options["output"] is None:
            raise CommandError("--keep needs --output: the instances stay in that folder.")
        plan = Plan(
            **{
                name: options[name]
                for name in ("rounds", "annotators", "users", "seed", "judged", "chats")
            },
            **{name: options[name] for name in ("held_out", "taste", "control", "config")},
        )
        report = self.simulate(
            plan,
            control=not options["no_control"],
            keep=options["output"].resolve() if options["keep"] else None,
        )
        self.show(report, options["output"])
        if options["json"]:
            self.stdout.write(json.dumps(report))

    def simulate(self, plan: Plan, *, control: bool, keep: Path | None) -> dict:
        """The report; a CommandError a person can read when it cannot be made."""
        # Ctrl-C and a supervisor's request end the instance as well.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            return arms.simulate(plan, control=control, keep=keep, say=self._say)
        except (DoorError, InstanceError, RuntimeError) as error:
            raise CommandError(f"The simulation ended early. {error}") from None
        except ExceptionGroup as group:
            raise CommandError(f"The simulation ended early. {_innermost(group)}") from group
        except KeyboardInterrupt:
            raise CommandError("Stopped; the simulation's instance was ended as well.") from None

    def show(self, report: dict, folder: Path | None) -> None:
        """Table, plots and where the time went."""
        self.stdout.write("\n" + present.table(report))
        parts = ", ".join(f"{k} {v:.0f} s" for k, v in report["seconds_by_part"].items())
        self.stdout.write(f"{report['seconds']:.0f} s in all; of the first arm: {parts}.")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
            pictures = present.plot(report, folder)
            self.stdout.write(f"Plots: {', '.join(str(path) for path in pictures)}")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _object(text: str) -> dict:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value
