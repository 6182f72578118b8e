"""What a task asks, in the shape `annotation.bodies.read` wants."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from annotation.bodies import Question
from annotation.models import Principle, Project, Task
from annotation.steps import stated_for, steps_of


class Text(NamedTuple):
    """A candidate as bodies are checked against it: its place as imported, and its raw text."""

    position: int
    content: str


def principle_names(project: Project) -> dict[str, int]:
    """Each key (its active version) and each id as text, to the principle's id."""
    names: dict[str, int] = {}
    for pk, key, active in Principle.objects.filter(project=project).values_list(
        "id", "key", "is_active"
    ):
        names[str(pk)] = pk
        if active:
            names[key] = pk
    return names


def question(
    *,
    kind: str,
    project: Project,
    candidates: tuple[int, ...],
    text: Callable[[int], str],
    principles: dict[str, int] | None = None,
    also: Iterable[str] = (),
    prompt: list[dict] = (),
    metadata: dict | None = None,
    position: Callable[[int], int] | None = None,
) -> Question:
    """The question of one kind, or several, in a project.

    Principles are read only where they matter. `position` gives the place of a candidate as
    imported; without it, candidates stand in that order already.
    """
    also = tuple(also)
    if principles is None and "principle" in (kind, *also):
        principles = principle_names(project)
    place = position or candidates.index

    def steps(candidate: int | None) -> int:
        if candidate is None:
            return len(prompt)
        return len(steps_of(text(candidate), stated_for(metadata, place(candidate))))

    return Question(
        kind=kind,
        candidates=candidates,
        text=text,
        attributes=tuple(project.attributes),
        categories=tuple(project.categories),
        missing_categories=tuple(project.missing_categories),
        dimensions=tuple(project.dimensions),
        principles=principles or {},
        also=also,
        steps=steps,
        anchor=lambda: min(candidates, key=place),
    )


def question_of(task: Task, *, project: Project, shown: list[int]) -> Question:
    """The question of a stored task; its candidates are read only when a body needs them."""
    rows: dict[int, Text] = {}

    def row(candidate: int) -> Text:
        if not rows:
            for pk, position, content in task.candidates.values_list("id", "position", "content"):
                rows[pk] = Text(position, content)
        return rows[candidate]

    return question(
        kind=task.kind,
        project=project,
        candidates=tuple(shown),
        text=lambda candidate: row(candidate).content,
        also=task.also,
        prompt=task.prompt,
        metadata=task.metadata,
        position=lambda candidate: row(candidate).position,
    )
