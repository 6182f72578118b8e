"""Train a model by a recipe on a snapshot."""

from django.core.management.base import BaseCommand, CommandError

from alignment import selectors
from alignment.management.following import follow, object_line
from alignment.models import Run, Snapshot
from alignment.services import runs
from config.errors import DomainError


class Command(BaseCommand):
    help = (
        "Train a model by a named recipe or a YAML file on a snapshot.\n"
        "Example: manage.py train reward-bt --snapshot 3f1c... --wait --json"
    )

    def add_arguments(self, parser):
        parser.add_argument("recipe", help="name of a recipe, or path of a YAML file")
        parser.add_argument("--snapshot", required=True, help="id or hash of a snapshot")
        parser.add_argument("--base", help="policy to begin with (default: the live one)")
        parser.add_argument("--seed", type=int, default=0, help="seed of all that is random")
        parser.add_argument("--wait", action="store_true", help="follow it to its end")
        parser.add_argument(
            "--here", action="store_true", help="work in this process instead of a worker's"
        )
        parser.add_argument("--json", action="store_true", help="end with one JSON object")

    def handle(self, *, recipe, snapshot, base, seed, wait, here, json, **options):
        try:
            run = runs.create(
                snapshot=_snapshot(snapshot),
                recipe=recipe,
                base=selectors.model(base) if base else None,
                seed=seed,
                send=not here,
                files_too=True,
            )
        except DomainError as error:
            raise CommandError(error.detail) from None
        try:
            if here:
                runs.execute(str(run.pk))
            elif wait:
                follow(lambda: _look(run))
        except KeyboardInterrupt:
            runs.cancel(run=run)
            raise CommandError("Stopped; the run is cancelled.") from None
        run.refresh_from_db()
        result = selectors.run_result(run)
        if json:
            self.stdout.write(object_line(result))
        else:
            self.stdout.write(f"{run.pk} {run.state} {result['model'] or ''}".rstrip())
        if run.state == Run.State.FAILED:
            raise CommandError(run.error)


def _snapshot(name: str) -> Snapshot:
    found = selectors.snapshot(name)
    if found is None:
        raise CommandError(f"There is no snapshot '{name}'.")
    return found


def _look(run: Run) -> tuple[bool, bool, str, int, int]:
    run.refresh_from_db()
    title = f"{run.task} {run.phase}".strip()
    return run.state not in Run.ACTIVE, run.state != "queued", title, run.step, run.total
