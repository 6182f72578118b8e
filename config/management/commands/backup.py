"""manage.py backup PATH."""

from argparse import RawDescriptionHelpFormatter
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from config import backups
from config.errors import DomainError

EXAMPLE = """\
example:
  manage.py backup /safe/place/preferendum.tar

The instance may go on serving: the backup is the database as it was at one moment. It holds
everything people said and their password hashes, so keep it as safe as the instance.
"""


class Command(BaseCommand):
    help = "Write the database and the artefacts to one file."

    def create_parser(self, prog_name, subcommand, **kwargs):
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=EXAMPLE,
            formatter_class=RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser) -> None:
        parser.add_argument("path", type=Path, help="the file to write; it must not be there")

    def handle(self, *args, **options) -> None:
        path: Path = options["path"]
        try:
            manifest = backups.write(path)
        except DomainError as exc:
            raise CommandError(exc.detail) from None
        except OSError as exc:
            raise CommandError(f"{path}: {exc.strerror}. No backup was written.") from None
        except KeyboardInterrupt:
            raise CommandError("Stopped; no backup was written.") from None
        size = path.stat().st_size / 2**20
        self.stdout.write(
            f"Wrote {path} ({size:.1f} MiB, {len(manifest['files'])} files); "
            f"the log stood at {manifest['log']}."
        )
