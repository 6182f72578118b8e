"""manage.py export_dataset --project SLUG --format F --output PATH."""

import gzip
import json
import os
import shutil
from argparse import RawDescriptionHelpFormatter
from collections import Counter
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from annotation.management.progress import Progress
from annotation.models import Project
from annotation.services import bundles, exports
from config.errors import DomainError

LINES = {".json", ".jsonl", ".gz"}
EXAMPLE = """\
example:
  manage.py export_dataset --project demo --format trl-preference --output demo.jsonl
  manage.py export_dataset --project demo --format preferendum --output demo.jsonl.gz

  manage.py export_dataset --project demo --format hf-dataset --output demo-dataset

Writes JSON Lines (gzip where PATH ends in .gz), for label-studio one JSON array, for hf-dataset
and argilla a folder, or a zip where PATH ends in .zip; and, beside it, PATH.loss.json: what the
format cannot hold and what was left out.
"""


class Command(BaseCommand):
    help = "Write a project to a file in one of several formats."

    def create_parser(self, prog_name, subcommand, **kwargs):
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=EXAMPLE,
            formatter_class=RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser) -> None:
        parser.add_argument("--project", required=True, help="slug of the project")
        parser.add_argument("--format", required=True, help=f"one of {', '.join(exports.EXPORTS)}")
        parser.add_argument("--output", required=True, type=Path, help="file to write")

    def handle(self, *args, **options) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project '{options['project']}'.")
        try:
            form = exports.find(options["format"])
        except DomainError as exc:
            raise CommandError(exc.detail) from None
        path: Path = options["output"]
        lost, tally = Counter(), Counter()
        # Written beside the target and renamed, so that a half-written file never bears its name.
        half = path.with_name(f".{path.name}.part")
        try:
            if form.bundle is not None and path.suffix not in LINES:
                self._write_bundle(half, path, project, form, lost, tally)
            elif form.render is None and form.bundle is not None:
                raise CommandError(f"{form.name} is several files; name a folder or a .zip.")
            else:
                self._write(half, path, project, form, lost, tally)
            written = tally["records"]
            report = exports.loss_report(project=project, form=form, written=written, lost=lost)
            beside = path.with_name(f"{path.name}.loss.json")
            beside.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        except OSError as exc:
            raise CommandError(f"{path}: {exc.strerror}.") from None
        except KeyboardInterrupt:
            raise CommandError("Stopped; no file was written.") from None
        finally:
            if half.is_dir():
                shutil.rmtree(half)
            half.unlink(missing_ok=True)
        self.stdout.write(f"Wrote {written} records to {path}; what it cannot hold is in {beside}.")

    def _write(self, half: Path, path: Path, project: Project, form, lost, tally) -> None:
        with half.open("wb") as raw, Progress("Exporting") as progress:
            # No name and no time in the gzip header: the same records give the same bytes.
            packed = path.suffix == ".gz"
            out = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if packed else raw
            for line in exports.lines(project=project, form=form, lost=lost, tally=tally):
                out.write(line)
                progress.at(tally["records"])
            if packed:
                out.close()
        os.replace(half, path)
        if form.name == "argilla":
            settings = json.dumps(bundles.argilla_settings(project), indent=2, ensure_ascii=False)
            path.with_name(f"{path.name}.settings.json").write_text(settings + "\n")

    def _write_bundle(self, half: Path, path: Path, project: Project, form, lost, tally) -> None:
        """A folder, or a zip where PATH ends so; an earlier export of the folder is replaced."""
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        form.bundle(project, half, lost, tally)
        if path.suffix == ".zip":
            packed = half.with_suffix(".zip")
            try:
                with packed.open("wb") as out:
                    out.writelines(bundles.zipped(half))
                os.replace(packed, path)
            finally:
                packed.unlink(missing_ok=True)
            return
        if path.is_dir():
            known = {"data", ".argilla", "README.md"}
            strange = sorted(p.name for p in path.iterdir() if p.name not in known)
            if strange:
                raise CommandError(f"{path} holds other files ({strange[0]}); name a new folder.")
            shutil.rmtree(path)
        os.replace(half, path)
