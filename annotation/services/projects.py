"""Creating, changing and closing projects."""

import re
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from annotation.kind_templates import ATTRIBUTES, CATEGORIES, MISSING, PRINCIPLES, guidelines
from annotation.models import LogEntry, Membership, Principle, Project, Task
from annotation.models.projects import Kind
from annotation.services import log
from annotation.services import settings as project_settings
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
        _template_principles(project)
    if by is not None:
        add_member(project=project, user=by, role=by.role)
    _write_down(project, LogEntry.Action.CREATED, by)
    return project


def ensure_project(*, slug: str, kinds: list[str], **rest) -> tuple[Project, bool]:
    """The project with this slug, created from the template if there is none."""
    found = Project.objects.filter(slug=slug).first()
    return (found, False) if found else (create_project(slug=slug, kinds=kinds, **rest), True)


@transaction.atomic
def add_member(
    *, project: Project, user: User, role: str = "annotator", by: User | None = None
) -> Membership:
    """Let a person into a project; a second time changes nothing."""
    membership, is_new = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": role}
    )
    if is_new:
        note_membership(membership, LogEntry.Action.CREATED, by)
    return membership


def note_membership(membership: Membership, action: str, by: User | None) -> None:
    """An entry in the log: what place someone has in a project from now on, and who gave it."""
    log.noted(
        project_id=membership.project_id,
        action=action,
        subject="membership",
        subject_id=membership.pk,
        content=[
            membership.user.pseudonym,
            membership.role,
            sorted(membership.skills),
            membership.is_paused,
        ],
        actor=by.pseudonym if by else "",
    )


def _write_down(project: Project, action: str, by: User | None) -> None:
    """An entry in the log: who set the project up as it now is."""
    content = {name: getattr(project, name) for name in project_settings.RULES}
    if project.archived_at is not None:
        content["archived_at"] = log.moment(project.archived_at)
    log.noted(
        project_id=project.pk,
        action=action,
        subject="project",
        subject_id=project.pk,
        content=content,
        actor=by.pseudonym if by else "",
    )


# Changing -----------------------------------------------------------------------------------


def change_project(
    *, project: Project, by: User | None = None, apply_to_open: bool = False, **changes: Any
) -> Project:
    """Change settings. Raises Invalid naming every field that is wrong, and changes nothing then.

    Tasks keep the overlap they were made with, unless `apply_to_open`: then open tasks take the
    project's, but never fewer than the people who hold or judged them already. A kind that has
    tasks cannot be dropped; a kind that is new brings the words of its template.
    """
    right = project_settings.check(changes)
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=project.pk)
        fresh = [kind for kind in right.get("kinds", []) if kind not in project.kinds]
        _keep_used_kinds(project, right)
        for name, value in (_words_of(project, fresh) | right).items():
            setattr(project, name, value)
        project.save()
        if Kind.PRINCIPLE in fresh:
            _template_principles(project)
        _write_down(project, LogEntry.Action.CHANGED, by)
    if apply_to_open:
        spread_overlap(project)
    return project


def _keep_used_kinds(project: Project, right: dict[str, Any]) -> None:
    dropped = [kind for kind in project.kinds if kind not in right.get("kinds", project.kinds)]
    for kind in dropped:
        if Task.objects.filter(project=project, kind=kind).exists():
            reason = f"cannot leave out {kind}: there are tasks of that kind"
            raise Invalid(f"kinds {reason}.", fields={"kinds": reason})


def _words_of(project: Project, kinds: list[str]) -> dict[str, list[str]]:
    """The attributes and categories that new kinds need and the project has not got."""
    needed: dict[str, list[str]] = {}
    if Kind.RATING in kinds and not project.attributes:
        needed["attributes"] = list(ATTRIBUTES)
    if Kind.SPAN in kinds and not project.categories:
        needed |= {"categories": list(CATEGORIES), "missing_categories": list(MISSING)}
    return needed


# A task that has a known answer, introduces a newcomer or asks someone again has an overlap for
# reasons of its own; only plain tasks follow the project.
_SPREAD = """
WITH chosen AS (
    SELECT id FROM annotation_task
    WHERE project_id = %(project)s AND id > %(after)s AND state = 'open'
      AND gold IS NULL AND NOT is_calibration AND repeat_of_id IS NULL AND reserved_for_id IS NULL
    ORDER BY id LIMIT %(most)s FOR UPDATE
), changed AS (
    UPDATE annotation_task t
    SET overlap = GREATEST(%(overlap)s, t.taken),
        state = CASE WHEN t.done >= GREATEST(%(overlap)s, t.taken) THEN 'done' ELSE t.state END
    FROM chosen WHERE t.id = chosen.id AND t.overlap <> GREATEST(%(overlap)s, t.taken)
)
SELECT max(id), count(*) FROM chosen
"""


def spread_overlap(project: Project, *, most: int = 2000) -> None:
    """Give open tasks the project's overlap, in short steps so that the queue goes on meanwhile.

    Each step stands by itself, and doing it again changes nothing.
    """
    after = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            given = {
                "project": project.pk,
                "overlap": project.overlap,
                "after": after,
                "most": most,
            }
            cursor.execute(_SPREAD, given)
            last, count = cursor.fetchone()
        if count < most:
            return
        after = last


def pause(*, project: Project, by: User | None = None) -> None:
    """Hand out no more tasks; what people hold they may still send."""
    _set(project, by, is_paused=True)


def resume(*, project: Project, by: User | None = None) -> None:
    """Hand out tasks again."""
    _set(project, by, is_paused=False)


def archive(*, project: Project, by: User | None = None) -> None:
    """Put a project away: nothing is handed out and it is no longer listed; nothing is lost."""
    _set(project, by, archived=False, archived_at=timezone.now())


def restore(*, project: Project, by: User | None = None) -> None:
    """Bring an archived project back, paused, so that nobody is surprised by work."""
    _set(project, by, archived=True, archived_at=None, is_paused=True)


@transaction.atomic
def _set(
    project: Project, by: User | None, *, archived: bool | None = None, **changes: Any
) -> None:
    """Change a project as it is now (where it is archived or not as given), and say so in the log
    if that changes anything."""
    row = Project.objects.select_for_update().get(pk=project.pk)
    if archived is not None and archived != (row.archived_at is not None):
        return
    if any(getattr(row, name) != value for name, value in changes.items()):
        for name, value in changes.items():
            setattr(row, name, value)
        row.save(update_fields=list(changes))
        _write_down(row, LogEntry.Action.CHANGED, by)


# Principles ---------------------------------------------------------------------------------


def _template_principles(project: Project) -> None:
    for key, text in PRINCIPLES.items():
        if not Principle.objects.filter(project=project, key=key).exists():
            Principle.objects.create(project=project, key=key, text=text)


@transaction.atomic
def set_principle(*, project: Project, key: str, text: str, by: User | None = None) -> Principle:
    """Add a principle, or put a new version in the place of the one that is asked.

    Verdicts keep the version they were given on. The same words again change nothing.
    """
    if not isinstance(key, str) or len(key) > 60 or not _SLUG.match(key):
        raise Invalid(
            "key must be 1 to 60 of a-z, 0-9, - and _.",
            fields={"key": "must be 1 to 60 of a-z, 0-9, - and _"},
        )
    try:
        text = project_settings.text(500)(text)
    except ValueError as exc:
        raise Invalid(f"text {exc}.", fields={"text": str(exc)}) from None
    Project.objects.select_for_update().get(pk=project.pk)  # one version at a time
    versions = Principle.objects.filter(project=project, key=key)
    latest = versions.order_by("-version").first()
    if latest is not None and latest.is_active and latest.text == text:
        return latest
    versions.filter(is_active=True).update(is_active=False)
    made = Principle.objects.create(
        project=project, key=key, text=text, version=latest.version + 1 if latest else 1
    )
    _note_principle(made, LogEntry.Action.CREATED, by)
    return made


def _note_principle(row: Principle, action: str, by: User | None) -> None:
    log.noted(
        project_id=row.project_id,
        action=action,
        subject="principle",
        subject_id=row.pk,
        content=[row.key, row.version, row.text, row.is_active],
        actor=by.pseudonym if by else "",
    )


def retire_principle(*, project: Project, key: str, by: User | None = None) -> None:
    """Ask a principle no longer; its verdicts stay. The last one of a project is kept."""
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        active = Principle.objects.filter(project=project, is_active=True)
        if Kind.PRINCIPLE in project.kinds and not active.exclude(key=key).exists():
            raise Conflict("A project that asks principles needs at least one.")
        for row in active.filter(key=key):
            row.is_active = False
            row.save(update_fields=["is_active"])
            _note_principle(row, LogEntry.Action.CHANGED, by)


def _check(*, slug: str, kinds: list[str], overlap: int) -> None:
    wrong: dict[str, str] = {}
    if not isinstance(slug, str) or not _SLUG.match(slug):
        wrong["slug"] = (
            "must be 1 to 60 of a-z, 0-9, - and _, and begin and end with a letter or digit"
        )
    try:
        project_settings.check({"kinds": kinds, "overlap": overlap})
    except Invalid as exc:
        wrong |= exc.fields
    if wrong:
        raise Invalid("; ".join(f"{k} {v}" for k, v in wrong.items()) + ".", fields=wrong)
