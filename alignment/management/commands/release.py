"""Try, promote, roll back, hold out or retire a model; list what is compared."""

import json as jsonlib

from django.core.management.base import BaseCommand, CommandError

from alignment import selectors
from alignment.management.following import object_line
from alignment.models import Experiment
from alignment.services import releases
from annotation.models import Project
from config.errors import DomainError
from config.models import User

ACTIONS = ("canary", "promote", "rollback", "holdout", "retire", "status")


class Command(BaseCommand):
    help = (
        "Decide about a model, with a reason that is kept.\n"
        "Example: manage.py release canary demo-r3 --project demo --percent 10 --reason 'try it'"
    )

    def add_arguments(self, parser):
        parser.add_argument("action", choices=ACTIONS)
        parser.add_argument("model", nargs="?", help="name or id of the model")
        parser.add_argument("--project", required=True, help="slug of the project")
        parser.add_argument("--reason", default="", help="why, in a few words")
        parser.add_argument("--percent", type=float, default=10.0, help="share of conversations")
        parser.add_argument("--rules", default="{}", help="rules of the comparison, as JSON")
        parser.add_argument("--by", help="user name of who decides")
        parser.add_argument("--json", action="store_true", help="end with one JSON object")

    def handle(self, *, action, model, project, reason, percent, rules, by, json, **options):
        found = Project.objects.filter(slug=project).first()
        if found is None:
            raise CommandError(f"There is no project '{project}'.")
        if action != "status":
            self._decide(found, action, model, reason, percent, rules, by)
        result = _status(found)
        if json:
            self.stdout.write(object_line(result))
            return
        for one in result["serving"]:
            self.stdout.write(f"{one['arm']}: {one['model']}, {one['share']:.1%}")
        if result["experiment"]:
            self.stdout.write(result["experiment"]["reason"])

    def _decide(self, project, action, model, reason, percent, rules, by) -> None:
        person = User.objects.filter(username=by).first() if by else None
        if by and person is None:
            raise CommandError(f"There is no user '{by}'.")
        try:
            given = jsonlib.loads(rules)
        except ValueError as error:
            raise CommandError(f"--rules is not JSON: {error}.") from None
        if not model:
            raise CommandError(f"Name the model to {action}.")
        try:
            values = {
                "project": project,
                "model": selectors.model(model),
                "by": person,
                "reason": reason,
            }
            if action in ("canary", "holdout"):
                values["weight"] = round(percent * 10)
            if action == "canary":
                values["rules"] = given
            {
                "canary": releases.canary,
                "promote": releases.promote,
                "rollback": releases.rollback,
                "holdout": releases.hold_out,
                "retire": releases.retire,
            }[action](**values)
        except DomainError as error:
            raise CommandError(error.detail) from None


def _status(project: Project) -> dict:
    from inference.selectors import serving

    running = Experiment.objects.filter(project=project, state="running").first()
    return {
        "project": project.slug,
        "serving": [
            {"arm": one.arm, "model": one.model_version.name, "share": one.weight / 1000}
            for one in serving(project=project.slug)
        ],
        "experiment": {
            "id": str(running.pk),
            "candidate": running.candidate.model_version.name,
            "counts": running.counts,
            "reason": running.outcome.get("reason", "Nothing has settled yet."),
        }
        if running
        else None,
    }
