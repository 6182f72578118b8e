"""manage.py verify_log [--project SLUG] [--expect HEAD] [--json]."""

import json
from argparse import RawDescriptionHelpFormatter

from django.core.management.base import BaseCommand, CommandError

from annotation.models import Project
from annotation.services import log, log_check
from config.errors import DomainError

EXAMPLE = """\
example:
  manage.py verify_log
  manage.py verify_log --project demo --json
  manage.py verify_log --expect 1042:5f1c...

Checks every link of the chain, then every judgment and task against what the log last said of it.
It prints the head of the log; kept elsewhere and handed to --expect later, it shows that nothing
was cut off or written anew. Ends with code 1 when anything is wrong.
"""


class Command(BaseCommand):
    help = "Prove that the log and what it speaks of are intact."

    def create_parser(self, prog_name, subcommand, **kwargs):
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=EXAMPLE,
            formatter_class=RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser) -> None:
        parser.add_argument("--project", help="compare the rows of this project only")
        parser.add_argument("--expect", default="", help="a head noted earlier, position:hash")
        parser.add_argument("--head", action="store_true", help="print the head, and check nothing")
        parser.add_argument("--json", action="store_true", help="print one object, last")

    def handle(self, *args, **options) -> None:
        if options["head"]:
            log.seal()
            self.stdout.write(str(log.head()))
            return
        project = None
        if options["project"]:
            project = Project.objects.filter(slug=options["project"]).first()
            if project is None:
                raise CommandError(f"There is no project '{options['project']}'.")
        try:
            found = log_check.verify(project=project, expect=options["expect"])
        except DomainError as exc:
            raise CommandError(exc.detail) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped; nothing was proved.") from None
        self.stdout.write(f"{found.entries} entries, {found.rows} rows; head {found.head}")
        wrong = []
        if found.broken:
            wrong.append(f"broken at position {found.broken['position']}")
            self.stderr.write(
                f"The chain is broken at position {found.broken['position']}: "
                f"{found.broken['reason']}."
            )
        for sort, count in found.counts.items():
            wrong.append(f"{count} {sort}")
            for name in found.named[sort]:
                self.stderr.write(f"{sort}: {name}")
        if options["json"]:
            self.stdout.write(json.dumps(found.summary()))
        if wrong:
            raise CommandError(f"The log does not hold: {', '.join(wrong)}.", returncode=1)
        if not options["json"]:
            self.stdout.write("The log is intact.")
