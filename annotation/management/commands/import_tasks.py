"""manage.py import_tasks FILE --format F [--project SLUG]."""

import json
from argparse import RawDescriptionHelpFormatter
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from annotation.formats import ALL_KINDS, IMPORTS
from annotation.management.progress import Progress
from annotation.models import Project
from annotation.services import imports, projects
from config.errors import DomainError

EXAMPLE = """\
example:
  manage.py import_tasks harmless-base.test.jsonl.gz --format hh-rlhf --project harmless
  manage.py import_tasks prompts.jsonl --format prompts --project demo --dry-run

A file is JSON Lines or a JSON array, plain or gzip. Nothing is imported when a line is refused,
unless --partial is given; refused lines are listed with number and reason.

formats:
"""


class Command(BaseCommand):
    help = "Import tasks, with their judgments where the format has any, or prompts."

    def create_parser(self, prog_name, subcommand, **kwargs):
        listed = "\n".join(f"  {form.name:16}{form.says}" for form in IMPORTS.values())
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=EXAMPLE + listed,
            formatter_class=RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser) -> None:
        parser.add_argument("file", type=Path, help="the file to read")
        parser.add_argument("--project", help="slug; made from the file's name if left out")
        parser.add_argument("--format", required=True, choices=list(IMPORTS), metavar="FORMAT")
        parser.add_argument("--kind", default="", choices=["", *ALL_KINDS], metavar="KIND")
        parser.add_argument(
            "--map", default="", help="fields under other names, prompt:FIELD,answer_1:FIELD"
        )
        parser.add_argument("--dry-run", action="store_true", help="check, and keep nothing")
        parser.add_argument("--partial", action="store_true", help="keep the lines that are good")
        parser.add_argument("--json", action="store_true", help="print the counts as JSON, last")

    def handle(self, *args, **options) -> None:
        path: Path = options["file"]
        try:
            stream = path.open("rb")
        except OSError as exc:
            raise CommandError(f"{path}: {exc.strerror}.") from None
        with stream:
            try:
                created, project = self._import(path, stream, options)
            except DomainError as exc:
                raise CommandError(exc.detail) from None
            except KeyboardInterrupt:
                raise CommandError("Stopped; nothing was imported.") from None
        for line, reason in created.errors:
            self.stderr.write(f"{path.name}, line {line}: {reason}")
        if created.refused and not options["partial"]:
            if options["json"]:
                self.stdout.write(json.dumps(imports.summary(created)))
            raise CommandError(f"{imports.refusal(created)} Mend the file, or give --partial.")
        for note, count in created.notes.items():
            self.stdout.write(f"{count} {note}.")
        verb = "Would import" if options["dry_run"] else "Imported"
        self.stdout.write(
            f"{verb} {created.tasks} tasks, {created.candidates} candidates, "
            f"{created.judgments} judgments and {created.prompts} prompts into '{project.slug}'"
            + (f"; refused {created.refused} lines." if created.refused else ".")
        )
        if options["json"]:
            self.stdout.write(json.dumps({"project": project.slug, **imports.summary(created)}))

    def _import(self, path: Path, stream, options):
        form = IMPORTS[options["format"]]
        kind = options["kind"]
        kinds = [kind] if kind else list(form.together or form.kinds[:1] or ["pairwise"])
        slug = options["project"] or projects.slug_from(path.name.split(".")[0])
        project = Project.objects.filter(slug=slug).first()
        fresh = project is None
        if fresh:
            if options["project"]:
                raise CommandError(
                    f"There is no project '{slug}'. Make it: "
                    f"manage.py create_project --slug {slug} --kinds {','.join(kinds)}"
                )
            words = {name: list(said) for name, said in form.words.items()}
            project = projects.create_project(slug=slug, kinds=kinds, **words)
        try:
            with Progress("Importing", path.stat().st_size, "lines") as progress:
                created = imports.import_stream(
                    project=project,
                    stream=stream,
                    format=options["format"],
                    kind=options["kind"],
                    partial=options["partial"],
                    dry_run=options["dry_run"],
                    map=options["map"],
                    progress=lambda line: progress.at(line, stream.tell()),
                )
        except BaseException:
            if fresh:
                project.delete()
            raise
        if fresh and (options["dry_run"] or (created.refused and not options["partial"])):
            Project.objects.filter(pk=project.pk).delete()
        elif fresh:
            self.stdout.write(f"Created the project '{slug}' from the {', '.join(kinds)} template.")
        return created, project
