"""Take a snapshot of a project's judgments and reactions."""

from django.core.management.base import BaseCommand, CommandError

from alignment.management.following import object_line
from alignment.services import snapshots
from annotation.models import Project
from config.errors import DomainError


class Command(BaseCommand):
    help = (
        "Write an immutable, content-addressed copy of what people said, and print its id and "
        "hash.\nExample: manage.py snapshot --project demo"
    )

    def add_arguments(self, parser):
        parser.add_argument("--project", required=True, help="slug of the project")
        parser.add_argument("--until", help="leave out what came later: 2026-01-31T12:00:00Z")
        parser.add_argument(
            "--eval-share", type=float, default=0.2, help="share of the prompts held out (0.2)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, project, until, eval_share, json, **options):
        query = {"eval_share": eval_share} | ({"until": until} if until else {})
        try:
            taken = snapshots.take(project=_project(project), query=query)
        except DomainError as error:
            raise CommandError(error.detail) from None
        if json:
            self.stdout.write(
                object_line(
                    {
                        "id": str(taken.pk),
                        "hash": taken.digest,
                        "counts": taken.counts,
                        "people": taken.people,
                        "location": taken.location,
                    }
                )
            )
        else:
            self.stdout.write(f"{taken.pk} {taken.digest}")


def _project(slug: str) -> Project:
    found = Project.objects.filter(slug=slug).first()
    if found is None:
        raise CommandError(f"There is no project '{slug}'.")
    return found
