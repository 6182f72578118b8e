"""manage.py restore PATH [--replace]."""

from argparse import RawDescriptionHelpFormatter
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from config import backups
from config.errors import DomainError

EXAMPLE = """\
example:
  manage.py restore /safe/place/preferendum.tar
  manage.py restore /safe/place/preferendum.tar --replace

Every file of the backup is checked first, and the database changes in one transaction: a restore
that fails leaves what was there. The log is proved at the end. Nobody should be at work meanwhile.
"""


class Command(BaseCommand):
    help = "Put a backup in the place of what this instance holds."

    def create_parser(self, prog_name, subcommand, **kwargs):
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=EXAMPLE,
            formatter_class=RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser) -> None:
        parser.add_argument("path", type=Path, help="the backup to read")
        parser.add_argument(
            "--replace", action="store_true", help="though this instance holds data, which is lost"
        )

    def handle(self, *args, **options) -> None:
        path: Path = options["path"]
        try:
            manifest = backups.restore(path, replace=options["replace"])
        except DomainError as exc:
            raise CommandError(exc.detail) from None
        except OSError as exc:
            raise CommandError(f"{path}: {exc.strerror}.") from None
        self.stdout.write(f"Restored {path}, written {manifest['created']}.")
        backups.verify(manifest)
        self.stdout.write("The log holds what it held.")
