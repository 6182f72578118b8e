"""manage.py erase_person NAME."""

import json
from argparse import RawDescriptionHelpFormatter

from django.core.management.base import BaseCommand, CommandError

from config import erasure
from config.errors import DomainError
from config.models import User

EXAMPLE = """\
examples:
  manage.py erase_person ana                        what there is of ana; nothing is changed
  manage.py erase_person ana --judgments keep --yes
  manage.py erase_person p-0123456789 --judgments withdraw --yes --json

keep: judgments stay without a word of free text, under a new pseudonym that names nobody.
withdraw: judgments are deleted, and the places they filled are free again.
Either way the account, chats, reactions, drafts and notes go, and the log stays verifiable.
"""


class Command(BaseCommand):
    help = "Close an account for good and take the person out of everything."

    def create_parser(self, prog_name, subcommand, **kwargs):
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=EXAMPLE,
            formatter_class=RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser) -> None:
        parser.add_argument("person", help="user name or pseudonym")
        parser.add_argument(
            "--judgments", choices=(erasure.KEEP, erasure.WITHDRAW), default=erasure.KEEP
        )
        parser.add_argument("--yes", action="store_true", help="do it; it cannot be undone")
        parser.add_argument("--json", action="store_true", help="one object on the last line")

    def handle(self, *args, **options) -> None:
        name = options["person"]
        person = (
            User.objects.filter(username=name).first()
            or User.objects.filter(pseudonym=name).first()
        )
        if person is None:
            raise CommandError(f"There is nobody called {name}.")
        wish = {"person": person, "judgments": options["judgments"]}
        try:
            done = erasure.erase_person(**wish) if options["yes"] else erasure.would(**wish)
        except DomainError as exc:
            raise CommandError(exc.detail) from None
        if options["json"]:
            self.stdout.write(json.dumps({"erased": options["yes"], **done}))
            return
        for what, count in done.items():
            self.stdout.write(f"{what:24}{count:>8}")
        self.stdout.write(
            f"{name} is erased." if options["yes"] else "Nothing was changed; add --yes to do it."
        )
