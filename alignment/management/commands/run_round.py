"""Run a round: snapshot, refit, sample, optimise, evaluate, gate, deploy, ask."""

import json as jsonlib

from django.core.management.base import BaseCommand, CommandError

from alignment import selectors
from alignment.management.following import follow, object_line
from alignment.models import Round
from alignment.services import rounds
from annotation.models import Project
from config.errors import DomainError


class Command(BaseCommand):
    help = (
        "Start a round of a project; with --wait follow it to its end.\n"
        "Example: manage.py run_round --project demo --wait --json"
    )

    def add_arguments(self, parser):
        parser.add_argument("--project", required=True, help="slug of the project")
        parser.add_argument("--wait", action="store_true", help="follow it to its end")
        parser.add_argument(
            "--here", action="store_true", help="work in this process instead of a worker's"
        )
        parser.add_argument(
            "--config",
            default="{}",
            help='settings that differ from the project\'s, as JSON: {"sample_prompts": 32}',
        )
        parser.add_argument("--json", action="store_true", help="end with one JSON object")

    def handle(self, *, project, wait, here, config, json, **options):
        found = Project.objects.filter(slug=project).first()
        if found is None:
            raise CommandError(f"There is no project '{project}'.")
        try:
            given = jsonlib.loads(config)
        except ValueError as error:
            raise CommandError(f"--config is not JSON: {error}.") from None
        try:
            turn = rounds.start(project=found, trigger="command", config=given, send=not here)
        except DomainError as error:
            raise CommandError(error.detail) from None
        try:
            if here:
                rounds.work(turn.pk)
            elif wait:
                follow(lambda: _look(turn))
        except KeyboardInterrupt:
            rounds.cancel(turn=turn)
            raise CommandError(
                "Stopped; the round is cancelled, what serves is as it was."
            ) from None
        turn.refresh_from_db()
        result = selectors.round_result(turn)
        if json:
            self.stdout.write(object_line(result))
        else:
            self.stdout.write(f"{turn.pk} {turn.state}")
            for step, noted in result["steps"].items():
                self.stdout.write(f"  {step}: {noted['state']}. {noted['sentence']}")
        if turn.state == Round.State.FAILED:
            raise CommandError(f"Round {turn.number} failed. {turn.error}")


def _look(turn: Round) -> tuple[bool, bool, str, int, int]:
    turn.refresh_from_db()
    run = turn.runs.filter(state="running").first()
    title = f"Round {turn.number}: {turn.get_step_display().lower()}"
    step, total = (run.step, run.total) if run else (0, 0)
    if run and run.phase:
        title += f" ({run.phase})"
    return turn.state not in Round.ACTIVE, turn.state != "queued", title, step, total
