"""manage.py create_project --slug S --kinds pairwise,listwise."""

from argparse import RawDescriptionHelpFormatter

from django.core.management.base import BaseCommand, CommandError

from annotation.formats import ALL_KINDS
from annotation.services import projects
from config.errors import DomainError
from config.models import User

EXAMPLE = """\
example:
  manage.py create_project --slug helpful --kinds pairwise --overlap 2 --members ana,ben
"""


class Command(BaseCommand):
    help = "Create a project from the template of its kinds."

    def create_parser(self, prog_name, subcommand, **kwargs):
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=EXAMPLE,
            formatter_class=RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser) -> None:
        parser.add_argument("--slug", required=True, help="its name in addresses and commands")
        parser.add_argument("--kinds", required=True, help=f"one or more of {','.join(ALL_KINDS)}")
        parser.add_argument("--name", help="its name on pages")
        parser.add_argument("--overlap", type=int, default=1, help="people a task (default 1)")
        parser.add_argument("--members", default="", help="usernames of annotators to let in")

    def handle(self, *args, **options) -> None:
        names = [n.strip() for n in options["members"].split(",") if n.strip()]
        people = list(User.objects.filter(username__in=names))
        missing = sorted(set(names) - {person.username for person in people})
        if missing:
            raise CommandError(f"There is no one called {', '.join(missing)}.")
        try:
            project = projects.create_project(
                slug=options["slug"],
                kinds=[k.strip() for k in options["kinds"].split(",") if k.strip()],
                name=options["name"],
                overlap=options["overlap"],
            )
        except DomainError as exc:
            raise CommandError(exc.detail) from None
        for person in people:
            projects.add_member(project=project, user=person)
        self.stdout.write(f"Created the project '{project.slug}'.")
