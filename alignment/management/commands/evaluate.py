"""Score a reward model on a file of judged pairs, beside three baselines."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from alignment.management.following import Bar, object_line
from alignment.services import evaluations
from config.errors import DomainError


class Command(BaseCommand):
    help = (
        "Score a reward model on a file of judged pairs: accuracy with its interval, AUROC and "
        "calibration, beside chance, 'the longer answer wins' and logistic regression on the "
        "frozen embeddings.\nOf a model that was trained on a snapshot only prompts that the "
        "snapshot's rule holds out are scored, unless --all is given.\n"
        "Example: manage.py evaluate demo-r1-reward --data test.jsonl.gz --format hh-rlhf --json"
    )

    def add_arguments(self, parser):
        parser.add_argument("model", help="name or id of a version, or folder of an artefact")
        parser.add_argument("--data", required=True, type=Path, help="file of judged pairs")
        parser.add_argument("--format", required=True, help="its format, as for import_tasks")
        parser.add_argument("--all", action="store_true", help="score all prompts of the file")
        parser.add_argument("--json", action="store_true", help="end with one JSON object")

    def handle(self, *, model, data, format, all, json, **options):
        bar = Bar()
        try:
            result = evaluations.evaluate(
                model=model, path=data, format=format, everything=all, progress=bar.show
            )
        except DomainError as error:
            raise CommandError(error.detail) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped; nothing was kept.") from None
        finally:
            bar.close()
        if json:
            self.stdout.write(object_line(result))
            return
        self.stdout.write(f"{result['n']} pairs, of {result['read']} in the file")
        self.stdout.write(_line("accuracy", result))
        for name, baseline in (result.get("baselines") or {}).items():
            self.stdout.write(_line(f"  {name}", baseline))
        self.stdout.write(f"AUROC {result['auroc']:.4f}, calibration error {result['ece']:.4f}")


def _line(name: str, numbers: dict) -> str:
    low, high = numbers["accuracy_ci"]
    return f"{name:<18} {numbers['accuracy']:.4f}  [{low:.4f}, {high:.4f}]"
