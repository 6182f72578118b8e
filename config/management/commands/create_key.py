"""Create an access key, and its person if need be; the key is printed once."""

from django.core.management.base import BaseCommand, CommandError

from config.models import ROLE_SCOPES, SCOPES, AccessKey, Role, User


class Command(BaseCommand):
    help = (
        "Create an access key and print it once. The person is created if need be.\n"
        "Example: manage.py create_key --user ana --scopes annotate,feedback"
    )

    def add_arguments(self, parser):
        parser.add_argument("--user", required=True, help="user name of the person")
        parser.add_argument(
            "--scopes", required=True, help=f"comma-separated, of: {', '.join(SCOPES)}"
        )
        parser.add_argument("--name", default="", help="what the key is for")
        parser.add_argument(
            "--requests-per-minute", type=int, help="at the doors under /v1/; 0 is without limit"
        )
        parser.add_argument("--tokens-per-day", type=int, help="as above")

    def handle(self, *, user, scopes, name, **options):
        wanted = [part.strip() for part in scopes.split(",") if part.strip()]
        unknown = sorted(set(wanted) - set(SCOPES))
        if unknown or not wanted:
            raise CommandError(
                f"Unknown scopes: {', '.join(unknown) or '(none given)'}. "
                f"Choose from {', '.join(SCOPES)}."
            )
        person, created = User.objects.get_or_create(
            username=user, defaults={"role": _least_role(wanted)}
        )
        if created:
            person.set_unusable_password()
            person.save(update_fields=["password"])
        if any((options[one] or 0) < 0 for one in ("requests_per_minute", "tokens_per_day")):
            raise CommandError("A limit is 0 or more.")
        beyond = sorted(set(wanted) - person.scopes)
        if beyond:
            raise CommandError(
                f"{user} is {person.get_role_display().lower()}, which does not include "
                f"{', '.join(beyond)}. Raise the role first or ask for fewer scopes."
            )
        _, secret = AccessKey.objects.issue(
            user=person,
            scopes=wanted,
            name=name,
            requests_per_minute=options["requests_per_minute"],
            tokens_per_day=options["tokens_per_day"],
        )
        self.stdout.write(secret)


def _least_role(scopes: list[str]) -> Role:
    return next(role for role in Role if set(scopes) <= ROLE_SCOPES[role])
