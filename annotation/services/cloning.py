"""A project once more: its settings and principles, and its tasks with their pictures."""

from typing import Any

from django.db import transaction

from annotation.models import Candidate, LogEntry, Media, Principle, Project, Task
from annotation.prompts import prompt_hash
from annotation.services import log
from annotation.services.projects import create_project
from config.errors import Conflict
from config.models import User

COPIED = (
    "guidelines",
    "kinds",
    "overlap",
    "lease_seconds",
    "undo_seconds",
    "dimensions",
    "attributes",
    "categories",
    "missing_categories",
    "order",
    "gold_rate",
    "repeat_rate",
    "calibration_size",
    "calibration_pass",
    "languages",
    "options",
)
MOST_CLONED = 100_000


@transaction.atomic
def clone_project(
    *, project: Project, slug: str, name: str | None = None, by: User, with_tasks: bool = False
) -> Project:
    """A new project with the same settings and principles, and on request the same tasks.

    Pictures of the tasks come along under names of their own, since only members of a project
    see its pictures. Judgments, people and invitations are not copied. Raises as
    `create_project` does, and Conflict when there are more than MOST_CLONED tasks to copy.
    """
    tasks = _tasks_to_clone(project)
    if with_tasks and tasks.count() > MOST_CLONED:
        raise Conflict(
            f"More than {MOST_CLONED:,} tasks are too many to copy here. Clone without tasks, "
            "then export them and import them into the copy."
        )
    copy = create_project(
        slug=slug,
        name=name or f"{project.name[:110]} (copy)",
        by=by,
        **{field: getattr(project, field) for field in COPIED},
    )
    Principle.objects.filter(project=copy).delete()
    Principle.objects.bulk_create(
        Principle(project=copy, key=p.key, text=p.text, version=p.version)
        for p in Principle.objects.filter(project=project, is_active=True)
    )
    if with_tasks:
        _clone_tasks(tasks, copy, by, _clone_pictures(project, copy))
    return copy


def _tasks_to_clone(project: Project):
    """Tasks that anyone may be given: not withdrawn, and not a second asking of one person."""
    return Task.objects.filter(project=project, repeat_of=None, reserved_for=None).exclude(
        state=Task.State.WITHDRAWN
    )


def _clone_pictures(project: Project, copy: Project) -> dict[str, str]:
    """The project's pictures as the copy's own, of the same files; the old id to the new one."""
    old = list(Media.objects.filter(project=project))
    new = Media.objects.bulk_create(
        Media(project=copy, **{name: getattr(row, name) for name in _PICTURE_FIELDS}) for row in old
    )
    return {str(a.pk): str(b.pk) for a, b in zip(old, new, strict=True)}


def _with_pictures(content: Any, names: dict[str, str]) -> Any:
    """Typed parts, or a prompt of them, with pictures under their new names."""
    if isinstance(content, str):
        return names.get(content, content)
    if isinstance(content, list):
        return [_with_pictures(item, names) for item in content]
    if isinstance(content, dict):
        return {key: _with_pictures(value, names) for key, value in content.items()}
    return content


def _clone_tasks(tasks, copy: Project, by: User, pictures: dict[str, str]) -> None:
    after = 0
    while batch := list(
        tasks.filter(pk__gt=after).order_by("pk").prefetch_related("candidates")[:500]
    ):
        after = batch[-1].pk
        if pictures:
            for task in batch:
                task.prompt = _with_pictures(task.prompt, pictures)
                task.prompt_hash = prompt_hash(task.prompt)
        made = Task.objects.bulk_create(
            Task(project=copy, **{name: getattr(task, name) for name in _TASK_FIELDS})
            for task in batch
        )
        answers = {
            new.pk: [
                Candidate(
                    task=new,
                    parts=_with_pictures(old.parts, pictures),
                    **{name: getattr(old, name) for name in _CANDIDATE_FIELDS},
                )
                for old in task.candidates.all()
            ]
            for task, new in zip(batch, made, strict=True)
        }
        Candidate.objects.bulk_create(row for rows in answers.values() for row in rows)
        LogEntry.objects.bulk_create(
            log.entry_for_task(new, answers[new.pk], actor=by.pseudonym) for new in made
        )


_TASK_FIELDS = (
    "external_id",
    "kind",
    "also",
    "prompt",
    "prompt_hash",
    "overlap",
    "priority",
    "gold",
    "gold_note",
    "is_calibration",
    "skills",
    "source",
    "metadata",
)
_PICTURE_FIELDS = ("sha256", "content_type", "width", "height", "alt", "file")
_CANDIDATE_FIELDS = (
    "position",
    "content",
    "model",
    "model_version_id",
    "sampling",
    "logprob",
    "author_id",
)
