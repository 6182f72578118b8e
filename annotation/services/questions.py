"""What a task asks, in the shape `annotation.bodies.read` wants."""

from collections.abc import Callable

from annotation.bodies import Question
from annotation.models import Principle, Project, Task


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
) -> Question:
    """The question of one kind in a project; principles are read only where they matter."""
    if kind == "principle" and principles is None:
        principles = principle_names(project)
    return Question(
        kind=kind,
        candidates=candidates,
        text=text,
        attributes=tuple(project.attributes),
        categories=tuple(project.categories),
        missing_categories=tuple(project.missing_categories),
        dimensions=tuple(project.dimensions),
        principles=principles or {},
    )


def question_of(task: Task, *, project: Project, shown: list[int]) -> Question:
    """The question of a stored task; candidate texts are read when a body has offsets."""
    texts: dict[int, str] = {}

    def text(candidate: int) -> str:
        if not texts:
            texts.update(task.candidates.values_list("id", "content"))
        return texts[candidate]

    return question(kind=task.kind, project=project, candidates=tuple(shown), text=text)
