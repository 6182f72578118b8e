"""Creating projects from the template of their kind, and letting people in."""

import re

from django.db import IntegrityError, transaction

from annotation.kind_templates import ATTRIBUTES, CATEGORIES, MISSING, PRINCIPLES, guidelines
from annotation.models import Membership, Principle, Project
from annotation.models.projects import Kind
from config.errors import Conflict, Invalid
from config.models import User

_SLUG = re.compile(r"^[a-z0-9](?:[a-z0-9_-]{0,58}[a-z0-9])?$")


def slug_from(name: str) -> str:
    """A slug made of a file's or a project's name; `project` when nothing usable is left."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-") or "project"


@transaction.atomic
def create_project(
    *,
    slug: str,
    kinds: list[str],
    name: str | None = None,
    overlap: int = 1,
    by: User | None = None,
    **settings,
) -> Project:
    """A project with the guidelines, attributes, categories and principles its kinds need.

    `settings` overrides any field of the template. Raises Invalid for a bad field and Conflict
    when the slug is taken. The creator becomes a member.
    """
    _check(slug=slug, kinds=kinds, overlap=overlap)
    fields = {
        "name": name or slug.replace("-", " ").replace("_", " ").capitalize(),
        "guidelines": guidelines(kinds),
        "attributes": list(ATTRIBUTES) if Kind.RATING in kinds else [],
        "categories": list(CATEGORIES) if Kind.SPAN in kinds else [],
        "missing_categories": list(MISSING) if Kind.SPAN in kinds else [],
    } | settings
    try:
        with transaction.atomic():
            project = Project.objects.create(
                slug=slug,
                kinds=list(dict.fromkeys(kinds)),
                overlap=overlap,
                created_by=by,
                **fields,
            )
    except IntegrityError:
        raise Conflict(f"A project '{slug}' exists already.", fields={"slug": "is taken"}) from None
    if Kind.PRINCIPLE in kinds:
        Principle.objects.bulk_create(
            Principle(project=project, key=key, text=text) for key, text in PRINCIPLES.items()
        )
    if by is not None:
        add_member(project=project, user=by, role=by.role)
    return project


def ensure_project(*, slug: str, kinds: list[str], **rest) -> tuple[Project, bool]:
    """The project with this slug, created from the template if there is none."""
    found = Project.objects.filter(slug=slug).first()
    return (found, False) if found else (create_project(slug=slug, kinds=kinds, **rest), True)


def add_member(*, project: Project, user: User, role: str = "annotator") -> Membership:
    """Let a person into a project; a second time changes nothing."""
    membership, _ = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": role}
    )
    return membership


def _check(*, slug: str, kinds: list[str], overlap: int) -> None:
    wrong: dict[str, str] = {}
    if not isinstance(slug, str) or not _SLUG.match(slug):
        wrong["slug"] = (
            "must be 1 to 60 of a-z, 0-9, - and _, and begin and end with a letter or digit"
        )
    known = set(Kind.values)
    if not isinstance(kinds, list) or not kinds or not set(map(str, kinds)) <= known:
        wrong["kinds"] = f"must name at least one of {', '.join(Kind.values)}"
    if isinstance(overlap, bool) or not isinstance(overlap, int) or not 1 <= overlap <= 100:
        wrong["overlap"] = "must be a whole number from 1 to 100"
    if wrong:
        raise Invalid("; ".join(f"{k} {v}" for k, v in wrong.items()) + ".", fields=wrong)
