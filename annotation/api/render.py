"""JSON shapes that leave the doors of annotation."""

from datetime import timedelta

from django.utils import timezone

from annotation.models import (
    Assignment,
    Candidate,
    Invite,
    Judgment,
    Membership,
    Principle,
    Project,
    Task,
)
from annotation.services import parts
from annotation.services.settings import RULES
from annotation.steps import stated_for, steps_of


def project(row: Project, *, counts: dict | None = None) -> dict:
    """A project as a member sees it."""
    shown = {
        "slug": row.slug,
        "name": row.name,
        "kinds": row.kinds,
        "overlap": row.overlap,
        "lease_seconds": row.lease_seconds,
        "undo_seconds": row.undo_seconds,
        "paused": row.is_paused,
        "archived": row.archived_at is not None,
        "guidelines": row.guidelines,
    }
    return shown | ({"counts": counts} if counts is not None else {})


def settings(row: Project) -> dict:
    """Everything that `PATCH` may change, as it is now."""
    return {name: getattr(row, name) for name in RULES}


def membership(row: Membership) -> dict:
    """A person's place in a project, as those who manage it see it."""
    return {
        "username": row.user.get_username(),
        "role": row.role,
        "skills": row.skills,
        "paused": row.is_paused,
        "active": row.user.is_active,
    }


def invite(row: Invite) -> dict:
    """A link into a project, without its secret."""
    return {
        "id": row.pk,
        "role": row.role,
        "skills": row.skills,
        "note": row.note,
        "uses_left": row.uses_left,
        "expires_at": row.expires_at.isoformat(),
    }


def principle(row: Principle) -> dict:
    """One version of a principle."""
    return {
        "id": row.pk,
        "key": row.key,
        "version": row.version,
        "text": row.text,
        "active": row.is_active,
    }


def candidate(row: Candidate) -> dict:
    """Blind: the id and the text (or typed parts), and nothing of where it comes from."""
    return {"id": row.pk, "content": row.parts if row.parts is not None else row.content}


def assignment(row: Assignment) -> dict:
    """A claimed lease with its task; candidates in the order to be shown."""
    task, owner = row.task, row.task.project
    draft = getattr(row, "draft", None)
    return {
        "id": str(row.pk),
        "token": str(row.token),
        "task": {
            "id": task.pk,
            "kind": task.kind,
            "also": task.also,
            "prompt": task.prompt,
            "candidates": [candidate(c) for c in task.in_order],
            "principles": principles(owner) if "principle" in (task.kind, *task.also) else [],
            "attributes": owner.attributes,
            "categories": owner.categories,
            "missing_categories": owner.missing_categories,
            "dimensions": owner.dimensions,
            **_for_kinds(task),
        },
        "expires_at": row.expires_at.isoformat(),
        "seconds_left": max(0, round((row.expires_at - timezone.now()).total_seconds())),
        "draft": draft.body if draft else None,
    }


def _for_kinds(task: Task) -> dict:
    """What only some kinds need: the steps of each candidate as offsets, the anchor."""
    kinds, more = (task.kind, *task.also), {}
    if "step" in kinds:
        more["steps"] = [
            {"candidate": c.pk, "offsets": steps_of(c.content, stated)}
            for c in task.in_order
            for stated in [stated_for(task.metadata, c.position)]
        ]
    if "triplet" in kinds:
        more["anchor"] = min(task.in_order, key=lambda c: c.position).pk
    return more


def principles(owner: Project) -> list[dict]:
    """The active version of each principle."""
    rows = Principle.objects.filter(project=owner, is_active=True)
    return [{"id": p.pk, "key": p.key, "text": p.text, "version": p.version} for p in rows]


def judgment(row: Judgment) -> dict:
    """A stored judgment, as its author sees it."""
    return {
        "id": str(row.pk),
        "assignment": str(row.assignment_id),
        "task": row.task_id,
        "kind": row.kind,
        **parts.answer_of(row),
        "rationale": row.rationale,
        "flags": row.flags,
        "seconds": row.seconds,
        "surplus": row.surplus,
        "created_at": row.created_at.isoformat(),
        "undo_until": (row.created_at + timedelta(seconds=row.project.undo_seconds)).isoformat(),
    }
